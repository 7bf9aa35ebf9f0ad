"""Complete the OpenAPI document that FastAPI makes: summaries, what any route may answer, and what names mean."""

from collections.abc import Iterator
from typing import Any

from app.api import openapi_examples
from app.api.field_descriptions import FIELDS, PARAMETERS, Meaning
from app.core.errors import Problem
from app.web.problem_details import PROBLEM_TYPE, problems
from app.web.problem_schemas import FAULT, TYPE_BASE, FaultOut, ProblemOut

SCHEMAS = "#/components/schemas/{model}"
UNUSED = ("HTTPValidationError", "ValidationError", "MalformedBody")  # FastAPI's own 422, and unsound bodies
VALUES = {"default", "enum", "const", "example", "examples"}  # keys of values, which are no schemas
ETAG = {"ETag": {"description": "send it as If-None-Match", "schema": {"type": "string", "examples": ['"5d1f0c27"']}}}
RETRY_AFTER = {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer", "examples": [5]}}}


def complete(document: dict[str, Any], *, prefix: str) -> None:
    """Complete the document in place; `prefix` is the path of the routes that any problem is described of.

    1. The first paragraph of a route's docstring is its summary.
    2. Problems stand once for each status, with an example of each type, and routes refer to them.
    3. Examples of models have their nulls again, which FastAPI leaves out, and their parts are examples of the models
       within them (app/api/openapi_examples.py).
    4. Fields and parameters without a description, or an example, have those of their name.
    """
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in (FaultOut, ProblemOut):
        schemas[model.__name__] = model.model_json_schema(ref_template=SCHEMAS)
        schemas[model.__name__].pop("$defs", None)
    for name in UNUSED:
        schemas.pop(name, None)
    for path, operation in _operations(document):
        _summarise(operation)
        _complete_responses(operation, components.setdefault("responses", {}), everywhere=path.startswith(prefix))
        for parameter in operation.get("parameters", ()):
            _explain_parameter(parameter)
    openapi_examples.complete(schemas)
    for schema in _objects(document):
        _explain_fields(schema)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            yield path, operation


def _summarise(operation: dict[str, Any]) -> None:
    summary, _, rest = operation.pop("description", "").partition("\n\n")
    if summary:
        operation["summary"] = " ".join(summary.split()).rstrip(".")
    if rest:
        operation["description"] = rest


def _complete_responses(operation: dict[str, Any], responses: dict[str, Any], *, everywhere: bool) -> None:
    """Replace each problem of the operation, and add those of every operation, by references into `responses`."""
    described: dict[str, Any] = operation["responses"]
    statuses = {int(status) for status, answer in described.items() if PROBLEM_TYPE in answer.get("content", ())}
    if everywhere:
        common = problems(429, 431, 503, 504, *((400, 413) if "requestBody" in operation else ()))
        statuses |= {int(status) for status in common if str(status) not in described}
    for number in statuses:
        name = f"Problem{number}"
        responses.setdefault(name, _problem_response(number))
        described[str(number)] = {"$ref": f"#/components/responses/{name}"}
    if "304" in described:
        for status in ("200", "304"):
            described[status]["headers"] = ETAG
    operation["responses"] = dict(sorted(described.items()))


def _problem_response(status: int) -> dict[str, Any]:
    kinds = [kind for kind in _kinds_of(Problem) if kind.status == status]
    examples = {kind.type: {"summary": kind.title, "value": _example(kind)} for kind in kinds}
    return {
        "description": "; ".join(kind.title for kind in kinds),
        **({"headers": RETRY_AFTER} if status in {429, 503} else {}),
        "content": {PROBLEM_TYPE: {"schema": {"$ref": SCHEMAS.format(model="ProblemOut")}, "examples": examples}},
    }


def _kinds_of(problem: type[Problem]) -> Iterator[type[Problem]]:
    yield problem
    for below in problem.__subclasses__():
        yield from _kinds_of(below)


def _example(kind: type[Problem]) -> dict[str, Any]:
    errors = [FAULT] if kind.status == 422 else []
    return {"type": TYPE_BASE + kind.type, "title": kind.title, "status": kind.status, "errors": errors}


def _explain_parameter(parameter: dict[str, Any]) -> None:
    if meaning := PARAMETERS.get(parameter["name"].lower()):
        parameter.setdefault("description", meaning.description)
        _exemplify(parameter["schema"], meaning)


def _explain_fields(schema: dict[str, Any]) -> None:
    example: dict[str, Any] = next(iter(schema.get("examples", ())), {})
    for name, field in schema["properties"].items():
        for choice in field.get("anyOf", ()):  # an annotation below `| None` describes the field
            if "description" in choice:
                field.setdefault("description", choice.pop("description"))
        if meaning := FIELDS.get(name):
            field.setdefault("description", meaning.description)
            if name not in example:
                _exemplify(field, meaning)


def _exemplify(schema: dict[str, Any], meaning: Meaning) -> None:
    if meaning.example is not None and "$ref" not in schema:  # which has examples of its own
        schema.setdefault("examples", [meaning.example])


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every schema with properties."""
    if isinstance(node, list):
        for item in node:
            yield from _objects(item)
    elif isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield node
        for key, value in node.items():
            if key not in VALUES:
                yield from _objects(value)
