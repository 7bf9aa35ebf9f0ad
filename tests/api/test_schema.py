"""Valid and invalid requests that schemathesis generates from the OpenAPI document: no response is a 5xx, differs from
its description, or holds a row outside the caller's scope."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core import NOT_SET
from schemathesis.core.failures import FailureGroup
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.api.app import API
from app.postgres.engine import Sessions
from tests.access.matrix_world import create_resources
from tests.access.route_catalog import EXPECTED_STATUS, PROVIDERS_OWN, read_calls
from tests.conftest import Person
from tests.factories import BERAU_VILLAGE, register
from tests.support.incident_scenario import IncidentScenario

pytestmark = pytest.mark.real_time

EXAMPLES = 3  # of each operation, for each way of making them up
OF_ANY_PATH = 2  # most of these paths name nothing, and what else is in the request is not asked for
BY_SCOPE = {403, 404}  # what the province may see or do
NEIGHBOUR = "Tetangga"  # in the names of what is Berau's
PLACES = {"village_code", "region_code", "region", "code"}

load_all_checks()
DESCRIBED = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    ]
)


async def test_every_answer_is_as_described_and_within_the_scope(
    app: FastAPI,
    connection: AsyncConnection,
    sessions: Sessions,
    scenario: IncidentScenario,
    session: AsyncSession,
    record_property: Any,
) -> None:
    resources = await create_resources(scenario, session)
    foreign = await register(scenario.cast, village_code=BERAU_VILLAGE, host="198.51.100.90", name=NEIGHBOUR)
    await app.state.snapshot.refresh(sessions)
    idents = {path: [resource.id, "0"] for path, resource in resources.items()}
    below = {path: resource.below for path, resource in resources.items()}
    idents["/sites/{id}"].append(str(foreign["id"]))
    cases = list(_cases(app, idents, below))
    wrong: list[str] = []
    operations, well, count = {_name(case) for case in cases}, set(), 0
    for person in (scenario.cast.ana, scenario.cast.sari):  # of a district; of the province, for what only it may do
        refused = []
        for case in cases:
            undone = await connection.begin_nested()
            answer = await _send(person, case)
            await undone.rollback()
            wrong += _violations(case, answer, everywhere=person is scenario.cast.sari)
            well |= {_name(case)} if answer.is_success else set()
            refused += [case] if answer.status_code in BY_SCOPE else []
            count += 1
        cases = refused
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:40])
    assert len(operations) == sum(map(len, app.openapi()["paths"].values()))
    unseen = EXPECTED_STATUS.keys() | PROVIDERS_OWN  # no provider is asked here
    assert operations - well - unseen == set(), "no answer but refusals was seen"
    record_property("requests", f"{count}, of all {len(operations)} operations")


def _name(case: Any) -> str:
    return f"{case.method} {case.path}"


def _cases(app: FastAPI, idents: dict[str, list[str]], below: dict[str, Mapping[str, str]]) -> Iterator[Any]:
    """The same every time. Paths name what is there, what is a neighbour's, what is nobody's, or anything."""
    sound = {str(call): call.request for call in read_calls(app)}
    for result in schemathesis.openapi.from_dict(app.openapi()).get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # FastAPI's own description is sound
        path = operation.path.removeprefix(API)
        resource = re.match(r"[^}]*\}", path)
        known = idents.get(path, []) + (idents[resource[0]] if resource else [])
        first, *further = re.findall(r"\{(\w+)\}", operation.path) or [""]
        names = {
            name: ident
            for each in (resource and resource[0], path)
            for name, ident in below.get(each or "", {}).items()
        }
        named = [{first: ident} | {name: names[name] for name in further} for ident in known]
        request = sound[f"{operation.method.upper()} {operation.path}"]
        yield operation.Case(
            path_parameters=named[0] if named else {},
            query=request.get("params", {}),
            body=request.get("json", request.get("content", NOT_SET)),
            headers=request.get("headers", {}),
            media_type="application/octet-stream" if "content" in request else "application/json",
        )
        turns = cycle(named)
        for mode in GenerationMode:
            yield from _drawn(operation.as_strategy(mode), OF_ANY_PATH if named else EXAMPLES)
            for case in _drawn(operation.as_strategy(mode, path_parameters=named[0]), EXAMPLES) if named else ():
                case.path_parameters = next(turns)
                yield case


def _drawn(strategy: Any, examples: int) -> list[Any]:
    found: list[Any] = []

    @settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True
    )
    @given(strategy)
    def draw(case: Any) -> None:
        found.append(case)

    with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with a request that holds nothing
        draw()
    return found


async def _send(person: Person, case: Any) -> httpx.Response:
    made = case.as_transport_kwargs(base_url="http://test")
    known = ("method", "url", "headers", "files", "data", "params", "json")
    prepared: Any = requests.Request(**{name: made[name] for name in known if made.get(name) is not None}).prepare()
    return await person.client.request(
        prepared.method, prepared.url, headers=dict(prepared.headers), content=prepared.body
    )


def _violations(case: Any, answer: httpx.Response, *, everywhere: bool) -> Iterator[str]:
    try:
        case.validate_response(answer, checks=DESCRIBED)
    except FailureGroup as failures:
        yield from (
            f"{case.method} {answer.url}: {one}\n{answer.status_code} {answer.text[:300]}"
            for one in failures.exceptions
        )
    if everywhere or not answer.is_success or case.path.startswith(f"{API}/visits"):  # of every village, to anybody
        return
    if NEIGHBOUR in answer.text:
        yield f"{case.method} {answer.url} shows what is Berau's"
    if case.path != f"{API}/regions" and answer.content and answer.headers["content-type"] == "application/json":
        yield from (f"{case.method} {answer.url} shows {code}" for code in _places(answer.json()))


def _places(found: Any) -> Iterator[str]:
    """Codes of what lies outside Kutai Kartanegara."""
    if isinstance(found, list):
        for one in found:
            yield from _places(one)
    if isinstance(found, dict):
        for name, value in found.items():
            yield from _places(value)
            if name in PLACES and re.match(r"64\.\d\d", str(value)) and not str(value).startswith("64.02"):
                yield str(value)
