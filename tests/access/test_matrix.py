"""Every route of the application, called by every kind of caller: the status matches the route's policy."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.access.models import Role
from app.access.rights import HOLDERS, Right
from app.api.app import API, create_app
from app.postgres.engine import Sessions
from app.registry.models import Provider
from app.settings import Settings
from app.web.deps import Allowed, open_to_all
from tests.access.matrix_world import CONTRACT_MARK, MARK, KnownCaller, Resource, create_resources, open_callers
from tests.access.route_catalog import EXPECTED_STATUS, PROVIDERS_OWN, Call, NoPolicy, read_calls
from tests.support.incident_scenario import IncidentScenario
from tests.support.openapi import read_document


async def test_every_route_answers_everybody_as_its_policy_says(
    app: FastAPI,
    connection: AsyncConnection,
    sessions: Sessions,
    scenario: IncidentScenario,
    session: AsyncSession,
    record_property: Any,
) -> None:
    calls = read_calls(app)
    resources = await create_resources(scenario, session)
    assert _missing_resources(calls, resources) == [], "create these in Kutai Kartanegara: tests/access/matrix_world.py"
    await app.state.snapshot.refresh(sessions)
    providers = {provider.slug: provider.id for provider in await session.scalars(select(Provider))}
    await session.rollback()
    violations, seen, count = [], set(), 0
    async with open_callers(app, session, providers) as callers:
        for call in calls:
            resource = _resource_of(call, resources)
            answers = {caller: await _ask(connection, caller, call, resource) for caller in callers}
            count += len(answers)
            for caller, answer in answers.items():
                violations += [
                    f"{call} by {caller.name}: {what}" for what in _violations(call, resource, caller, answer)
                ]
                seen |= {call.path} if MARK in answer.text and not caller.outsider else set()
            if call.right is None and len({answer.status_code for answer in answers.values()}) > 1:
                violations.append(f"{call} is open to all, but answers callers differently")
    assert violations == []
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
            "channels",
            "rules",
            "notifications",
            "notifications/{id}",
        )
    }, "callers in scope see it"
    record_property("calls", f"{count} ({len(calls)} routes x {len(callers)} callers)")


def _missing_resources(calls: list[Call], resources: dict[str, Resource]) -> list[str]:
    return sorted({call.resource for call in calls if call.resource} - resources.keys())


def _resource_of(call: Call, resources: dict[str, Resource]) -> Resource | None:
    if call.resource is None:
        return None
    if exact := resources.get(call.path.removeprefix(API)):
        return exact
    itself = call.path.endswith(call.resource)
    return resources[call.resource] if itself else resources.get(f"{call.resource}/", resources[call.resource])


async def _ask(
    connection: AsyncConnection, caller: KnownCaller, call: Call, resource: Resource | None
) -> httpx.Response:
    """Roll back what the call changed, so that every caller finds the same."""
    path = re.sub(r"{\w+}", resource.id, call.path, count=1).format(**resource.below) if resource else call.path
    savepoint = await connection.begin_nested()
    answer = await caller.client.request(call.method, path, **call.request)
    await savepoint.rollback()
    return answer


def _violations(call: Call, resource: Resource | None, caller: KnownCaller, answer: httpx.Response) -> Iterator[str]:
    status, expected = answer.status_code, _expected(call, resource, caller)
    if status not in expected:
        yield f"{status}, not {sorted(expected)}: {answer.text[:200]}"
    if caller.outsider and MARK in answer.text:
        yield f"it shows data out of scope: {answer.text[:200]}"
    if caller.outsider == "other_provider" and CONTRACT_MARK in answer.text and call.path not in BY_SECRET_CODE:
        yield f"it shows a contract out of scope: {answer.text[:200]}"


BY_SECRET_CODE = {"/verifikasi/{code}", "/en/verifikasi/{code}"}  # whoever holds the paper with it knows its contract
SUCCESS = frozenset({200, 201, 202, 204})


def _expected(call: Call, resource: Resource | None, caller: KnownCaller) -> frozenset[int]:
    if call.right is None:
        return frozenset({EXPECTED_STATUS[str(call)]}) if str(call) in EXPECTED_STATUS else SUCCESS | {503}  # /readyz
    if caller.role is None:
        return frozenset({401})
    if str(call) in EXPECTED_STATUS:
        return frozenset({EXPECTED_STATUS[str(call)]})
    if caller.role not in HOLDERS[call.right]:
        return frozenset({403})
    if caller.outsider is None and str(call) in PROVIDERS_OWN and caller.role is not Role.PROVIDER_VIEWER:
        return frozenset({403})
    if caller.role is Role.PROVIDER_VIEWER and resource is not None and resource.own_provider is not None:
        return frozenset({resource.own_provider})
    if caller.outsider is None:
        return SUCCESS
    if resource is not None:
        refused = getattr(resource, caller.outsider)
        return SUCCESS if refused is None else frozenset({refused})
    names_here = call.right in {Right.WRITE, Right.ADMINISTER} and call.method != "GET"
    return frozenset({403, 404, 422}) if names_here else SUCCESS


def with_route(path: str, *dependencies: Any) -> FastAPI:
    app, router = create_app(Settings(database_url=None)), APIRouter(dependencies=dependencies)

    @router.get(path)
    async def added() -> None: ...

    app.include_router(router, prefix=API)
    app.openapi = read_document  # type: ignore[method-assign]  # the added route takes nothing that it describes
    return app


def test_a_route_without_a_policy_fails_the_suite() -> None:
    with pytest.raises(NoPolicy, match=r"/api/v1/sites/forgotten has no policies"):
        read_calls(with_route("/sites/forgotten"))
    with pytest.raises(NoPolicy, match=r"/api/v1/sites/torn has 2 policies"):
        read_calls(with_route("/sites/torn", Depends(open_to_all), Depends(Allowed(Right.READ))))


def test_a_route_over_resources_that_the_matrix_lacks_fails_the_suite() -> None:
    calls = read_calls(with_route("/towers/{id}", Depends(Allowed(Right.READ))))
    resources = {call.resource: Resource("1") for call in calls if call.resource}
    del resources["/towers/{id}"]
    assert _missing_resources(calls, resources) == ["/towers/{id}"]
