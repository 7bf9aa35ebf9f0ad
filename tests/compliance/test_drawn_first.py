"""Of tests that wait for the same gateway, those of drawn sites start first."""

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, today, utc_now
from app.profiles import profiles
from app.throughput import store
from app.throughput.planner import list_speedtest_sites
from tests.conftest import Cast
from tests.factories import register
from tests.support.compliance_rows import add_tests

DRAW = """
    INSERT INTO compliance_sample (period, method, public_text, public_source, seed, starts_on, ends_on, recorded_by)
        VALUES ('uji', 'Metode v1', 'teks publik', 'sumber publik', '00', :first, :next, 'sari');
    INSERT INTO compliance_sampled_site (period, site_id, provider_id, technology, village_code, of_sites, rank)
        SELECT 'uji', id, provider_id, technology, village_code, 2, 1 FROM site WHERE id = :site
"""


async def start(session: AsyncSession) -> list[int]:
    """Start what may start; return whose test it was."""
    sites = {site.id: site for site in await list_speedtest_sites(session, profiles())}
    return [pull.site_id for pull in await store.start_waiting(session, sites, utc_now())]


async def test_a_drawn_site_is_tested_before_one_that_has_waited_longer(session: AsyncSession, cast: Cast) -> None:
    now = floor_second(utc_now())
    urls = [f"http://198.51.100.{n}/10MB.bin" for n in (1, 2)]
    waiting, drawn = [
        (await register(cast, host=f"198.51.100.{n}", speed_url=url))["id"] for n, url in enumerate(urls, 1)
    ]
    for site, minutes in ((waiting, 9), (drawn, 1)):
        await add_tests(session, site, now - timedelta(minutes=minutes), 1, mode="pull", status="waiting")
    async with session.begin():
        await session.execute(
            text("UPDATE throughput_test SET waits_until = :until, started_at = NULL, down_bytes = 0, up_bytes = 0"),
            {"until": now + timedelta(minutes=20)},
        )
        await session.execute(
            text("UPDATE site_status SET state = 'up', evidence_at = :now, valid_s = 3600"), {"now": now}
        )
    undone = await session.begin()
    assert await start(session) == [waiting]
    await undone.rollback()
    async with session.begin():
        for statement in DRAW.split(";\n"):
            values = {"first": today(), "next": today() + timedelta(days=31), "site": drawn}
            bound = {name: value for name, value in values.items() if f":{name}" in statement}
            await session.execute(text(statement), bound)
    async with session.begin():
        assert await start(session) == [drawn]
