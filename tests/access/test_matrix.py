"""Every route of the application, called by everybody: who gets an answer, who is refused, and how."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.access.rights import HOLDERS, Right
from app.api.app import API, create_app
from app.postgres.engine import Sessions
from app.registry.models import Provider
from app.settings import Settings
from app.web.deps import Allowed, open_to_all
from tests.access.matrix_world import CONTRACT_MARK, MARK, Asker, Thing, everybody, make_things
from tests.access.route_catalog import OWN, Call, NoPolicy, read_calls
from tests.support.incident_scenario import IncidentScenario


async def test_every_route_answers_everybody_as_its_policy_says(
    app: FastAPI,
    connection: AsyncConnection,
    sessions: Sessions,
    scenario: IncidentScenario,
    session: AsyncSession,
    record_property: Any,
) -> None:
    calls = read_calls(app)
    things = await make_things(scenario, session)
    assert _unmade(calls, things) == [], "make one of these in Kutai Kartanegara: tests/access/matrix_world.py"
    await app.state.snapshot.refresh(sessions)
    providers = {one.slug: one.id for one in await session.scalars(select(Provider))}
    await session.rollback()
    wrong, seen, count = [], set(), 0
    async with everybody(app, session, providers) as askers:
        for call in calls:
            thing = _thing(call, things)
            answers = {asker: await _ask(connection, asker, call, thing) for asker in askers}
            count += len(answers)
            for asker, answer in answers.items():
                wrong += [f"{call} by {asker.name}: {what}" for what in _wrong(call, thing, asker, answer)]
                seen |= {call.path} if MARK in answer.text and not asker.stranger else set()
            if call.right is None and len({answer.status_code for answer in answers.values()}) > 1:
                wrong.append(f"{call} is open to all, and yet not alike to all")
    assert wrong == []
    assert seen >= {
        f"{API}/{path}"
        for path in (
            "sites",
            "sites/{id}",
            "incidents",
            "incidents/{id}",
            "maintenance",
            "maintenance/{id}",
            "status",
            "audit",
        )
    }, "who may see it, sees it"
    record_property("calls", f"{count} ({len(calls)} routes x {len(askers)} callers)")


def _unmade(calls: list[Call], things: dict[str, Thing]) -> list[str]:
    return sorted({call.thing for call in calls if call.thing} - things.keys())


def _thing(call: Call, things: dict[str, Thing]) -> Thing | None:
    if call.thing is None:
        return None
    if exact := things.get(call.path.removeprefix(API)):
        return exact
    itself = call.path.endswith(call.thing)
    return things[call.thing] if itself else things.get(f"{call.thing}/", things[call.thing])


async def _ask(connection: AsyncConnection, asker: Asker, call: Call, thing: Thing | None) -> httpx.Response:
    """What it changed is undone, so that everybody finds the same."""
    path = re.sub(r"{\w+}", thing.id, call.path, count=1).format(**thing.below) if thing else call.path
    undone = await connection.begin_nested()
    answer = await asker.client.request(call.method, path, **call.request)
    await undone.rollback()
    return answer


def _wrong(call: Call, thing: Thing | None, asker: Asker, answer: httpx.Response) -> Iterator[str]:
    status, expected = answer.status_code, _expected(call, thing, asker)
    if status not in expected:
        yield f"{status}, not {sorted(expected)}: {answer.text[:200]}"
    if asker.stranger and MARK in answer.text:
        yield f"it shows what is another's: {answer.text[:200]}"
    if asker.stranger == "other_provider" and CONTRACT_MARK in answer.text:
        yield f"it shows another's contract: {answer.text[:200]}"


FINE = frozenset({200, 201, 204})


def _expected(call: Call, thing: Thing | None, asker: Asker) -> frozenset[int]:
    if call.right is None:
        return frozenset({OWN[str(call)]}) if str(call) in OWN else FINE | {503}  # /readyz
    if asker.role is None:
        return frozenset({401})
    if str(call) in OWN:
        return frozenset({OWN[str(call)]})
    if asker.role not in HOLDERS[call.right]:
        return frozenset({403})
    if asker.stranger is None:
        return FINE
    if thing is not None:
        refused = getattr(thing, asker.stranger)
        return FINE if refused is None else frozenset({refused})
    names_here = call.right in {Right.WRITE, Right.ADMINISTER} and call.method != "GET"
    return frozenset({403, 404, 422}) if names_here else FINE


def with_route(path: str, *dependencies: Any) -> FastAPI:
    app, router = create_app(Settings(database_url=None)), APIRouter(dependencies=dependencies)

    @router.get(path)
    async def added() -> None: ...

    app.include_router(router, prefix=API)
    return app


def test_a_route_without_a_policy_fails_the_suite() -> None:
    with pytest.raises(NoPolicy, match=r"/api/v1/sites/forgotten has no policies"):
        read_calls(with_route("/sites/forgotten"))
    with pytest.raises(NoPolicy, match=r"/api/v1/sites/torn has 2 policies"):
        read_calls(with_route("/sites/torn", Depends(open_to_all), Depends(Allowed(Right.READ))))


def test_a_route_over_things_that_the_matrix_knows_none_of_fails_the_suite() -> None:
    calls = read_calls(with_route("/towers/{id}", Depends(Allowed(Right.READ))))
    things = {call.thing: Thing("1") for call in calls if call.thing}
    del things["/towers/{id}"]
    assert _unmade(calls, things) == ["/towers/{id}"]
