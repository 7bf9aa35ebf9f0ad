"""Texts that no caller means, in every text field and parameter that the OpenAPI document has: each is refused by its
length before anything is done with it, and none holds up the others or is our error."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.app import API
from app.vantages.prober_limits import ProberLimits
from app.web.json_body import JsonRoute
from app.web.problem_details import MAX_ERRORS
from tests.access.matrix_world import create_resources
from tests.access.route_catalog import Call, read_calls
from tests.conftest import Cast
from tests.support.delivering_probers import make_prober
from tests.support.incident_scenario import IncidentScenario
from tests.support.raw_requests import RawResponse, send_raw

pytestmark = pytest.mark.real_time

MARKS, BRACKETS = "a" + "\u0323\u0307" * 80_000, "[" * 160_000
LONG = {"path": "9" * 1_900, "query": "9" * 7_000, "header": "9" * 7_000}  # shorter than what no route ever sees
REFUSED = {413, 422, 431}
CPU_S, STALL_S = 0.5, 1.0  # of one request; while another one waits. CPU seconds, whatever else the machine does
SHORTENED = {"accept", "accept-language"}  # only their beginning is read
BY_ROW = {f"{API}/push", f"{API}/push/end"}  # the device's token comes first; rows at fault are listed in a 200
OF_PROBERS = f"{API}/prober/"
SMALL, FITS = {f"{API}/visits/results"}, 15_000  # bodies of at most 100 kB; what fits in there, with its escapes
JSON = ("Content-Type", b"application/json")


@dataclass(frozen=True)
class Place:
    """Where a request holds a text: a parameter, or a field of its body by its path."""

    call: Call
    where: str  # path, query, header or body
    name: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.call} {self.where} {'.'.join(self.name)}"


def places(app: FastAPI) -> list[Place]:
    document = app.openapi()
    return [place for call in read_calls(app) for place in _places_of(document, call)]


def _places_of(document: dict[str, Any], call: Call) -> Iterator[Place]:
    operation = document["paths"].get(call.path, {}).get(call.method.lower(), {})
    for parameter in operation.get("parameters", ()):
        if any(_text_fields(document, parameter["schema"], ())):
            yield Place(call, parameter["in"], (parameter["name"],))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    for name in dict.fromkeys(_text_fields(document, body["schema"], ())) if body else ():
        yield Place(call, "body", name)


def _text_fields(document: dict[str, Any], schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if reference := schema.get("$ref"):
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    for choice in schema.get("anyOf", ()):
        yield from _text_fields(document, choice, path)
    if schema.get("type") == "string":
        yield path or ("",)
    for name, field in schema.get("properties", {}).items():
        yield from _text_fields(document, field, (*path, name))


@dataclass
class Attacker:
    app: FastAPI
    authorization: bytes
    of_a_prober: bytes  # the same for what probers call
    idents: dict[str, str]  # of what is registered, by the beginning of a path

    async def send(self, place: Place, text: str) -> RawResponse:
        """Make a sound request but for this text."""
        call = place.call
        query = dict(call.request.get("params", {}))
        is_probers = call.path.startswith(OF_PROBERS)
        headers = [("Authorization", self.of_a_prober if is_probers else self.authorization)]
        body = b""
        if place.where == "query":
            query[place.name[0]] = text
        if place.where == "header":
            headers.append((place.name[0], text.encode()))
        if "json" in call.request:
            sound = call.request["json"] or {}
            filled = _with(sound, place.name, text) if place.where == "body" else sound
            body = json.dumps(filled, ensure_ascii=text is not MARKS).encode()  # half as long without escapes
            headers.append(JSON)
        path = self._path(call.path, quote(text, safe="") if place.where == "path" else None)
        return await send_raw(self.app, call.method, path, query=urlencode(query), headers=headers, body=body)

    def _path(self, path: str, text: str | None) -> str:
        begin, brace, rest = path.partition("{")
        if not brace:
            return path
        ident = self.idents.get(begin.removeprefix(API), "1") if text is None else text
        return self._path(begin + ident + rest.partition("}")[2], text)


def _with(body: dict[str, Any], path: tuple[str, ...], text: str) -> dict[str, Any]:
    name, *below = path
    within = body.get(name)
    return body | {name: _with(within if isinstance(within, dict) else {}, tuple(below), text) if below else text}


class UnlimitedProbers(ProberLimits):
    def charge_request(self, digest: bytes) -> None:
        pass


@pytest.fixture
async def attacker(app: FastAPI, scenario: IncidentScenario, session: AsyncSession) -> Attacker:
    resources = await create_resources(scenario, session)
    idents = {path.partition("{")[0]: resource.id for path, resource in resources.items()}
    app.state.probers.limits = UnlimitedProbers(app.state.settings.limits)
    prober = await make_prober(app, scenario.cast, "penyerang")
    of_a_prober = f"Bearer {prober.token}".encode()
    return Attacker(app, scenario.cast.sari.client.headers["Authorization"].encode(), of_a_prober, idents)


@contextlib.asynccontextmanager
async def watched(app: FastAPI) -> AsyncIterator[list[float]]:
    """Ask for /healthz all the time; yield the CPU seconds that each waited for its answer."""
    waits = [0.0]

    async def watch() -> None:
        while True:
            asked = time.process_time()
            await asyncio.sleep(0.01)
            assert (await send_raw(app, "GET", "/healthz")).status == 200
            waits.append(time.process_time() - asked)

    watching = asyncio.create_task(watch())
    yield waits
    watching.cancel()


async def test_160_kB_in_any_text_field_is_refused_by_name_and_holds_nobody_up(
    app: FastAPI, attacker: Attacker, record_property: Any
) -> None:
    wrong, sent = [], 0
    everywhere = places(app)  # making the document takes long
    async with watched(app) as waits:
        for place in everywhere:
            texts = (MARKS, BRACKETS) if place.where == "body" else (MARKS, LONG[place.where])
            for text in texts:
                if text is not MARKS and place.name[0] in SHORTENED:
                    continue
                response = await attacker.send(place, text[:FITS] if place.call.path in SMALL else text)
                sent += 1
                if response.cpu_s > CPU_S:
                    wrong.append(f"{place}: {response.cpu_s:.2f} s of CPU")
                if place.call.path in BY_ROW:
                    if response.status >= 500:
                        wrong.append(f"{place}: {response.status}")
                elif response.status not in REFUSED or not _names(response, place):
                    wrong.append(f"{place} ({len(text)}): {response.status} {response.body[:200]!r}")
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)
    assert max(waits) < STALL_S
    record_property("requests", sent)


def _names(response: RawResponse, place: Place) -> bool:
    """Whether the problem names the field; `path` is the name of all that a path holds together.

    Of a prober's body brackets are counted before it is parsed, wherever they stand.
    """
    fields = [field.lower() for field in response.fields]
    together = "body" if place.call.path.startswith(OF_PROBERS) else "path"
    return ".".join(place.name).lower() in fields or (place.where == together and fields == [together])


async def test_no_text_that_is_not_unicode_or_holds_nul_is_our_error(app: FastAPI, attacker: Attacker) -> None:
    wrong = []
    for place in places(app):
        responses = [(text, await attacker.send(place, text)) for text in ("\0", "a\0b") if place.where != "header"]
        if place.where == "body":
            responses.append(("surrogate", surrogate := await attacker.send(place, "\ud800")))
            if place.call.path not in BY_ROW and (surrogate.status, surrogate.fields) != (422, ["body"]):
                wrong.append(f"{place}: {surrogate.status} {surrogate.body[:200]!r}")
        wrong += [f"{place} {text!r}: {r.status} {r.body[:200]!r}" for text, r in responses if r.status >= 500]
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        (f"{API}/sites/%ED%A0%80", "", "path"),
        (f"{API}/sites", "limit=5&q=%ED%A0%80", "q"),
        (f"{API}/sites", "limit=5&%FF=1", "\ufffd"),
        (f"{API}/status", "q=%FF", "q"),
        ("/nowhere/%FF", "", "path"),
    ],
)
async def test_a_path_or_query_that_is_not_unicode_is_refused_by_name(
    app: FastAPI, path: str, query: str, field: str
) -> None:
    response = await send_raw(app, "GET", path, query=query)
    assert (response.status, response.fields) == (422, [field])


async def test_many_long_headers_are_refused_together(app: FastAPI) -> None:
    headers = [(f"x-{number}", b"a" * 7_000) for number in range(6)]
    response = await send_raw(app, "GET", f"{API}/sites", headers=headers)
    assert (response.status, response.fields) == (431, ["x-4"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"username": "dewi", "password": "\\ud800"}',
        b'{"username": "dewi", "\\udfff": "x"}',
        b'{"username": "dewi", "password": "\xff"}',
        b'{"username": "dewi", "password": "\xed\xa0\x80"}',
    ],
)
async def test_a_body_that_is_not_unicode_is_refused_before_anybody_signs_in(app: FastAPI, body: bytes) -> None:
    response = await send_raw(app, "POST", f"{API}/session", headers=[JSON], body=body)
    assert (response.status, response.fields) == (422, ["body"])
    assert response.json()["errors"][0]["code"] == "string_unicode"


@pytest.mark.parametrize(
    "body",
    [b"[" * 900_000, b'{"a":' * 150_000, b"[" + b"[]," * 300_000 + b"[]]", b'{"a":' + b"9" * 900_000 + b"}"],
    ids=["brackets", "objects", "lists", "digits"],
)
async def test_a_body_nested_or_filled_without_end_is_refused_at_once(app: FastAPI, body: bytes) -> None:
    response = await send_raw(app, "POST", f"{API}/session", headers=[JSON], body=body)
    assert (response.status, response.fields) == (422, ["body"])
    assert response.cpu_s < CPU_S


async def test_of_many_faults_the_first_fifty_are_listed_and_the_others_counted(app: FastAPI, cast: Cast) -> None:
    known = {"village_code": "64.02.05.2003", "technology": "fiber", "provider": "telkom-wms", "probe": "icmp"}
    body = known | {f"latitud{number}": 1 for number in range(1_900)}
    headers = [("Authorization", cast.sari.client.headers["Authorization"].encode()), JSON]
    response = await send_raw(app, "POST", f"{API}/sites", headers=headers, body=json.dumps(body).encode())
    problem = response.json()
    assert response.status == 422
    assert len(problem["errors"]) == MAX_ERRORS == 50
    assert problem["errors_omitted"] == 1_850
    assert [error["suggestion"] for error in problem["errors"]] == ["Did you mean latitude?"] * 20 + [None] * 30
    assert len(response.body) < 20_000
    assert response.cpu_s < CPU_S


async def test_a_body_of_66_000_unknown_keys_is_refused_as_a_whole(app: FastAPI, cast: Cast) -> None:
    headers = [("Authorization", cast.sari.client.headers["Authorization"].encode()), JSON]
    body = json.dumps({f"k{number}": 1 for number in range(66_000)}).encode()
    response = await send_raw(app, "POST", f"{API}/sites", headers=headers, body=body)
    assert (response.status, response.fields) == (422, ["body"])
    assert response.json()["errors"][0]["code"] == "too_many_values"
    assert response.cpu_s < CPU_S


async def test_of_many_unknown_parameters_the_first_fifty_are_listed(app: FastAPI, cast: Cast) -> None:
    headers = [("Authorization", cast.sari.client.headers["Authorization"].encode())]
    response = await send_raw(
        app, "GET", f"{API}/sites", query="&".join(f"k{number}" for number in range(1_200)), headers=headers
    )
    assert (response.status, len(response.fields)) == (422, 50)
    assert response.cpu_s < CPU_S


def test_every_route_with_a_json_body_parses_it_strictly(app: FastAPI) -> None:
    routes = [context.original_route for context in iter_route_contexts(app.routes)]
    with_body = [route for route in routes if isinstance(route, APIRoute) and route.body_field is not None]
    assert len(with_body) > 40
    assert [route.path for route in with_body if not isinstance(route, JsonRoute)] == []
