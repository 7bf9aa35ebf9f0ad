"""Every reference within the OpenAPI document resolves."""

from collections.abc import Iterator
from typing import Any

from app.api.app import create_app
from app.settings import Settings


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


def test_every_reference_resolves() -> None:
    document = create_app(Settings(canaries=["127.255.0.1", "127.255.0.2"])).openapi()
    used = set(references(document))
    assert "#/components/schemas/ChangeOut" in used, "the status stream's"
    assert {reference for reference in used if not resolves(document, reference)} == set()
