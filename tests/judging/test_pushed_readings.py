"""Pushed readings and silences, in any order: the ledger ends as one fold over all of them."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot, to_slot, utc_now
from app.judging import blind_ranges, ingest, judge_context, propagation
from app.judging.blind_ranges import BlindRange
from app.judging.claims import LATE, is_claim
from app.judging.fold import fold, fold_order
from app.judging.rejudge import initial_state
from app.judging.segments import apply_changes
from app.measurements import store as measurements
from app.postgres.engine import Sessions, transaction
from app.push.timestamps import NOT_SENT
from probes.contract import AGENT, CENTRAL, SILENCE, Outcome, Reading
from tests.conftest import Cast
from tests.factories import register
from tests.support.rejudged_village import HOURS, Village, assert_same, backdate

OK, TIMEOUT, FAULT = Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT


class Devices(Village):
    """A pushing tower, two pushing sites behind it, one of them metered, and one alone."""

    def device_life(self, site_id: int, every: int) -> list[Reading]:
        """Readings of each minute at the device's own pace, with stretches without power or without a link."""
        found, second = [], float(self.random.randrange(60))
        while second < HOURS * 3600:
            mood = self.random.choice(["well"] * 6 + ["cut", "dark", "lossy"])
            for _ in range(self.random.randrange(3, 25)):
                second += 60 + self.random.choice([0, 0, 0, 1, -1, 2])
                if mood == "cut" or second >= HOURS * 3600:
                    continue
                found.append(self._measured(site_id, int(second), every, mood))
        return found

    def _measured(self, site_id: int, second: int, every: int, mood: str) -> Reading:
        slot, live = to_slot(self.start) + second, self.random.random() < 60 / every
        if mood == "dark" and not live:
            return Reading(site_id, slot, TIMEOUT, 3, (), 60, "claimed", AGENT)
        answered = self.random.choice([3, 3, 2, 0]) if mood == "lossy" else 3
        if not live and self.random.random() < 0.3:
            return Reading(site_id, slot, FAULT, 3, (20_000,) * 3, 60, LATE, AGENT)
        sent = self.random.choice([3, 3, 3, 0])
        return Reading(site_id, slot, OK, sent, (20_000,) * min(sent, answered), every if live else 60, None, AGENT)

    def silences(self, site_id: int, every: int, life: Sequence[Reading]) -> list[Reading]:
        """More silences than are plausible: here and there between readings, and wherever there are none."""
        begins = [to_slot(self.start), *(reading.slot for reading in life)]
        ends = [*begins[1:], to_slot(self.start) + HOURS * 3600]
        found = []
        for begin, end in zip(begins, ends, strict=True):
            missed = end - begin > 1.4 * every
            if missed or self.random.random() < 0.1:
                slots = range(begin + every, end + 1 if missed else begin + every + 1, every)
                found += [Reading(site_id, slot, TIMEOUT, 0, (), every, "not heard", SILENCE) for slot in slots]
        return found

    def rows_beside(self, silences: Sequence[Reading], life: Sequence[Reading]) -> list[Reading]:
        """What a device may send afterwards for the very seconds of silences, or near them."""
        taken = {reading.slot for reading in life}
        found = {}
        for silence in silences:
            slot = silence.slot + self.random.choice([0, 0, 1, 20])
            if self.random.random() < 0.3 and slot not in taken:
                outcome, reason = self.random.choice([(FAULT, NOT_SENT), (TIMEOUT, LATE)])
                found[slot] = Reading(silence.key, slot, outcome, 3 * (outcome is TIMEOUT), (), 60, reason, AGENT)
        return list(found.values())


async def make_devices(sessions: Sessions, cast: Cast, session: AsyncSession, seed: int) -> Devices:
    push = {"probe": "push", "host": None}
    tower = await register(cast, kind="node", **push)
    near = await register(cast, parent_id=tower["id"], **push)
    far = await register(cast, parent_id=tower["id"], technology="geo", **push)
    alone = await register(cast, **push)
    start = utc_now().replace(microsecond=0) - timedelta(hours=HOURS + 1)
    await backdate(session, start)
    return Devices(sessions, [one["id"] for one in (tower, near, far, alone)], start, Random(seed))


@pytest.mark.parametrize("seed", range(8))
async def test_pushes_and_silences_that_arrive_late_twice_or_in_any_order_leave_the_same_ledger(
    sessions: Sessions, cast: Cast, session: AsyncSession, seed: int
) -> None:
    field = await make_devices(sessions, cast, session, seed)
    readings: list[Reading] = []
    for site_id, every in zip(field.ids, (60, 60, 300, 60), strict=True):
        life = field.device_life(site_id, every)
        silences = field.silences(site_id, every, life)
        readings += [*life, *silences, *field.rows_beside(silences, life)]
    ingest_blind, central_blind = field.random_blind_ranges(3), field.random_blind_ranges(2)
    arriving = sorted(readings, key=lambda reading: reading.slot + field.random.choice([0, 0, 100, 700, 6000]))
    while arriving:
        size = field.random.choice([1, 5, 40, 200])
        batch, arriving = arriving[:size], arriving[size:]
        field.random.shuffle(batch)
        for source, ranges in ((SILENCE, ingest_blind), (CENTRAL, central_blind)):
            found = [ranges.pop()] if ranges and field.random.random() < 0.1 else []
            async with transaction(sessions) as writing:
                items = [(reading, None) for reading in batch + batch[:2]]
                await ingest.ingest_readings(writing, items, found, source=source)
    async with transaction(sessions) as writing:
        await ingest.ingest_readings(writing, [], ingest_blind, source=SILENCE)
        await ingest.ingest_readings(writing, [], central_blind)
    stored, expected = await field.stored(), {}
    async with transaction(sessions) as reading:
        for site_id in field.ids:
            context = (
                await judge_context.load(reading, [site_id], blind_ranges.BLINDNESS_SOURCE, field.start, utc_now())
            )[site_id]
            evidence = [one for one in readings if one.key == site_id and not is_claim(one)]
            own = sorted(evidence, key=fold_order)
            folded = fold(initial_state(context.configurations[0]), own, context)
            expected[site_id] = apply_changes([], folded.changes), folded.checkpoints, folded.state
    assert_same(stored, expected)
    assert any(segment.state.value == "down" for segments, _, _ in stored.values() for segment in segments)


async def test_sites_below_a_pushing_tower_that_is_silent_are_unreachable(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    field = await make_devices(sessions, cast, session, 0)
    tower, near, _, alone = field.ids

    async def take(site_id: int, *looks: tuple[int, Outcome, str], reason: str | None = None) -> None:
        async with transaction(sessions) as writing:
            await ingest.ingest_readings(
                writing,
                [
                    (Reading(site_id, to_slot(field.start) + second, outcome, 0, (), 60, reason, source), None)
                    for second, outcome, source in looks
                ],
            )

    for site_id in (tower, near, alone):
        await take(site_id, (0, OK, AGENT))
    for site_id in (near, alone):
        await take(site_id, (60, TIMEOUT, SILENCE), (120, TIMEOUT, SILENCE))
    await take(tower, (60, TIMEOUT, SILENCE), (120, TIMEOUT, SILENCE))
    stored = await field.stored()
    found = {site_id: [segment.state.value for segment in stored[site_id][0]] for site_id in field.ids}
    assert (found[tower], found[near], found[alone]) == (["up", "down"], ["up", "unreachable"], ["up", "down"])
    await take(tower, (61, FAULT, AGENT), (121, FAULT, AGENT), reason=LATE)
    assert await field.stored() == stored, "what the tower claims afterwards changes nothing"


async def test_pushing_sites_neither_raise_a_mass_outage_hold_nor_are_held(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    field = await make_devices(sessions, cast, session, 0)
    sites = [
        (await register(cast, probe="push", host=None, provider="iconplus" if n % 2 else "telkom-wms"))["id"]
        for n in range(12)
    ]
    await backdate(session, field.start)
    for second, outcome, source in ((0, OK, AGENT), (60, TIMEOUT, SILENCE), (120, TIMEOUT, SILENCE)):
        async with transaction(sessions) as writing:
            slot = to_slot(field.start) + second
            result = await ingest.ingest_readings(
                writing, [(Reading(site_id, slot, outcome, 0, (), 60, None, source), None) for site_id in sites]
            )
    assert {(site.state.value, site.pending) for site in result.judged} == {("down", False)}
    async with session.begin():
        assert await session.scalar(text("SELECT count(*) FROM suspicion")) == 0


async def test_pushed_readings_move_back_with_a_clock_that_is_set_back_and_none_is_lost(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    field = await make_devices(sessions, cast, session, 0)
    site, ahead = field.ids[3], 3600
    now = to_slot(utc_now())
    slots = [now - 180, now - 120, now + ahead - 60, now + ahead]
    readings = [Reading(site, slot, OK, 3, (20_000,) * 3, 60, None, AGENT) for slot in slots]
    readings.append(Reading(site, now + ahead + 60, TIMEOUT, 0, (), 60, None, SILENCE))
    async with transaction(sessions) as writing:
        await ingest.ingest_readings(writing, [(reading, None) for reading in readings])
    async with transaction(sessions) as writing:
        await propagation.rejudge_after_clock_set_back(writing, from_slot(now), by=timedelta(seconds=ahead))
        kept = await writing.execute(
            text("SELECT slot, source FROM measurement WHERE site_id = :id ORDER BY slot"), {"id": site}
        )
        assert [(to_slot(row.slot) - now, row.source) for row in kept] == [
            (-180, AGENT),
            (-120, AGENT),
            (-60, AGENT),
            (0, AGENT),
        ]
    segments, _, state = (await field.stored())[site]
    assert [segment.state.value for segment in segments] == ["up"]
    assert state.seen_at == from_slot(now)


async def test_readings_that_share_a_second_get_distinct_slots(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    field = await make_devices(sessions, cast, session, 0)
    site, slot = field.ids[0], to_slot(field.start)
    same = [Reading(site, slot, OK, 3, (1000 + n,), 60, None, AGENT) for n in range(500)]
    async with transaction(sessions) as writing:
        for _ in range(2):
            apart = await measurements.in_distinct_slots(writing, same)
            assert len(await measurements.record(writing, apart)) == 500
        slots = await writing.scalars(text("SELECT slot FROM measurement WHERE site_id = :id"), {"id": site})
        assert sorted(map(to_slot, slots)) == list(range(slot, slot + 1000))


async def test_the_hold_of_a_metered_sites_reading_is_known_wherever_it_bears(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    """A live push of a metered site is valid for five minutes: what is found out 12 minutes later bears on it still."""
    field = await make_devices(sessions, cast, session, 0)
    metered = field.ids[2]
    assert propagation.longest_hold() == timedelta(seconds=750)
    pushed = [Reading(metered, to_slot(field.start) + second, OK, 0, (), 300, None, AGENT) for second in (0, 800)]
    async with transaction(sessions) as writing:
        await ingest.ingest_readings(writing, [(reading, None) for reading in pushed])
    deaf = BlindRange(field.start + timedelta(seconds=700), field.start + timedelta(seconds=790), "ingest")
    async with transaction(sessions) as writing:
        await ingest.ingest_readings(writing, [], [deaf], source=SILENCE)
    reasons = [(segment.state.value, segment.unknown_reason) for segment in (await field.stored())[metered][0]]
    assert reasons == [("up", None), ("unknown", "blind"), ("up", None)]
