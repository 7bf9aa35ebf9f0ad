"""Lost readings are counted by the columns of packs and by the readings themselves: both ways count the same."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot, to_slot, utc_now
from app.measurements import day_packs, loss_counts, pack_store, partitions, store
from app.measurements.loss_counts import count_losses
from app.postgres.engine import Sessions, transaction
from probes.contract import AGENT, CENTRAL, SILENCE, Outcome, Reading
from tests.support.packed_hours import pack_until

NOW = utc_now()
HOUR = timedelta(hours=1)
START = partitions.day_of(NOW).start - timedelta(days=3)
A, B = 81, 82
SOURCES_OF = {A: (CENTRAL, AGENT), B: (SILENCE,)}

READINGS = [
    Reading(site, to_slot(START) + 300 * n, Outcome.TIMEOUT if n % 3 else Outcome.OK, 3, (), 60, None, source)
    for site, sources in SOURCES_OF.items()
    for source in sources
    for n in range(12 * 30)
]
RANGES = [
    (site, START + timedelta(seconds=start), START + timedelta(seconds=end))
    for site in (A, B, 83)
    for start, end in (
        (0, 86_400),
        (1, 3_600),
        (2, 3_599),
        (3_600, 7_200),
        (3_601.5, 30_000.5),
        (7_000, 108_000),
        (86_400, 108_001),
        (100_000, 200_000),
        (-90_000, 100_000),
        (-90_001, -3_600),
    )
]


def counted() -> dict[tuple[int, datetime], dict[str, int]]:
    counts = {
        (site, start): Counter(
            each.source
            for each in READINGS
            if each.key == site and each.outcome is Outcome.TIMEOUT and start <= from_slot(each.slot) < end
        )
        for site, start, end in RANGES
    }
    return {key: dict(count) for key, count in counts.items() if count}


async def count(session: AsyncSession) -> dict[tuple[int, datetime], dict[str, int]]:
    return await count_losses(session, RANGES)


@pytest.fixture
async def recorded(sessions: Sessions) -> Sessions:
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE rollup_watermark SET upto = :at"), {"at": START})
        await store.record(session, READINGS)
    return sessions


async def test_losses_are_the_same_however_many_hours_are_packed(recorded: Sessions) -> None:
    for hours in (0, 1, 5, 24, 30):
        await pack_until(recorded, START + hours * HOUR)
        async with transaction(recorded) as session:
            assert await count(session) == counted()


async def test_losses_are_the_same_when_days_are_packed(recorded: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    await pack_until(recorded, START + 30 * HOUR)
    later = START + timedelta(days=37)
    for module in (pack_store, loss_counts):
        monkeypatch.setattr(module, "utc_now", lambda: later)
    async with transaction(recorded) as session:
        while await day_packs.pack_days(session, later):
            pass
        spans = await session.scalars(text("SELECT DISTINCT span FROM reading_pack ORDER BY span"))
        assert spans.all() == [1, 24]
        assert await count(session) == counted()


async def test_packs_wholly_within_an_outage_are_not_opened(recorded: Sessions) -> None:
    await pack_until(recorded, START + 24 * HOUR)
    async with transaction(recorded) as session:
        await session.execute(
            text("UPDATE reading_pack SET pack = '' WHERE hour > :first AND hour < :last"),
            {"first": START, "last": START + 23 * HOUR},
        )
        start, end = START + timedelta(minutes=7), START + timedelta(hours=23, minutes=30)
        assert await count_losses(session, [(B, start, end)]) == {(B, start): {SILENCE: 187}}
