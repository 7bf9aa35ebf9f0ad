"""The OpenAPI document, walked: operations, schemas with properties, and what a schema refers to."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from app.api.app import create_app
from app.settings import Settings

VALUES = {"default", "enum", "const", "example", "examples"}  # their content is no schema


@cache
def read_document() -> dict[str, Any]:
    """Make it once, which takes a second: it is to be read only."""
    return create_app(Settings(canaries=["127.255.0.1", "127.255.0.2"])).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each operation by its method and path."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def objects(node: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema with properties, by where it stands."""
    if isinstance(node, list):
        for number, item in enumerate(node):
            yield from objects(item, f"{where}/{number}")
    elif isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield where.removeprefix("/components/schemas/"), node
        for key, value in node.items():
            if key not in VALUES:
                yield from objects(value, f"{where}/{key}")


def referred(document: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the components that a schema is, may be, or consists of."""
    parts = [schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    parts += [part[key] for part in list(parts) for key in ("items", "additionalProperties") if part.get(key)]
    return [
        document["components"]["schemas"][part["$ref"].rpartition("/")[2]]
        for part in parts
        if isinstance(part, dict) and "$ref" in part
    ]
