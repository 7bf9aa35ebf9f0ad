"""Concurrent imports, registrations and changes, on a database of their own with real commits."""

import asyncio
from collections.abc import AsyncIterator
from threading import Event
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from app.access import api_tokens
from app.access.models import Audit, Role
from app.access.scope import Caller
from app.contracts import assignment_changes
from app.contracts import store as contracts
from app.contracts.assignment_schemas import SiteAssignmentsIn
from app.contracts.schemas import ContractIn, ContractPatch
from app.core.errors import Invalid
from app.importing import report_content, sheets
from app.importing import store as importing
from app.importing.concurrency import run_in_thread
from app.importing.report_content import ReportContent
from app.importing.store import ImportResult, SourceFile
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.registry import providers, store
from app.registry.models import Site, SiteContract
from app.registry.schemas import SiteIn, SitePatch
from probes.policy import AddressPolicy
from tests.conftest import Cast, drop_database, make_database
from tests.factories import VILLAGE, site
from tests.support.imports import unreportable_workbook, upload

SARI = Caller(1, "sari", Role.PROVINCE_ADMIN, "64")
ROWS = 40
FILE = "Kode desa;Teknologi;Penyedia;SID;Cara ukur;IP\n" + "".join(
    f"64.02.05.{2003 + n % 4};fo;Telkom WMS;{n};icmp;198.51.100.{n}\n" for n in range(ROWS)
)


@pytest.fixture
async def committed(server_url: str, migrated_template: str) -> AsyncIterator[Sessions]:
    url = await make_database(server_url, migrated_template)
    engine = open_engine(url, name="test")
    sessions = open_sessions(engine)
    async with transaction(sessions) as session:
        await providers.ensure_providers(session, {"telkom-wms": "Telkom WMS"})
    yield sessions
    await engine.dispose()
    await drop_database(url, server_url)


async def import_file(sessions: Sessions, content: str = FILE) -> ImportResult:
    async with transaction(sessions) as session:
        return await importing.import_rows(
            session,
            sheets.read(content.encode()),
            SourceFile("kukar.csv", "0" * 64),
            caller=SARI,
            policy=AddressPolicy(),
            dry_run=False,
            partial=False,
        )


async def test_the_same_file_twice_at_once_registers_each_site_once(committed: Sessions) -> None:
    outcomes = await asyncio.gather(*(import_file(committed) for _ in range(4)))
    assert sorted(outcome.counts["create"] for outcome in outcomes) == [0, 0, 0, ROWS]
    assert sorted(outcome.counts["same"] for outcome in outcomes) == [0, ROWS, ROWS, ROWS]
    async with transaction(committed) as session:
        codes = list(await session.scalars(select(Site.code)))
        entries = await session.scalar(select(func.count()).select_from(Audit))
    assert len(codes) == len(set(codes)) == ROWS
    assert entries == ROWS + 1


async def test_imports_registrations_and_changes_at_once_wait_for_each_other(committed: Sessions) -> None:
    first = await import_file(committed)
    ids = [row.draft.created.id for row, _ in first.verdicts if row.draft is not None and row.draft.created is not None]

    async def create(n: int) -> None:
        async with transaction(committed) as session:
            body = SiteIn(**site(host=f"203.0.113.{n}"))
            await store.create_site(session, body, caller=SARI, policy=AddressPolicy())

    async def change(site_id: int) -> None:
        async with transaction(committed) as session:
            patch = SitePatch(ssid="baru")
            await store.patch_site(session, str(site_id), patch, caller=SARI, policy=AddressPolicy(), if_match=None)

    renamed = FILE.replace("198.51.100.", "203.0.112.")
    await asyncio.gather(
        import_file(committed, renamed),
        *(create(n) for n in range(4)),
        *(change(i) for i in reversed(ids[:4])),
        import_file(committed, FILE.replace("198.51.100.", "203.0.111.")),
    )
    async with transaction(committed) as session:
        sites = list(await session.scalars(select(Site)))
    assert len({each.code for each in sites}) == ROWS + 4
    assert {each.code for each in sites if each.host and each.host.startswith("203.0.113.")} == {
        f"{VILLAGE}-{n}" for n in (11, 12, 13, 14)
    }
    assert sum(each.ssid == "baru" for each in sites) == 4


async def test_renumbering_a_contract_and_changing_its_sites_do_not_deadlock(committed: Sessions) -> None:
    contract = ContractIn.model_validate(
        {"number": "1", "provider": "telkom-wms", "valid_from": "2026-01-01", "sla_target_pct": 99}
    )
    async with transaction(committed) as session:
        contract_id = (await contracts.create_contract(session, contract, caller=SARI)).id
        site_id = (await store.create_site(session, SiteIn(**site()), caller=SARI, policy=AddressPolicy()))[0].id

    async def renumber(n: int) -> None:
        async with transaction(committed) as session:
            patch = ContractPatch(number=f"1-{n}")
            await contracts.patch_contract(session, contract_id, patch, caller=SARI, if_match=None)

    async def change(n: int) -> None:
        async with transaction(committed) as session:
            patch = SitePatch(contract_id=contract_id if n % 2 else None)
            await store.patch_site(session, str(site_id), patch, caller=SARI, policy=AddressPolicy(), if_match=None)

    for n in range(10):
        await asyncio.gather(*(write(4 * n + m) for m in range(4) for write in (renumber, change)))


async def test_of_two_contracts_that_claim_a_site_at_once_one_is_refused_and_names_the_other(
    committed: Sessions,
) -> None:
    terms = {"provider": "telkom-wms", "valid_from": "2026-01-01", "sla_target_pct": 99}
    async with transaction(committed) as session:
        made = [
            await contracts.create_contract(
                session, ContractIn.model_validate({"number": number, **terms}), caller=SARI
            )
            for number in ("K-1", "K-2")
        ]
        new_site, _ = await store.create_site(session, SiteIn(**site()), caller=SARI, policy=AddressPolicy())

    async def claim(contract_id: int) -> None:
        body = {"sites": [{"site": new_site.code, "from": "2026-02-01"}], "reason": "awal"}
        async with transaction(committed) as session:
            await assignment_changes.add_sites(
                session, contract_id, SiteAssignmentsIn.model_validate(body), caller=SARI
            )

    refused = [
        error for error in await asyncio.gather(*(claim(each.id) for each in made), return_exceptions=True) if error
    ]
    assert [type(error) for error in refused] == [Invalid]
    assert isinstance(refused[0], Invalid)
    (fault,) = refused[0].faults
    assert (fault.field, fault.code) == ("sites.0.from", "under_contract")
    assert fault.values["number"] in {"K-1", "K-2"}
    async with transaction(committed) as session:
        assert len(list(await session.scalars(select(SiteContract)))) == 1


async def test_imports_do_not_block_the_default_threads() -> None:
    """The default threads compress what dashboards poll."""
    over = Event()
    imports = [asyncio.create_task(run_in_thread(over.wait)) for _ in range(64)]
    await asyncio.sleep(0.1)
    try:
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(lambda: "done") == "done"
    finally:
        over.set()
        await asyncio.gather(*imports)


async def test_registrations_proceed_while_the_report_of_an_import_is_rendered(
    committed: Sessions, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.state.sessions = committed
    async with transaction(committed) as session:
        secret = await api_tokens.create_token(session, name="sari", role=Role.PROVINCE_ADMIN, region_code="64")
    rendering, finish, render = Event(), Event(), report_content.build

    def render_slowly(*arguments: Any, **options: Any) -> ReportContent:
        rendering.set()
        finish.wait(10)
        return render(*arguments, **options)

    monkeypatch.setattr(report_content, "build", render_slowly)
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test", headers={"Authorization": f"Bearer {secret}"}
    )
    async with client:
        importing = asyncio.create_task(
            client.post("/api/v1/sites/import", content=FILE.encode(), params={"format": "xlsx"})
        )
        try:
            assert await asyncio.to_thread(rendering.wait, 10)
            async with asyncio.timeout(5):
                registered = await client.post("/api/v1/sites", json=site(host="203.0.113.1"))
        finally:
            finish.set()
            imported = await importing
    assert (registered.status_code, imported.status_code) == (201, 200)


async def test_a_workbook_that_cannot_be_reported_on_is_refused_and_not_written(cast: Cast) -> None:
    data = unreportable_workbook()
    refused = await upload(cast.ana, data, format="xlsx")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "too_much_inside")
    assert (await cast.ana.get("/sites")).json()["items"] == []
    assert (await upload(cast.ana, data)).json()["counts"]["create"] == 1
