"""Complete the examples of the OpenAPI document's models."""

from collections.abc import Iterator
from typing import Any

Schemas = dict[str, dict[str, Any]]
REFERENCE = "#/components/schemas/"


def complete(schemas: Schemas) -> None:
    """Restore the nulls of each example, which FastAPI leaves out, and hand its parts down to models without one."""
    pending = [(schema, example) for schema in schemas.values() for example in schema.get("examples", ())]
    for schema, example in pending:  # which grows
        if not isinstance(example, dict):
            continue
        for name, field in schema.get("properties", {}).items():
            if name in schema.get("required", ()):
                example.setdefault(name, None)
            for model, part in _parts(field, example.get(name), schemas):
                if "examples" not in model:
                    model["examples"] = [part]
                pending.append((model, part))


def _parts(field: dict[str, Any], value: Any, schemas: Schemas) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield the models that a field's value is, or consists of, with their part of the value."""
    if value is None:
        return
    for choice in (field, *field.get("anyOf", ())):
        if by := choice.get("discriminator"):
            yield from _parts({"$ref": by["mapping"][value[by["propertyName"]]]}, value, schemas)
        if "$ref" in choice:
            model = schemas[choice["$ref"].removeprefix(REFERENCE)]
            if "properties" in model:
                yield model, value
        if "items" in choice and isinstance(value, list):
            for item in value:
                yield from _parts(choice["items"], item, schemas)
        if isinstance(choice.get("additionalProperties"), dict) and isinstance(value, dict):
            for item in value.values():
                yield from _parts(choice["additionalProperties"], item, schemas)
