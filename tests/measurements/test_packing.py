"""Hours that are over are packed; readings are found, added and cut wherever they are."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot, to_slot, utc_now
from app.measurements import corrupt_packs, day_packs, pack_store, packing, partitions, reader, store
from app.measurements.packing_backlog import PackingBacklog, read_backlog
from app.postgres.engine import Sessions, transaction
from probes.contract import AGENT, CENTRAL, SILENCE, Outcome, Reading
from tests.support.packed_hours import pack_until

NOW = utc_now()
HOUR = timedelta(hours=1)
START = partitions.day_of(NOW).start - timedelta(days=2)
A, B, C = 71, 72, 73


def reading(
    site: int, at: datetime, *, source: str = CENTRAL, lost: bool = False, reason: str | None = None
) -> Reading:
    rtts = () if lost else (20_000 + to_slot(at) % 977, 21_000, 70_000)
    return Reading(site, to_slot(at), Outcome.TIMEOUT if lost else Outcome.OK, 3, rtts, 60, reason, source)


def hours_of(site: int, hours: int, *, source: str = CENTRAL, from_: datetime = START) -> list[Reading]:
    """Return a reading every five minutes, some of them lost."""
    return [
        reading(site, from_ + timedelta(minutes=5 * n, seconds=site), source=source, lost=n % 7 == 3)
        for n in range(12 * hours)
    ]


READINGS = sorted(
    [
        *hours_of(A, 30),
        *hours_of(B, 5),
        *hours_of(B, 3, source=AGENT),
        *hours_of(C, 2, source=SILENCE, from_=START + 4 * HOUR),
    ],
    key=lambda each: (each.key, each.slot, (CENTRAL, AGENT, SILENCE).index(each.source)),
)


async def step(sessions: Sessions) -> bool:
    async with transaction(sessions) as session:
        return await packing.pack_rows(session, NOW)


@pytest.fixture
async def recorded(sessions: Sessions) -> Sessions:
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE rollup_watermark SET upto = :at"), {"at": START})
        await store.record(session, READINGS[::-1])
    return sessions


async def everything(session: AsyncSession) -> list[Reading]:
    return (await reader.read_all(session, START - HOUR, NOW)).readings()


async def count_rows(session: AsyncSession, until: datetime) -> int:
    return await session.scalar(text("SELECT count(*) FROM measurement WHERE slot < :at"), {"at": until}) or 0


async def of_ranges(session: AsyncSession, *ranges: tuple[int, datetime, datetime]) -> list[Reading]:
    return (await reader.read(session, ranges)).readings()


@pytest.mark.parametrize("packed_hours", [0, 1, 24, 29])
async def test_readers_find_the_same_however_many_hours_are_packed(recorded: Sessions, packed_hours: int) -> None:
    until = START + packed_hours * HOUR
    await pack_until(recorded, until)
    async with transaction(recorded) as session:
        watermarks = await partitions.read_watermarks(session)
        assert watermarks == {"packing": until, "packed": until}
        if packed_hours >= 24:  # a partition of a day is dropped once its last hour is packed
            assert await count_rows(session, START + 24 * HOUR) == 0
        assert await everything(session) == READINGS
        assert (await partitions.oldest_reading_at(session) or NOW) <= START
        start, end = START + timedelta(minutes=90, microseconds=1), START + 2 * HOUR
        late = START + 28 * HOUR
        ranges = (B, start, end), (A, start, end), (A, start, start + HOUR), (A, late, late + 3 * HOUR)
        expected = [
            each
            for each in READINGS
            if any(each.key == key and low <= from_slot(each.slot) < high for key, low, high in ranges)
        ]
        assert expected
        assert await of_ranges(session, *ranges) == expected
        lost = await reader.read_all(session, START, NOW, outcomes=[Outcome.TIMEOUT], sources=[CENTRAL], after=A)
        assert lost.readings() == [
            each for each in READINGS if each.key == B and each.source == CENTRAL and each.outcome is Outcome.TIMEOUT
        ]
        lossy = await reader.read(session, [(A, START, NOW)], lossy_only=True)
        assert lossy.readings() == [each for each in READINGS if each.key == A and each.outcome is Outcome.TIMEOUT]


async def test_an_hour_is_packed_once_it_has_been_over_for_an_hour_and_is_rolled_up(recorded: Sessions) -> None:
    await pack_until(recorded, NOW, now=START + 2 * HOUR + timedelta(minutes=59))
    async with transaction(recorded) as session:
        assert (await partitions.read_watermarks(session))["packed"] == START + HOUR


async def test_late_readings_of_packed_hours_are_added_once_and_make_their_hours_stale(recorded: Sessions) -> None:
    await pack_until(recorded, START + 5 * HOUR)
    late = [
        reading(A, START + timedelta(minutes=7), reason="late", lost=True),
        reading(C, START + timedelta(hours=1), source=AGENT),
        reading(A, START + timedelta(hours=20, seconds=2)),
    ]
    async with transaction(recorded) as session:
        await session.execute(
            text("UPDATE rollup_watermark SET upto = :at WHERE stage = 'closed'"), {"at": START + 5 * HOUR}
        )
        new = await store.record(session, [*late, late[0], READINGS[0]])
        assert new == [(each.key, from_slot(each.slot)) for each in late]
        assert await store.record(session, late) == []
        assert sorted(await everything(session), key=repr) == sorted([*READINGS, *late], key=repr)
        stale = (await session.execute(text("SELECT site_id, hour FROM stale_hour ORDER BY 1"))).all()
        assert [tuple(row) for row in stale] == [(A, START), (C, START + HOUR)]
        assert await store.sources_of(session, [(C, START + HOUR, Outcome.OK), (C, START + HOUR, Outcome.FAULT)]) == {
            (C, START + HOUR, Outcome.OK): AGENT
        }


async def test_a_late_reading_that_is_still_a_row_of_an_hour_being_packed_is_not_new(recorded: Sessions) -> None:
    async with transaction(recorded) as session:
        await session.execute(
            text("UPDATE rollup_watermark SET upto = :at WHERE stage = 'packing'"), {"at": START + HOUR}
        )
        await partitions.create_pack_days(session, [START])
        extra = reading(A, START + timedelta(minutes=3))
        assert len(await store.record(session, [READINGS[0], extra])) == 1
    await pack_until(recorded, START + HOUR)
    async with transaction(recorded) as session:
        assert sorted(await everything(session), key=repr) == sorted([*READINGS, extra], key=repr)


async def test_what_a_wrong_clock_recorded_is_cut_out_of_packs_and_rows(recorded: Sessions) -> None:
    await pack_until(recorded, START + 4 * HOUR)
    at = START + timedelta(hours=2, minutes=31)
    async with transaction(recorded) as session:
        popped = await store.pop_from(session, at, source=AGENT)
        assert popped == [each for each in READINGS if each.source == AGENT and each.slot >= to_slot(at)]
        assert await store.delete_from(session, at, sources=[CENTRAL, SILENCE]) == [A, B, C]
        assert await everything(session) == [each for each in READINGS if each.slot < to_slot(at)]
        assert (await partitions.read_watermarks(session))["packing"] == START + 2 * HOUR
        again = reading(A, at + HOUR)
        assert await store.record(session, [again]) == [(A, from_slot(again.slot))]
        assert await of_ranges(session, (A, at, NOW)) == [again]
    await pack_until(recorded, START + 6 * HOUR)
    async with transaction(recorded) as session:
        assert [*await everything(session)] == sorted(
            [*(each for each in READINGS if each.slot < to_slot(at)), again], key=lambda each: (each.key, each.slot)
        )


async def test_pages_of_a_site_are_the_same_from_packs_and_rows(recorded: Sessions) -> None:
    await pack_until(recorded, START + 2 * HOUR)
    own = sorted((each for each in READINGS if each.key == B), key=lambda each: (each.slot, each.source))
    async with transaction(recorded) as session:
        pages, after = list[Reading](), None
        while page := await store.list_readings(session, B, START, NOW, after=after, limit=7):
            pages += page
            after = from_slot(page[-1].slot), page[-1].source
        assert pages == own
        at = START + 4 * HOUR
        before = [each for each in own if each.slot < to_slot(at)]
        assert await store.list_last_before(session, B, START, at, limit=20) == before[-20:]
        assert await store.list_last_before(session, B, START - 30 * HOUR, at, limit=10_000) == before


async def test_a_backlog_is_told_until_it_is_packed_and_times_without_readings_are_none(sessions: Sessions) -> None:
    upto = text(
        "UPDATE rollup_watermark SET upto = CASE WHEN stage = 'hours' THEN cast(:hours AS timestamptz) ELSE :packed END"
    )
    async with transaction(sessions) as session:
        await session.execute(upto, {"packed": START - 4 * HOUR, "hours": START + 10 * HOUR})
        assert await read_backlog(session, NOW, beyond=6 * HOUR) == PackingBacklog()
        await store.record(session, hours_of(A, 10))
        backlog = await read_backlog(session, NOW, beyond=6 * HOUR)
        assert (backlog.lag, backlog.size_bytes > 8_000) == (10 * HOUR, True)
        assert await read_backlog(session, NOW, beyond=10 * HOUR) == PackingBacklog()
    await pack_until(sessions, START + 10 * HOUR)
    async with transaction(sessions) as session:
        assert await read_backlog(session, NOW, beyond=6 * HOUR) == PackingBacklog()


async def test_a_corrupt_pack_costs_its_hour_and_is_told(recorded: Sessions) -> None:
    await pack_until(recorded, START + 24 * HOUR)
    async with transaction(recorded) as session:
        await session.execute(
            text(
                "UPDATE reading_pack SET pack = set_byte(pack, 9, 255 - get_byte(pack, 9)) "
                "WHERE site_id = :a AND hour = :at"
            ),
            {"a": A, "at": START + HOUR},
        )
        left = [
            each for each in READINGS if each.key != A or not START + HOUR <= from_slot(each.slot) < START + 2 * HOUR
        ]
        assert await everything(session) == left
        assert await everything(session) == left
        assert (corrupt_packs.count(), corrupt_packs.met_here().packs) == (1, 1)
        late = reading(A, START + HOUR + timedelta(seconds=5))
        assert len(await store.record(session, [late])) == 1
        assert sorted(await everything(session), key=repr) == sorted([*left, late], key=repr)
        kept = (await session.execute(text("SELECT site_id, hour, length(pack) > 9 FROM corrupt_pack"))).one()
        assert tuple(kept) == (A, START + HOUR, True)


async def test_packs_of_an_old_day_become_one_and_late_readings_still_go_in(
    recorded: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pack_until(recorded, START + 30 * HOUR)
    later = NOW + timedelta(days=40)
    monkeypatch.setattr(pack_store, "utc_now", lambda: later)
    for _ in range(20):
        async with transaction(recorded) as session:
            if not await day_packs.pack_days(session, later, sites_a_step=1):
                break
    async with transaction(recorded) as session:
        packs = (
            await session.execute(text("SELECT site_id, source, span, readings FROM reading_pack ORDER BY hour, 1, 2"))
        ).all()
        days = [(A, 0, 24, 288), (B, 0, 24, 60), (B, 1, 24, 36), (C, 2, 24, 24), (A, 0, 24, 72)]
        assert [tuple(row) for row in packs] == days
        assert await everything(session) == READINGS
        at = START + timedelta(hours=3, minutes=1)
        ranges = (A, at, at + HOUR), (B, START + 26 * HOUR, START + 27 * HOUR)
        assert await of_ranges(session, *ranges) == [
            each for each in READINGS if each.key == A and at <= from_slot(each.slot) < at + HOUR
        ]
        late = [reading(A, at), reading(C, at, source=AGENT)]
        assert len(await store.record(session, late)) == 2
        assert await store.record(session, late) == []
        assert sorted(await everything(session), key=repr) == sorted([*READINGS, *late], key=repr)
        cut = START + timedelta(hours=2, minutes=3)
        await store.delete_from(session, cut, sources=[CENTRAL, AGENT, SILENCE])
        assert await everything(session) == [each for each in READINGS if each.slot < to_slot(cut)]


async def test_a_day_of_packs_is_dropped_when_its_retention_is_over(recorded: Sessions) -> None:
    await pack_until(recorded, START + 30 * HOUR)
    async with transaction(recorded) as session:
        await session.execute(
            text("UPDATE rollup_watermark SET upto = :at WHERE stage IN ('hours', 'looks')"), {"at": START + 30 * HOUR}
        )
        dropped = []
        while (name := await partitions.drop_oldest(session, START + timedelta(days=9), keep_days=8)) is not None:
            dropped.append(name)
        assert dropped[-1] == partitions.day_of(START, partitions.PACKS).name
        assert await everything(session) == [each for each in READINGS if from_slot(each.slot) >= START + 24 * HOUR]
        assert await partitions.oldest_reading_at(session) == START + 24 * HOUR


async def test_a_gap_of_weeks_is_passed_in_a_few_steps(sessions: Sessions) -> None:
    far = partitions.day_of(NOW - timedelta(days=60)).start
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE rollup_watermark SET upto = :at"), {"at": far})
        await partitions.create_for(session, [far])
        await store.record(session, [reading(A, far + HOUR), reading(A, NOW)])
        await session.execute(text("UPDATE rollup_watermark SET upto = :at WHERE stage = 'hours'"), {"at": NOW})
    steps = 0
    while await step(sessions):
        steps += 1
    assert steps < 150, "an hour a step where there are readings"
    async with transaction(sessions) as session:
        assert (await partitions.read_watermarks(session))["packed"] == partitions.hour_of(NOW - 2 * HOUR).end
        found = await of_ranges(session, (A, far, NOW + HOUR))
        assert found == [reading(A, far + HOUR), reading(A, NOW)]
