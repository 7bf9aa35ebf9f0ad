"""A site's contact person is visible to staff of its district and of the province only: in no log, error or audit."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.access.models import WRITERS
from app.api.app import API
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine
from app.registry.models import Provider
from tests.access.matrix_world import CONTACT_NAME, CONTACT_PHONE, KnownCaller, create_resources, open_callers
from tests.access.route_catalog import read_calls
from tests.conftest import Cast
from tests.factories import site
from tests.support.demo_process import wait_for
from tests.support.incident_scenario import IncidentScenario
from tests.support.killing import Api, prepare_database

SHOWN = {f"{API}/sites", f"{API}/sites/{{id}}"}  # to staff; elsewhere only on request
CONTACT = {"contact_name": CONTACT_NAME, "contact_phone": CONTACT_PHONE}


def names_contact(text: str) -> bool:
    return "Kartikasari" in text or CONTACT_PHONE in text or "81255507713" in text


async def test_only_the_districts_own_staff_and_the_province_see_a_contact_person(
    app: FastAPI, connection: AsyncConnection, sessions: Sessions, scenario: IncidentScenario, session: AsyncSession
) -> None:
    resources = await create_resources(scenario, session)
    await app.state.snapshot.refresh(sessions)
    app.state.streams.end()  # each stream sends its first event and ends
    providers = {provider.slug: provider.id for provider in await session.scalars(select(Provider))}
    await session.rollback()
    seen: set[tuple[str, str]] = set()
    async with open_callers(app, session, providers) as callers:
        for call in (call for call in read_calls(app) if call.method == "GET"):
            path = call.path.replace("{id}", resources[call.resource].id) if call.resource in resources else call.path
            for caller in callers:
                answer = await caller.client.get(path, **call.request)
                seen |= {(caller.name, call.path)} if names_contact(answer.text) else set()
        staff = [caller.name for caller in callers if _may_see(caller)]
    assert len(staff) == 4
    assert seen == {(name, path) for name in staff for path in SHOWN}


def _may_see(caller: KnownCaller) -> bool:
    return caller.role in WRITERS and caller.outsider is None


WRONG: list[dict[str, Any]] = [
    {**CONTACT, "host": "10.0.0.1"},
    {**CONTACT, "technology": "fibre", "port": "x"},
    {**CONTACT, "provider": None, "contact_fone": CONTACT_PHONE},
    {"contact_name": [CONTACT_NAME], "contact_phone": 81255507713},
    {"contact_name": CONTACT_NAME * 30, "contact_phone": {"mobile": CONTACT_PHONE}},
    {"contact_name": f"{CONTACT_NAME}\0", "contact_phone": f"{CONTACT_PHONE}\0"},
]


@pytest.mark.parametrize("wrong", WRONG)
async def test_no_message_repeats_a_contact_person(cast: Cast, wrong: dict[str, Any]) -> None:
    made = (await cast.ana.post("/sites", site(host="198.51.100.77"))).json()
    for answer in (
        await cast.ana.post("/sites", site() | wrong),
        await cast.ana.patch(f"/sites/{made['id']}", wrong),
        await cast.ana.post("/sites", [site() | wrong]),
        await cast.ana.client.post(f"{API}/sites", content=json.dumps(site() | wrong)[:-1]),
        await cast.ana.client.post(f"{API}/sites", content=json.dumps(site() | wrong).encode("utf-16")),
        await cast.vera.post("/sites", site() | wrong),
        await cast.ben.patch(f"/sites/{made['id']}", wrong),
    ):
        assert 400 <= answer.status_code < 500
        assert not names_contact(answer.text), answer.text


async def test_the_audit_keeps_that_there_is_one_and_not_who(cast: Cast, session: AsyncSession) -> None:
    made = (await cast.ana.post("/sites", site(**CONTACT))).json()
    await cast.ana.patch(f"/sites/{made['id']}", {"contact_name": f"{CONTACT_NAME} S.Pd."})
    await cast.ana.delete(f"/sites/{made['id']}")
    kept = [row for (row,) in await session.execute(text("SELECT cast(audit AS text) FROM audit"))]
    assert not names_contact(" ".join(kept))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path / "var")
    cluster.start()
    yield cluster
    cluster.stop()


def test_neither_our_log_nor_the_databases_names_one(cluster: Cluster, tmp_path: Path) -> None:
    """Also on failures: an invalid request, a duplicate host, a refused row, an unavailable database."""
    token = asyncio.run(prepare_database(cluster.url))
    api = Api(cluster.url, tmp_path / "api")
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30) as client:
        api.start()
        try:
            wait_for(lambda: api.ready, 60)
            sites = f"{api.url}{API}/sites"
            answers = [client.post(sites, json=site(**CONTACT)), client.post(sites, json=site(**CONTACT))]
            answers += [client.post(sites, json=site() | wrong) for wrong in WRONG]
            asyncio.run(_break(cluster.url))
            answers.append(client.post(sites, json=site(host="198.51.100.21", **CONTACT)))
            cluster.stop()
            answers.append(client.post(sites, json=site(host="198.51.100.22", **CONTACT)))
            statuses = [answer.status_code for answer in answers]
        finally:
            api.close()
    assert statuses == [201, 409, *[422] * len(WRONG), 500, 503]
    logs = [tmp_path / "api.log", *(cluster.home / "log").iterdir()]
    written = {file.name: file.read_text() for file in logs}
    assert "unexpected" in written["api.log"]
    assert "ERROR" in "".join(written.values())
    assert [name for name, words in written.items() if names_contact(words)] == []


async def _break(url: str) -> None:
    """Make the database refuse a row, with a message that holds the row."""
    engine = open_engine(url, name="test")
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE site ADD CONSTRAINT none CHECK (contact_name IS NULL) NOT VALID"))
    await engine.dispose()
