"""What a device claims, merged: as much as it says, less what it lost itself, in whatever order it comes."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.core.clock import to_slot, utc_now
from app.judging import claim_store
from app.judging.claims import LATE, Claim, claims_of_push, lost_ranges, merge_claims
from app.measurements import store as measurements
from app.postgres.engine import Sessions, transaction
from probes.contract import AGENT, Outcome, Reading
from tests.conftest import Cast
from tests.factories import register

START = datetime(2026, 11, 24, tzinfo=UTC)


def late(second: int, *, lost: bool = False, valid_s: int = 60, start: datetime = START, site: int = 1) -> Reading:
    outcome, rtt_us = (Outcome.TIMEOUT, ()) if lost else (Outcome.FAULT, (20_000,) * 3)
    return Reading(site, to_slot(start) + second, outcome, 3, rtt_us, valid_s, LATE, AGENT)


def push(*readings: Reading, received: int, start: datetime = START, site: int = 1) -> list[Claim]:
    at = start + timedelta(seconds=received)
    return claims_of_push(site, readings, at, address="36.70.1.9", boot="b")


def seconds(claims: list[Claim], start: datetime = START) -> list[tuple[int, int]]:
    return [
        (round((claim.started_at - start).total_seconds()), round((claim.ended_at - start).total_seconds()))
        for claim in claims
    ]


def test_each_row_claims_until_the_next_one_or_until_that_is_overdue() -> None:
    assert seconds(push(late(0), late(60), late(200), late(260), received=300)) == [(0, 144), (200, 300)]
    assert seconds(push(late(0), late(60), received=70)) == [(0, 70)], "none reaches beyond its receipt"
    assert push(late(0, lost=True), received=900) == []


def test_an_answer_before_a_loss_claims_its_own_second_alone_for_the_link_went_some_time_in_between() -> None:
    assert seconds(push(late(0), late(60), late(120, lost=True), received=900)) == [(0, 61)]


def test_what_is_shorter_than_a_beat_is_no_claim_for_the_link_goes_and_comes_within_a_look() -> None:
    assert push(late(0), late(60, lost=True), received=900) == []
    assert push(late(0), received=59) == []


def test_what_a_device_lost_itself_is_lost_from_loss_to_loss() -> None:
    assert lost_ranges([(0, 60), (70, 60), (400, 60)]) == [(0, 130), (400, 460)]


SLOTS = st.lists(st.tuples(st.integers(0, 2000), st.booleans()), max_size=40)


@given(SLOTS, st.randoms())
def test_the_order_in_which_claims_come_decides_nothing(rows: list[tuple[int, bool]], random: Random) -> None:
    claims = [claim for second, lost in rows if not lost for claim in push(late(second), received=5000)]
    lost = lost_ranges([(to_slot(START) + second, 60) for second, lost in rows if lost])
    at_once = merge_claims(claims, lost)
    random.shuffle(claims)
    one_by_one: list[Claim] = []
    for claim in claims:
        one_by_one = merge_claims([*one_by_one, claim], lost if random.random() < 0.5 else [])
    assert seconds(merge_claims(one_by_one, lost)) == seconds(at_once)
    covered = {second for start, end in seconds(at_once) for second in range(start, end)}
    denied = {second - to_slot(START) for start, end in lost for second in range(start, end)}
    said = {s for second, is_lost in rows if not is_lost for s in range(second, second + 84)}
    assert covered == said - denied


@pytest.mark.parametrize("seed", range(4))
async def test_claims_and_losses_that_arrive_in_any_order_and_twice_are_stored_alike(
    sessions: Sessions, cast: Cast, seed: int
) -> None:
    random, start = Random(seed), utc_now().replace(microsecond=0) - timedelta(hours=2)
    sites = [(await register(cast, probe="push", host=None))["id"] for _ in range(3)]
    rows = [
        [late(second, lost=random.random() < 0.3, start=start, site=site) for second in range(base, base + 400, 60)]
        for site in sites
        for base in random.sample(range(5000), 12)
    ]
    random.shuffle(rows)
    for readings in [*rows, *rows[:5]]:
        async with transaction(sessions) as session:
            await measurements.record(session, readings)
            claims = push(*readings, received=7000, start=start, site=readings[0].key)
            await claim_store.record(session, claims, readings)
    async with transaction(sessions) as session:
        stored = await claim_store.claims_of(session, sites, start, utc_now())
        lost = await session.execute(text("SELECT site_id, slot FROM measurement WHERE outcome = 'timeout'"))
        denied = [(row.site_id, to_slot(row.slot)) for row in lost]
    for site in sites:
        own = [readings for readings in rows if readings[0].key == site]
        claims = [claim for readings in own for claim in push(*readings, received=7000, start=start, site=site)]
        expected = merge_claims(claims, lost_ranges([(slot, 60) for site_id, slot in denied if site_id == site]))
        assert seconds(stored[site], start) == seconds(expected, start)
