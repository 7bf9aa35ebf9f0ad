"""The OpenAPI document: it is valid, its names are unique, and serving it holds nobody up."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.conftest import Cast
from tests.support.openapi import read_document


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolves(document: Any, reference: str) -> bool:
    if not reference.startswith("#/"):
        return False
    node = document
    for part in reference.removeprefix("#/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or name not in node:
            return False
        node = node[name]
    return True


async def test_the_document_is_rendered_once_and_beside_the_event_loop(
    app: FastAPI, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    render = app.openapi

    def rendered() -> dict[str, Any]:
        threads.append(threading.current_thread())
        return render()

    monkeypatch.setattr(app, "openapi", rendered)
    answers = await asyncio.gather(*(cast.stranger.client.get("/openapi.json") for _ in range(3)))
    assert [answer.json()["info"]["title"] for answer in answers] == ["Sinyal Desa"] * 3
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


async def test_a_client_that_has_the_document_gets_a_304_and_others_get_it_compressed(cast: Cast) -> None:
    client = cast.stranger.client
    first = await client.get("/openapi.json")
    assert first.headers["content-encoding"] == "gzip"
    again = await client.get("/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = await client.get("/openapi.json", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.headers["etag"] != first.headers["etag"]
    assert plain.json() == first.json()


def test_the_document_is_valid_openapi() -> None:
    document = read_document()
    assert document["openapi"].startswith("3.1.")
    errors = OpenAPIV31SpecValidator(document).iter_errors()
    assert [f"{list(error.path)}: {error.message[:200]}" for error in errors] == []


def test_schemas_have_unique_titles_and_the_names_of_their_models() -> None:
    schemas = read_document()["components"]["schemas"]
    titles = [schema["title"] for schema in schemas.values()]
    assert sorted(titles) == sorted(set(titles))
    assert [name for name in schemas if "__" in name] == [], "two models of one name"


def test_every_reference_resolves() -> None:
    document = read_document()
    used = set(references(document))
    assert "#/components/schemas/ChangeOut" in used, "the status stream's"
    assert {reference for reference in used if not resolves(document, reference)} == set()
