"""Sistem and Pemeriksaan daftar."""

from datetime import timedelta

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.worker import writer as worker
from app.worker.counters import WorkerCounters
from tests.conftest import Cast
from tests.factories import register
from tests.support.console import Visitor


async def test_the_first_sentence_says_whether_monitoring_works(
    app: FastAPI, officer: Visitor, province: Visitor, session: AsyncSession
) -> None:
    assert "belum ada yang diukur" in (await officer.get("/console/system")).text
    async with session.begin():
        now = utc_now()
        figures = WorkerCounters(canaries={"127.255.0.1": 1, "127.255.0.2": 1}, overruns=4).as_dict()
        await worker.write_beat(session, now=now, started_at=now, blind_since=None, figures=figures)
        started_at = now - timedelta(hours=2)
        await session.execute(
            text("INSERT INTO blind (source, started_at, ended_at, reason) VALUES ('central', :at, :until, 'uplink')"),
            {"at": started_at, "until": started_at + timedelta(minutes=5)},
        )
    page = await officer.get("/console/system")
    assert "Pemantauan berjalan baik" in page.text
    assert "jalur kita sendiri putus" in page.text
    assert "127.255.0.1" not in page.text
    everything = await province.get("/console/system")
    for words in ("127.255.0.1", "Putaran; terlalu lama", "Basis data", "Penyangga"):
        assert words in everything.text
    assert "What is counted" in (await province.get("/console/system?lang=en")).text


async def test_findings_of_the_registry_lead_to_the_form_that_mends_them(
    cast: Cast, officer: Visitor, reader: Visitor, session: AsyncSession
) -> None:
    first, _ = await register(cast), await register(cast, probe="tcp", port=443)
    await register(cast, village_code="64.03.01.2001", host="198.51.100.9", provider="iconplus", technology="leo")
    page = await officer.get("/console/checks?check=duplicate_host")
    assert "198.51.100.20" in page.text
    assert page.tree.xpath(f'//main//a[@href="/console/sites/{first["id"]}/edit"]')
    assert "64.03.01.2001" not in page.text
    whole = await officer.get("/console/checks")
    assert whole.tree.xpath('//main//a[starts-with(@href, "/console/sites/new?village_code=64.02.")]')
    assert "/edit" not in (await reader.get("/console/checks?check=unpingable")).response.text
    assert (await officer.get("/console/checks?region=64.03")).status == 403
    assert (await officer.get("/console/checks?check=nonsense")).status == 422
