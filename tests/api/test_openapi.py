"""The OpenAPI document: its references resolve, and making it holds nobody up."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from app.api.app import create_app
from app.settings import Settings
from tests.conftest import Cast


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


def test_every_reference_resolves() -> None:
    document = create_app(Settings(canaries=["127.255.0.1", "127.255.0.2"])).openapi()
    used = set(references(document))
    assert "#/components/schemas/ChangeOut" in used, "the status stream's"
    assert {reference for reference in used if not resolves(document, reference)} == set()
