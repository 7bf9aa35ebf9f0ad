"""The ledger is a function of its inputs: in whatever order readings arrive, late or twice, it ends the same."""

from datetime import datetime, timedelta
from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, from_slot, to_slot, utc_now
from app.judging import ingest, propagation
from app.judging.blind_ranges import BlindRange
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import Sessions, transaction
from probes.contract import Outcome, Reading
from tests.conftest import Cast
from tests.factories import register
from tests.support.packed_hours import pack_until
from tests.support.rejudged_village import HOURS, OK, TIMEOUT, Village, assert_same, backdate


async def make_village(sessions: Sessions, cast: Cast, session: AsyncSession, seed: int) -> Village:
    tower = await register(cast, host="127.9.9.1", kind="node")
    children = [await register(cast, host=f"127.9.9.{n}", parent_id=tower["id"]) for n in (2, 3)]
    ids = [tower["id"], *(child["id"] for child in children), (await register(cast, host="127.9.9.4"))["id"]]
    start = floor_second(utc_now()) - timedelta(hours=HOURS + 1)
    await backdate(session, start)
    async with session.begin():
        if seed % 2:
            await _reconfigure(session, ids[1], start + timedelta(hours=1, seconds=7), "NULL, 'geo', addressed_at")
            await _reconfigure(session, ids[3], start + timedelta(hours=2, seconds=9), f"{ids[0]}, technology, :at")
    return Village(sessions, ids, start, Random(seed))


async def _reconfigure(session: AsyncSession, site_id: int, at: datetime, values: str) -> None:
    """Parent, technology and address from `at` on."""
    for statement in (
        "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id AND ended_at IS NULL",
        "INSERT INTO site_configuration (site_id, started_at, lifecycle, provider_id, village_code, "
        f"parent_id, technology, addressed_at) SELECT site_id, :at, lifecycle, provider_id, village_code, {values} "
        "FROM site_configuration WHERE site_id = :id",
    ):
        await session.execute(text(statement), {"at": at, "id": site_id})


@pytest.mark.parametrize("seed", range(12))
async def test_readings_that_arrive_late_twice_or_in_any_order_leave_the_same_ledger(
    sessions: Sessions, cast: Cast, session: AsyncSession, seed: int
) -> None:
    village = await make_village(sessions, cast, session, seed)
    readings, blind = village.random_readings(), village.random_blind_ranges(4)
    arriving = sorted(readings, key=lambda reading: reading.slot + village.random.choice([0, 0, 0, 200, 4000]))
    while arriving:
        size = village.random.choice([1, 5, 40, 200])
        batch, arriving = arriving[:size], arriving[size:]
        village.random.shuffle(batch)
        await village.ingest(batch + batch[:2], [blind.pop()] if blind and village.random.random() < 0.2 else [])
    await village.ingest([], blind)
    assert_same(await village.stored(), await village.expected(readings))


@pytest.mark.parametrize("seed", range(6))
async def test_the_ledger_is_the_same_where_hours_are_packed_meanwhile(
    sessions: Sessions, cast: Cast, session: AsyncSession, seed: int
) -> None:
    village = await make_village(sessions, cast, session, seed)
    readings, blind = village.random_readings(), village.random_blind_ranges(4)
    arriving = sorted(readings, key=lambda reading: reading.slot + village.random.choice([0, 0, 0, 200, 4000]))
    for first in range(0, len(arriving), 80):
        if village.random.random() < 0.3:
            await pack_until(sessions, from_slot(arriving[first].slot))
        batch = arriving[first : first + 80]
        await village.ingest(batch + batch[:2], [blind.pop()] if blind and village.random.random() < 0.2 else [])
    await pack_until(sessions, village.start + timedelta(hours=HOURS - 1))
    await village.ingest([], blind)
    assert_same(await village.stored(), await village.expected(readings))


@pytest.mark.parametrize("seed", range(6))
async def test_judging_any_window_again_changes_nothing(
    sessions: Sessions, cast: Cast, session: AsyncSession, seed: int
) -> None:
    village = await make_village(sessions, cast, session, seed)
    readings = sorted(village.random_readings(), key=lambda reading: reading.slot)
    for first in range(0, len(readings), 50):
        await village.ingest(readings[first : first + 50])
    before = await village.stored()
    for _ in range(10):
        start = village.start + timedelta(seconds=village.random.randrange(HOURS * 3600))
        ranges = [DirtyRange(i, start, start + timedelta(seconds=village.random.randrange(7200))) for i in village.ids]
        async with transaction(sessions) as writing:
            await propagation.rejudge_with_children(writing, ranges)
        assert await village.stored() == before


async def test_sites_below_a_tower_that_fails_are_unreachable_until_it_recovers(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await make_village(sessions, cast, session, 0)
    tower, child, _, other = village.ids

    def looks(site_id: int, *seconds: tuple[int, Outcome]) -> list[Reading]:
        return [village.reading(site_id, second, outcome) for second, outcome in seconds]

    async def states(site_id: int) -> list[tuple[int, str]]:
        segments = (await village.stored())[site_id][0]
        return [
            (round((segment.started_at - village.start).total_seconds()), segment.state.value) for segment in segments
        ]

    await village.ingest([*looks(tower, (0, OK)), *looks(child, (10, OK)), *looks(other, (10, OK))])
    await village.ingest([*looks(child, (70, TIMEOUT), (80, TIMEOUT)), *looks(other, (70, TIMEOUT), (80, TIMEOUT))])
    assert await states(child) == [(10, "up"), (70, "down")]
    result = await village.ingest(looks(tower, (75, TIMEOUT), (85, TIMEOUT)))
    assert await states(child) == [(10, "up"), (70, "unreachable")]
    assert await states(other) == [(10, "up"), (70, "down")], "it does not hang on the tower"
    assert child in {dirty.site_id for dirty in result.dirty_ranges}
    await village.ingest([*looks(tower, (120, OK)), *looks(child, (130, TIMEOUT)), *looks(child, (140, OK))])
    assert await states(child) == [(10, "up"), (70, "unreachable"), (130, "down"), (140, "up")]


async def test_a_tower_out_of_service_makes_no_site_unreachable(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await make_village(sessions, cast, session, 0)
    tower, child, *_ = village.ids
    looks = [(0, OK), (60, TIMEOUT), (70, TIMEOUT), (130, TIMEOUT), (190, TIMEOUT)]
    for site_id, count in ((tower, 3), (child, 5)):
        await village.ingest([village.reading(site_id, at, outcome) for at, outcome in looks[:count]])
    retired_at = village.start + timedelta(seconds=100)
    async with session.begin():
        for statement in (
            "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id",
            "INSERT INTO site_configuration (site_id, started_at, addressed_at, lifecycle, provider_id, "
            "technology, village_code) SELECT site_id, :at, addressed_at, 'retired', provider_id, technology, "
            "village_code FROM site_configuration WHERE site_id = :id",
        ):
            await session.execute(text(statement), {"at": retired_at, "id": tower})
    async with transaction(sessions) as writing:
        await propagation.rejudge_reconfigured(writing, [DirtyRange(tower, retired_at, utc_now())])
    segments = (await village.stored())[child][0]
    seen = [(round((segment.started_at - village.start).total_seconds()), segment.state.value) for segment in segments]
    assert seen == [(0, "up"), (60, "unreachable"), (130, "down")]


async def test_a_tower_that_was_out_before_and_after_a_blindness_was_out_all_along(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    """The site behind it is looked at first when we see again: it is no outage of its own."""
    village = await make_village(sessions, cast, session, 0)
    tower, child, *_ = village.ids

    def looks(site_id: int, *seconds: tuple[int, Outcome]) -> list[Reading]:
        return [village.reading(site_id, second, outcome) for second, outcome in seconds]

    for site_id in (tower, child):
        await village.ingest(looks(site_id, (0, OK), (60, TIMEOUT), (70, TIMEOUT)))
    blind = BlindRange(village.start + timedelta(seconds=75), village.start + timedelta(seconds=400), "uplink")
    await village.ingest(looks(child, (405, TIMEOUT), (415, TIMEOUT)), [blind])
    await village.ingest(looks(tower, (412, TIMEOUT), (422, TIMEOUT)))
    segments = (await village.stored())[child][0]
    seen = [(round((segment.started_at - village.start).total_seconds()), segment.state.value) for segment in segments]
    assert seen == [(0, "up"), (60, "unreachable"), (130, "unknown"), (405, "unreachable")]


async def test_our_blindness_within_a_towers_outage_ends_it_for_no_site_behind_it(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    """The tower answers again before a second loss could confirm that it was still out."""
    village = await make_village(sessions, cast, session, 0)
    tower, child, *_ = village.ids
    blind = BlindRange(village.start + timedelta(seconds=75), village.start + timedelta(seconds=133), "uplink")
    readings = [
        *((tower, at, outcome) for at, outcome in ((0, OK), (60, TIMEOUT), (70, TIMEOUT), (136, TIMEOUT), (146, OK))),
        *((child, at, outcome) for at, outcome in ((0, OK), (61, TIMEOUT), (67, TIMEOUT), (134, TIMEOUT))),
        *((child, at, outcome) for at, outcome in ((144, TIMEOUT), (152, TIMEOUT), (162, TIMEOUT), (170, OK))),
    ]
    arriving = [village.reading(*reading) for reading in sorted(readings, key=lambda reading: reading[1])]
    for reading in arriving:
        await village.ingest([reading], [blind] if reading.slot - to_slot(village.start) == 134 else [])
    for site_id, expected in (
        (tower, [(0, "up"), (60, "down"), (130, "unknown"), (146, "up")]),
        (child, [(0, "up"), (61, "unreachable"), (127, "unknown"), (134, "unreachable"), (152, "down"), (170, "up")]),
    ):
        segments = (await village.stored())[site_id][0]
        assert [
            (round((segment.started_at - village.start).total_seconds()), segment.state.value) for segment in segments
        ] == expected
    assert_same(await village.stored(), await village.expected(arriving))


async def test_a_tower_at_an_address_that_never_answered_hides_nothing(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await make_village(sessions, cast, session, 0)
    tower, child, *_ = village.ids
    for site_id in (tower, child):
        await village.ingest([village.reading(site_id, at, TIMEOUT if at else OK) for at in (0, 60, 70)])
    async with session.begin():
        await session.execute(
            text("UPDATE site SET addressed_at = :at WHERE id = :id"),
            {"at": village.start + timedelta(seconds=100), "id": tower},
        )
        await _reconfigure(session, tower, village.start + timedelta(seconds=100), "NULL, technology, :at")
    async with transaction(sessions) as writing:
        readings = [
            (village.reading(tower, 110, TIMEOUT), village.start + timedelta(seconds=100)),
            (village.reading(child, 120, TIMEOUT), village.start),
        ]
        await ingest.ingest_readings(writing, readings)
    segments = (await village.stored())[child][0]
    assert [segment.state.value for segment in segments] == ["up", "unreachable", "down"]


async def test_a_loss_is_not_confirmed_over_a_stop_of_ours_however_unknown_the_site_was_before(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await make_village(sessions, cast, session, 0)
    site = village.ids[3]
    readings = [village.reading(site, at, TIMEOUT if at else OK) for at in (0, 300, 430)]
    for reading in readings[:2]:
        await village.ingest([reading])
    blind = BlindRange(village.start + timedelta(seconds=365), village.start + timedelta(seconds=400), "stopped")
    await village.ingest(readings[2:], [blind])
    assert_same(await village.stored(), await village.expected(readings))
    assert [segment.state.value for segment in (await village.stored())[site][0]] == ["up", "unknown"]


async def test_a_site_registered_long_ago_and_in_service_for_an_hour_is_rejudged_like_any_other(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await make_village(sessions, cast, session, 0)
    site = village.ids[3]
    async with session.begin():
        old = {"old": village.start - timedelta(days=60), "id": site}
        await session.execute(text("UPDATE site SET created_at = :old WHERE id = :id"), old)
    looks = [village.reading(site, second, outcome) for second, outcome in ((0, OK), (60, TIMEOUT), (70, TIMEOUT))]
    await village.ingest(looks)
    blind = BlindRange(village.start + timedelta(seconds=55), village.start + timedelta(seconds=80), "uplink")
    await village.ingest([], [blind])
    assert [segment.state.value for segment in (await village.stored())[site][0]] == ["up", "unknown"]


async def test_readings_of_a_site_that_cannot_be_rejudged_continue_from_its_present_state(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await make_village(sessions, cast, session, 0)
    site, now = village.ids[3], HOURS * 3600
    await backdate(session, village.start - timedelta(days=60))
    await village.ingest([village.reading(site, now - 60, OK)])
    await village.ingest([village.reading(site, now - 120, OK), village.reading(site, now, OK)])
    seen_at = (await village.stored())[site][2].seen_at
    assert seen_at == village.start + timedelta(seconds=now)


async def test_a_new_reading_is_judged_though_it_comes_with_a_blind_range_of_long_ago(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await make_village(sessions, cast, session, 0)
    site, last = village.ids[3], HOURS * 3600
    lost = (120, 1200, 1260)  # an outage after the blindness: there the state begins anew, whatever was before
    await village.ingest([village.reading(site, at, TIMEOUT if at in lost else OK) for at in range(0, last, 60)])
    blind = BlindRange(village.start + timedelta(seconds=119), village.start + timedelta(seconds=130), "uplink")
    await village.ingest([village.reading(site, last, OK)], [blind])
    assert (await village.stored())[site][2].seen_at == village.start + timedelta(seconds=last)


async def test_what_was_judged_with_readings_that_are_lost_since_stays(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    """A corrupt pack's hour is not judged again without it, neither before nor after late readings replaced it."""
    village = await make_village(sessions, cast, session, 0)
    site_id, other = village.ids[0], village.ids[3]
    looks = [(at, TIMEOUT if 1200 <= at < 3000 else OK) for at in range(0, HOURS * 3600, 60)]
    for each in (site_id, other):
        await village.ingest([village.reading(each, *look) for look in looks])
    await pack_until(sessions, village.start + timedelta(hours=HOURS))
    async with session.begin():
        await session.execute(
            text("UPDATE reading_pack SET pack = set_byte(pack, 9, 255 - get_byte(pack, 9)) WHERE site_id = :id"),
            {"id": site_id},
        )
    before = await village.stored()
    start = village.start + timedelta(seconds=2000)
    result = await village.rejudge(DirtyRange(each, start, start) for each in (site_id, other))
    assert (await village.stored(), result.skipped) == (before, {site_id})
    await village.ingest([village.reading(site_id, 2005, OK), village.reading(other, 2005, OK)])
    after = await village.stored()
    assert (after[site_id], after[other] == before[other]) == (before[site_id], False)
    assert (await village.rejudge([DirtyRange(site_id, start, start)])).skipped == {site_id}
