"""What users typed is text on every page, whatever they typed; and no page runs or changes anything unasked.

Pages are found by walking the routes: a new one is walked too.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from lxml import html
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from app.postgres.engine import Base
from tests.access.browser import account
from tests.access.route_catalog import asks_the_api
from tests.support.console import Visitor
from tests.support.hostile_registry import HOSTILE, MARK, OVERRIDE, HostileRegistry, create_hostile_registry
from tests.support.incident_scenario import IncidentScenario
from tests.support.status import beat, publish

POLICY = {"default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"}
NO_PAGES = re.compile(r"/(api/|docs|openapi|metrics|healthz|readyz|assets/|enrol|data/|cari|en/cari|layar/stream)")
# What a browser isolates by itself, or shows alone: controls, their choices, titles of windows and drawings.
ISOLATED = {"bdi", "textarea", "option", "title", "input", "pre"}
ISOLATES = re.compile("\u2068[^\u2069]*\u2069")
HANDLER = re.compile(r"on[a-z]+")


@pytest.fixture
async def registry(app: FastAPI, scenario: IncidentScenario, session: AsyncSession) -> HostileRegistry:
    made = await create_hostile_registry(scenario, session)
    await beat(session)
    await publish(app)
    return made


@pytest.fixture
async def admin(visitor: Callable[[], Visitor], session: AsyncSession) -> Visitor:
    """Administers the province, and has a hostile name."""
    await account(session, "provinsi", Role.PROVINCE_ADMIN, "64")
    browser = visitor()
    assert (await browser.sign_in("provinsi")).status == 303
    async with session.begin():
        await session.execute(text("UPDATE account SET name = :name WHERE username = 'provinsi'"), {"name": HOSTILE})
    return browser


def page_paths(app: FastAPI, registry: HostileRegistry) -> list[str]:
    templates = [
        str(route.path)
        for route in iter_route_contexts(app.routes)
        if "GET" in (route.methods or ()) and not NO_PAGES.match(str(route.path)) and "{path:" not in str(route.path)
    ]
    paths = [registry.path(one.replace("/desa/{code}", "/desa/{village}")) for one in templates]
    ident, code = registry.ids["ident"], registry.ids["code"]
    further = [
        f"/console/sites/{registry.ids['pushing']}",
        "/console/sites?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/console/incidents?status=all",
        "/console/audit?object=site",
        "/console/audit?actor=%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE",
        "/console/checks?check=far_from_village",
        f"/console/sites/{ident}?period=30d",
        f"/console/regions/{code}?period=30d",
        "/console/%3Cscript%3Ealert(1)%3C/script%3E",
        "/console/sites/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/console/sign-in?next=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "/desa/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    ]
    return [*paths, *further]


def faults_of(path: str, answer: httpx.Response) -> Iterator[str]:
    """Yield what is wrong with a page."""
    if not answer.headers.get("content-type", "").startswith("text/html"):
        return
    if not {part.strip() for part in answer.headers.get("content-security-policy", "").split(";")} >= POLICY:
        yield f"{path}: policy {answer.headers.get('content-security-policy')}"
    if MARK in answer.text or "<img src=x" in answer.text or "49 " in answer.text.partition("alert(2)")[2][:40]:
        yield f"{path}: unescaped"
    if not answer.text.rstrip().endswith("</html>"):
        yield f"{path}: cut off"
    tree = html.fromstring(answer.text)
    yield from (f"{path}: {fault}" for fault in _inline(tree))
    yield from (f"{path}: not isolated in {where}" for where in sorted(set(_unisolated(tree))))


def _inline(tree: Any) -> Iterator[str]:
    for element in tree.iter("*"):
        if element.tag == "style" or (element.tag == "script" and not element.get("src", "").startswith("/assets/")):
            yield f"inline <{element.tag}>"
        for name, value in element.attrib.items():
            if name == "style" or HANDLER.fullmatch(name) or value.strip().lower().startswith("javascript:"):
                yield f'inline {name}="{value[:40]}" of <{element.tag}>'


def _unisolated(tree: Any) -> Iterator[str]:
    """Yield the elements with a text that overrides the direction of what stands beside it."""
    for element in tree.iter("*"):
        for holder, words in ((element, element.text), (element.getparent(), element.tail)):
            if holder is None or OVERRIDE not in ISOLATES.sub("", words or ""):
                continue
            around = [holder, *holder.iterancestors()]
            if not any(one.tag in ISOLATED or one.get("dir") == "auto" for one in around):
                yield "/".join(one.tag for one in around[2::-1])


async def test_every_page_shows_as_text_what_was_typed_and_no_form_changes_anything_without_its_token(
    app: FastAPI, admin: Visitor, registry: HostileRegistry, session: AsyncSession
) -> None:
    """Both of one walk: it opens every page there is."""
    faults, shown, forms = [], 0, unsent_forms(app)
    for path in page_paths(app, registry):
        answer = await admin.client.get(path)
        if answer.status_code >= 500:
            faults.append(f"{path}: {answer.status_code}")
        shown += "alert(1)" in answer.text
        faults += faults_of(path, answer)
        if path.startswith("/console") and answer.text:
            for form in html.fromstring(answer.text).xpath('//form[@method="post"]'):
                forms[form.get("action") or path] = dict(form.form_values())
    assert not faults, "\n".join(faults)
    assert shown > 20, "the pages show it at all"
    before = await fingerprints(session)
    await post_without_token(admin, registry, forms)
    after = await fingerprints(session)
    assert {name for name in after if after[name] != before[name]} == set()


def unsent_forms(app: FastAPI) -> dict[str, dict[str, Any]]:
    """Return each address that takes a form; its fields are those of the page that shows it, if one does."""
    posts = [
        route for route in iter_route_contexts(app.routes) if asks_the_api(route) and "POST" in (route.methods or ())
    ]
    return {str(route.path): {"csrf_token": ""} for route in posts}


async def post_without_token(admin: Visitor, registry: HostileRegistry, forms: dict[str, dict[str, Any]]) -> None:
    """Send each form with other texts than it was shown with: without its token, and with a wrong one."""
    for action, fields in forms.items():
        if action.endswith("/sign-in"):  # opens a session, and has none yet
            continue
        changed = {name: "diganti" if MARK in value else value for name, value in fields.items()}
        del changed["csrf_token"]
        for sent in (changed, changed | {"csrf_token": "x" * 64}):
            await admin.client.post(registry.path(action), data=sent)


async def fingerprints(session: AsyncSession) -> dict[str, str]:
    """Return a digest of each table."""
    found = {}
    for name, table in Base.metadata.tables.items():
        columns = [column for column in table.columns if column.name != "seen_at"]  # of a session: when it was used
        rows = sorted(str(tuple(row)) for row in await session.execute(select(*columns)))
        found[name] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    await session.rollback()
    return found
