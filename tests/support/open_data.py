"""A closed month of two villages, with an outage of a known cause, latency and speed tests, to be published."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.latency.histograms import GAMMA
from app.public.editions import store
from app.public.editions.edition import Edition, Terms
from app.public.editions.models import OpenDataEdition, OpenDataFile
from app.public.publication import Publication
from app.settings import PublicSettings
from app.throughput.models import Mode, SpeedtestStatus, ThroughputTest
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE
from tests.support.histogram import bucket_of
from tests.support.monthly_close import AFTERWARDS, CLOSES, MONTH, START
from tests.support.site_histories import execute, record_cause, set_states, site_since
from tests.support.uptime import count

OUTAGE, OUTAGE_H = START + timedelta(days=9), 4
NOW = CLOSES  # when only that month may be published
HERE_STATES = ((OUTAGE, "down"), (OUTAGE + timedelta(hours=OUTAGE_H), "up"), AFTERWARDS)


async def write_month(session: AsyncSession, cast: Cast) -> tuple[int, int]:
    """Write two sites with the month's states, and count its days; return their ids."""
    here = await site_since(session, cast, START, *HERE_STATES)
    unmonitored = ((START + timedelta(days=15), "unknown"), AFTERWARDS)
    there = await site_since(session, cast, START, *unmonitored, village_code=BERAU_VILLAGE, technology="leo")
    await record_cause(session, here, OUTAGE, OUTAGE + timedelta(hours=OUTAGE_H), "power")
    await write_outage(session, here, OUTAGE, OUTAGE + timedelta(hours=OUTAGE_H))
    await write_latency(session, here, 20_000, packets=1000, lost=10)
    await write_speed(session, here, 18.0, 12.0, 6.0)
    await count(session)
    return here, there


async def write_outage(session: AsyncSession, site_id: int, start: datetime, end: datetime) -> None:
    async with session.begin():
        incident = await session.scalar(
            text(
                "INSERT INTO incident (kind, status, opened_at, started_at, ended_at, confirmed_at, version) "
                "VALUES ('single', 'resolved', :a, :a, :b, :a, 1) RETURNING id"
            ),
            {"a": start, "b": end},
        )
        await session.execute(
            text(
                "INSERT INTO incident_site (incident_id, site_id, started_at, ended_at, confirmed_at, unseen_s) "
                "VALUES (:incident, :site, :a, :b, :a, 0)"
            ),
            {"incident": incident, "site": site_id, "a": start, "b": end},
        )


async def write_latency(session: AsyncSession, site_id: int, rtt_us: int, *, packets: int, lost: int) -> None:
    assert GAMMA > 1
    await execute(
        session,
        "INSERT INTO rollup_day (site_id, day, sent, received, rtt_sum, jitter_sum, jitter_count, rtt_min, rtt_max, "
        "bucket, upto) VALUES (:site, :day, :sent, :received, :sum, 0, 0, :rtt, :rtt, "
        "ARRAY[cast(:bucket AS smallint)], ARRAY[cast(:received AS int)])",
        site=site_id,
        day=MONTH,
        sent=packets,
        received=packets - lost,
        sum=rtt_us * (packets - lost),
        rtt=rtt_us,
        bucket=bucket_of(rtt_us),
    )


async def write_speed(session: AsyncSession, site_id: int, *down_mbps: float) -> None:
    async with session.begin():
        row = (
            await session.execute(
                text("SELECT technology, provider_id, village_code FROM site WHERE id = :id"), {"id": site_id}
            )
        ).one()
        for number, mbps in enumerate(down_mbps):
            at = START + timedelta(days=number + 1)
            values: dict[str, Any] = dict(row._mapping)
            session.add(
                ThroughputTest(
                    site_id=site_id,
                    planned_at=at,
                    month=MONTH,
                    mode=Mode.PULL,
                    status=SpeedtestStatus.DONE,
                    max_s=10,
                    allowed_down_bytes=10_000_000,
                    allowed_up_bytes=0,
                    reserved_bytes=0,
                    waits_until=at,
                    down_bytes=0,
                    up_bytes=0,
                    down_mbps=mbps,
                    **values,
                )
            )


async def more_is_known(session: AsyncSession, site_id: int) -> None:
    """The month's outage becomes an hour longer by what arrives later."""
    ended = OUTAGE + timedelta(hours=OUTAGE_H + 1)
    await set_states(session, site_id, (START, "up"), (OUTAGE, "down"), (ended, "up"), AFTERWARDS)
    await execute(
        session,
        "DELETE FROM counted_day WHERE day = :day",
        "DELETE FROM availability_day WHERE day = :day",
        "DELETE FROM outage_part WHERE day = :day",
        day=MONTH + timedelta(days=9),
    )
    await count(session)


async def publish(session: AsyncSession, now: datetime = NOW, **settings: Any) -> Edition | None:
    publication = Publication.from_settings(PublicSettings(**settings))
    async with session.begin():
        return await store.publish_next(session, publication, url="https://sinyal.example.go.id", now=now)


async def make_edition(session: AsyncSession) -> str:
    """Write an edition with one file; return its month as it stands in addresses."""
    terms = Terms.of(Publication.from_settings(PublicSettings()), url=None, simulated=False)
    row = {"month": MONTH, "version": 1, "published_at": NOW, "checked_at": NOW, "sha256": "0" * 64}
    file = {"month": MONTH, "version": 1, "name": "kamus.csv", "sha256": "0" * 64, "size": 1, "body": b"a"}
    async with session.begin():
        await session.execute(insert(OpenDataEdition), [row | {"terms": terms.as_json()}])
        await session.execute(insert(OpenDataFile), [file])
    return f"{MONTH:%Y-%m}"
