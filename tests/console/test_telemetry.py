"""Telemetri: what was said stands beside what was measured; sources are registered by admins, their secrets unseen."""

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, utc_now
from tests.conftest import Cast
from tests.support.console import Visitor
from tests.support.site_histories import site_since

NOW = floor_second(utc_now())
STRETCH = text("""
    INSERT INTO telemetry_stretch (site_id, kind, witness, started_at, seen_at, state, cause, samples, widest_gap_s,
        alerts, figures, heard_at)
    VALUES (:site, 'starlink_account', 'provider', :start, :end, 'up', NULL, 240, 15, '{obstructed}',
        '{"drop_rate": 0.02, "latency_ms": 41.0, "obstruction": 0.0125}', :start)
""")
DISAGREEMENT = text("""
    INSERT INTO telemetry_disagreement (site_id, kind, started_at, ended_at, witness, said)
    VALUES (:site, 'starlink_account', :start, :end, 'provider', 'up')
""")


async def test_what_was_said_stands_on_the_sites_page_and_a_difference_is_told(
    cast: Cast, session: AsyncSession, province: Visitor, reader: Visitor
) -> None:
    site = await site_since(session, cast, NOW - timedelta(days=2), technology="leo")
    values = {"site": site, "start": NOW - timedelta(hours=2), "end": NOW - timedelta(hours=1)}
    async with session.begin():
        await session.execute(STRETCH, values)
        await session.execute(DISAGREEMENT, values)
    page = await reader.get(f"/console/sites/{site}")
    assert "1 kali berkata lain daripada hasil ukur" in page.text
    page = await reader.get(f"/console/sites/{site}/telemetry")
    assert "akun Starlink penyedia" in page.text
    assert "latensi 41 ms" in page.text
    assert "terhalang" in page.text
    assert not page.tree.xpath("//main//form")
    english = await province.get(f"/console/sites/{site}/telemetry?lang=en")
    assert "Where it differs from what was measured" in english.text


async def test_an_account_and_a_terminal_are_registered_and_removed(
    cast: Cast, session: AsyncSession, province: Visitor, officer: Visitor
) -> None:
    site = await site_since(session, cast, NOW - timedelta(days=2), technology="leo")
    accounts = await province.get("/console/telemetry")
    typed = {"name": "Akun Telkomsat", "provider": "telkom-wms", "client_id": "c1", "client_secret": "sangat-rahasia"}
    wrong = await province.submit(accounts, "/console/telemetry", **typed, base_url="http://starlink.example/api")
    assert wrong.status == 422
    assert "base_url" in wrong.errors()
    assert "sangat-rahasia" not in wrong.response.text
    assert (await province.submit(accounts, "/console/telemetry", **typed)).status == 303
    shown = await province.get("/console/telemetry")
    assert "Akun Telkomsat" in shown.text
    assert "sangat-rahasia" not in shown.response.text
    path = f"/console/sites/{site}/telemetry"
    page = await province.get(path)
    terminal = {"account": "Akun Telkomsat", "device_id": "ut01000000-00000000-006d6312"}
    saved = await province.post(f"{path}/starlink_account", page.form("/starlink_account") | terminal)
    assert saved.status == 303
    router = {"host": "198.51.100.20", "interface": "3", "version": "v2c", "community": "komunitas-rahasia"}
    assert (await province.post(f"{path}/snmp", page.form("/snmp") | router)).status == 303
    refused = await province.post(f"{path}/snmp", page.form("/snmp") | router | {"host": "10.0.0.1"})
    assert "host" in refused.errors()
    assert refused.form("/snmp")["interface"] == "3"
    assert "komunitas-rahasia" not in refused.response.text
    page = await province.get(path)
    assert "198.51.100.20" in page.text
    assert (await province.post(f"{path}/snmp", page.form("/snmp") | {"do": "remove"})).status == 303
    assert "198.51.100.20" not in (await province.get(path)).text
    assert (await officer.get("/console/telemetry")).status == 403
