"""What each role meets on every page, found by walking the routes."""

import re
from collections.abc import Callable

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from app.access.scope import Caller
from app.console.scope_cache import scope_of
from app.registry.models import Provider
from tests.access.browser import account
from tests.access.matrix_world import CONTACT_NAME, CONTACT_PHONE, MARK, create_resources
from tests.access.route_catalog import asks_the_api
from tests.support.console import Visitor
from tests.support.incident_scenario import IncidentScenario
from tests.support.status import publish

BEFORE = re.compile(r"/([a-z]+)/\{[^}]+\}")


async def test_no_page_shows_a_role_what_the_api_keeps_from_it_or_is_stored_by_a_browser(
    app: FastAPI, scenario: IncidentScenario, session: AsyncSession, visitor: Callable[[], Visitor]
) -> None:
    resources = await create_resources(scenario, session)
    below = {name: value for resource in resources.values() for name, value in resource.below.items()}
    ids = {"regions": "64.02", "diagnoses": below["diagnosis_id"]}
    ids |= {name: resources[f"/{name}/{{id}}"].id for name in ("sites", "incidents", "contracts", "providers")}
    ids |= {name: resources[f"/{name}/{{id}}"].id for name in ("maintenance", "accounts", "tokens")}
    ids |= {name: resources[f"/{name}/{{id}}"].id for name in ("channels", "rules", "notifications")}
    ids |= {"reports": resources["/reports/{id}"].id, "lines": "64.02.05.2003-01"}
    ids["acknowledge"] = resources["/acknowledgements/{token}"].id
    await publish(app)
    providers = {provider.slug: provider.id for provider in await session.scalars(select(Provider))}
    await session.rollback()
    roles = {
        "operator": (Role.DISTRICT_OPERATOR, "64.02", None),
        "viewer": (Role.VIEWER, "64.02", None),
        "provider": (Role.PROVIDER_VIEWER, "64", providers["telkom-wms"]),
        "other provider": (Role.PROVIDER_VIEWER, "64", providers["iconplus"]),
        "neighbour": (Role.DISTRICT_ADMIN, "64.03", None),
    }
    pages = sorted(
        BEFORE.sub(lambda found: f"/{found[1]}/{ids.get(found[1], '1')}", str(route.path))
        for route in iter_route_contexts(app.routes)
        if asks_the_api(route) and "GET" in (route.methods or ())
    )
    with_contact, with_mark = set(), set()
    for name, (role, region, provider) in roles.items():
        username = name.replace(" ", "-")
        await account(session, username, role, region, provider_id=provider)
        browser = visitor()
        await browser.sign_in(username)
        for path in [*pages, "/layar", "/console/nowhere"]:
            answer = await browser.client.get(path)
            assert answer.status_code < 500, f"{name} {path}"
            assert answer.headers["cache-control"] == "no-store", f"{name} {path}"
            assert "unsafe" not in answer.headers.get("content-security-policy", "unsafe") or answer.is_redirect, path
            with_contact |= {name} if CONTACT_NAME in answer.text or CONTACT_PHONE in answer.text else set()
            with_mark |= {(name, path)} if MARK in answer.text else set()
    assert with_contact == {"operator"}
    assert {name for name, _ in with_mark} == {"operator", "viewer", "provider"}


def test_what_is_made_once_for_a_scope_is_shared_by_those_alone_who_see_the_same_fields() -> None:
    """The API tells the province's officers, and no viewer, where pushes came from and which canaries we beat."""
    scopes = {role: scope_of(Caller(None, "x", role, "64")) for role in Role}
    assert scopes[Role.PROVINCE_ADMIN] == scopes[Role.PROVINCE_OPERATOR] != scopes[Role.VIEWER]
    assert scopes[Role.DISTRICT_OPERATOR] != scopes[Role.VIEWER]
    assert scope_of(Caller(None, "x", Role.PROVIDER_VIEWER, "64", 1)) != scopes[Role.VIEWER]
