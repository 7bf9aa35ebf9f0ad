"""What probers delivered is judged as what the built-in one reads: once, in order, whoever else delivers nonsense."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from app.core.clock import floor_second, from_slot, to_slot, utc_now
from app.judging import ingest
from app.judging.addressed_block import AddressedBlock
from app.judging.blind_ranges import BlindRange
from app.judging.models import Blind
from app.judging.shards import ShardSeat
from app.postgres.engine import Sessions, transaction
from app.vantages import inbox
from app.vantages.inbox import PackedBlock
from app.worker.counters import WorkerCounters
from app.worker.judging_session import JudgingSessions
from app.worker.prober_consumer import ProberConsumer
from app.worker.process import Worker
from probes.contract import VANTAGES, Outcome, Reading
from probes.reading_wire import encode
from tests.conftest import Cast
from tests.factories import register
from tests.support.rejudged_village import HOURS, Village, assert_same, backdate

OK, TIMEOUT, FAULT = Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT

MOVE = (
    "UPDATE site SET addressed_at = :at WHERE id = :id",
    "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id",
    """
    INSERT INTO site_configuration (site_id, started_at, kind, lifecycle, technology, provider_id, probe,
        addressed_at, village_code, presence, vantages)
    SELECT site_id, :at, kind, lifecycle, technology, provider_id, probe, :at, village_code, presence, vantages
    FROM site_configuration WHERE site_id = :id
    """,
)


class VantageVillage(Village):
    """Looked at by probers of vantage 1 alone."""

    def __init__(self, sessions: Sessions, ids: Sequence[int], start: Any, random: Random) -> None:
        super().__init__(sessions, ids, start, random)
        self.consumer = ProberConsumer(JudgingSessions(sessions), WorkerCounters())

    async def queue(self, readings: Sequence[Reading], *, addressed_at: Any = None, shard: int = 0) -> None:
        block = AddressedBlock.of((reading, addressed_at or self.start) for reading in readings)
        packed = PackedBlock(len(block), encode(block.readings, block.addressed_at), shard)
        async with transaction(self.sessions) as session:
            await inbox.enqueue(session, [packed], prober_id=None, vantage=1, received_at=utc_now())

    async def deliver(self, readings: Sequence[Reading]) -> None:
        await self.queue(readings)
        await self.consumer.consume()

    async def stored(self) -> Any:
        """Written by a transaction of the judge's, which knows what is in memory alone."""
        await self.consumer.judging.write_moved(at_once=True)
        return await super().stored()


@pytest.fixture
async def village(sessions: Sessions, cast: Cast, session: AsyncSession) -> VantageVillage:
    named = await cast.sari.client.put("/api/v1/vantages/1", json={"name": "telkom", "label": "Telkom"})
    assert named.status_code == 200
    tower = await register(cast, host="127.9.9.1", kind="node", vantages=[1])
    sites = [
        await register(cast, host=f"127.9.9.{n}", vantages=[1], **fields)
        for n, fields in ((2, {"parent_id": tower["id"]}), (3, {"parent_id": tower["id"]}), (4, {}))
    ]
    start = floor_second(utc_now()) - timedelta(hours=HOURS + 1)
    await backdate(session, start)
    return VantageVillage(sessions, [site["id"] for site in (tower, *sites)], start, Random(0))


@pytest.mark.parametrize("seed", range(2))
async def test_a_village_looked_at_from_elsewhere_has_the_ledger_that_the_built_in_prober_gives(
    village: VantageVillage, seed: int
) -> None:
    """Late blocks, blocks that come twice from two probers, and workers that are killed included."""
    village.random = random = Random(seed)
    readings = village.random_readings()
    arriving = sorted(readings, key=lambda reading: reading.slot + random.choice([0] * 40 + [4000]))
    while arriving:
        until = arriving[0].slot + random.choice([45, 45, 600])
        size = max(next((n for n, reading in enumerate(arriving) if reading.slot >= until), len(arriving)), 1)
        batch, arriving = arriving[:size], arriving[size:]
        await village.queue(batch)
        if random.random() < 0.05:
            await village.queue(batch)
        if random.random() < 0.7:
            await village.consumer.consume()
        if random.random() < 0.03:
            village.consumer = ProberConsumer(JudgingSessions(village.sessions), WorkerCounters())
    await village.consumer.consume()
    assert_same(await village.stored(), await village.expected(readings))
    async with transaction(village.sessions) as session:
        sources = await session.execute(text("SELECT source, count(*) FROM measurement GROUP BY 1"))
        assert [tuple(row) for row in sources] == [("vantage-1", len(readings))]
        assert await session.scalar(text("SELECT count(*) FROM prober_inbox")) == 0


async def test_what_an_api_left_to_a_shard_that_is_none_any_more_is_judged_by_the_leader(
    village: VantageVillage,
) -> None:
    """It asks how many there are each 10 s, and goes by the answer before."""
    await village.queue([village.reading(village.ids[0], 0, OK)], shard=2)
    await village.consumer.consume()
    village.consumer.judging.seat = ShardSeat(0, 2)
    village.consumer.judging.is_loaded = False
    await village.queue([village.reading(village.ids[0], 60, OK)], shard=2)
    await village.queue([village.reading(village.ids[0], 120, OK)], shard=1)
    await village.consumer.consume()
    async with transaction(village.sessions) as session:
        assert list(await session.scalars(text("SELECT shard FROM prober_inbox"))) == [1], "its own holder's"
        assert await session.scalar(text("SELECT count(*) FROM measurement")) == 2


async def test_steady_rounds_are_judged_as_columns(village: VantageVillage) -> None:
    for second in range(0, 600, 60):
        await village.deliver([village.reading(site, second, OK) for site in village.ids])
    counters = village.consumer.counters
    assert counters.judged_at_once == 9 * len(village.ids)
    assert (counters.prober_blocks, counters.prober_readings) == (10, 40)


async def test_a_gap_in_which_a_prober_was_blind_is_ours_and_an_outage_beside_it_is_not_excused(
    village: VantageVillage,
) -> None:
    blind_site, lost_site = village.ids[3], village.ids[0]
    await village.deliver([village.reading(site, 0, OK) for site in (blind_site, lost_site)])
    faults = [replace(village.reading(blind_site, second, FAULT), reason="blind") for second in (60, 120, 180)]
    await village.deliver([*faults, *(village.reading(lost_site, second, TIMEOUT) for second in (60, 70, 80))])
    await village.deliver([village.reading(lost_site, 140, OK), village.reading(blind_site, 240, OK)])
    stored = await village.stored()
    seconds = {
        site: [
            (to_slot(each.started_at) - to_slot(village.start), each.state, each.unknown_reason)
            for each in stored[site][0]
        ]
        for site in (blind_site, lost_site)
    }
    assert seconds[blind_site][-3:] == [(0, "up", None), (60, "unknown", "blind"), (240, "up", None)]
    assert seconds[lost_site][-3:] == [(0, "up", None), (60, "down", None), (140, "up", None)]


async def test_a_reading_of_a_former_address_counts_for_the_time_when_it_was_the_sites(
    village: VantageVillage, session: AsyncSession
) -> None:
    """Spooled before the site moved, delivered after it."""
    site, moved_at = village.ids[3], village.start + timedelta(minutes=30)
    async with session.begin():
        for statement in MOVE:
            await session.execute(text(statement), {"at": moved_at, "id": site})
    before = [village.reading(site, second, OK) for second in range(0, 600, 60)]
    after = [village.reading(site, second, TIMEOUT) for second in (1800, 1860, 1920)]
    await village.deliver([*before, *after])
    async with transaction(village.sessions) as read:
        rows = await read.execute(text("SELECT slot, outcome, reason FROM measurement ORDER BY slot"))
        assert [(row.outcome, row.reason) for row in rows] == [("ok", None)] * 10 + [("fault", "moved")] * 3
    segments = (await village.stored())[site][0]
    states = [(to_slot(each.started_at) - to_slot(village.start), each.state) for each in segments]
    assert (0, "up") in states
    assert not [each for each in segments if each.state == "down"]


async def test_one_reading_on_which_our_own_code_raises_is_set_aside_and_keeps_no_other_waiting(
    village: VantageVillage, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, *good = village.ids
    real = ingest.ingest_readings

    async def judge(session: AsyncSession, readings: Any, *rest: Any, **options: Any) -> Any:
        if any(reading.key == bad for reading, _ in readings):
            raise AttributeError("no such field")
        return await real(session, readings, *rest, **options)

    monkeypatch.setattr(ingest, "ingest_readings", judge)
    await village.queue([village.reading(site, 0, OK) for site in village.ids])
    await village.queue([village.reading(site, 60, OK) for site in good])
    with capture_logs() as logs:
        await village.consumer.consume()
    (rejected,) = [log for log in logs if log["event"] == "prober_block_rejected"]
    assert type(rejected["exc_info"]) is AttributeError
    assert village.consumer.counters.refused_prober_blocks == 1
    stored = await village.stored()
    assert all(stored[site][0][-1].state == "up" for site in good)
    monkeypatch.setattr(ingest, "ingest_readings", real)
    async with transaction(village.sessions) as session:
        await village.consumer.start(session)
    await village.consumer.consume()
    assert (await village.stored())[bad][0][-1].state == "up", "it is tried again by the next worker"


async def test_a_block_that_this_version_cannot_decode_is_set_aside(village: VantageVillage) -> None:
    site = village.ids[3]
    async with transaction(village.sessions) as session:
        await inbox.enqueue(
            session, [PackedBlock(7, b"{")], prober_id=None, vantage=1, received_at=from_slot(to_slot(utc_now()))
        )
    await village.deliver([village.reading(site, 0, OK)])
    assert village.consumer.counters.refused_prober_blocks == 1
    assert (await village.stored())[site][0][-1].state == "up"
    assert VANTAGES[1] == "vantage-1"


async def test_a_stop_of_the_worker_excuses_no_look_of_a_prober_that_went_on(
    worker: Worker, session: AsyncSession
) -> None:
    """Of its own vantage: with nobody else there, the stop is a blind range."""
    start = floor_second(utc_now()) - timedelta(minutes=5)
    worker.context.buffer.put_blind(BlindRange(start, start + timedelta(minutes=1), "stopped"))
    await worker.writer.write()
    async with session.begin():
        await session.execute(
            text("INSERT INTO prober (name, vantage, digest, created_by, seen_at) VALUES ('a', 0, 'x', 'sari', now())")
        )
    worker.context.buffer.put_blind(BlindRange(start + timedelta(minutes=2), start + timedelta(minutes=3), "stopped"))
    await worker.writer.write()
    assert (await session.scalars(select(Blind.started_at))).all() == [start]


async def test_its_readings_evidence_and_latency_are_shown_with_where_they_were_taken(
    village: VantageVillage, cast: Cast
) -> None:
    site = village.ids[3]
    looks = [village.reading(site, second, OK) for second in range(0, 600, 60)]
    lost = [village.reading(site, second, TIMEOUT) for second in (600, 610, 620)]
    await village.deliver([*looks, *lost, village.reading(site, 680, OK)])
    bounds = {"from": village.start.isoformat(), "to": (village.start + timedelta(minutes=15)).isoformat()}
    read = (await cast.sari.get(f"/sites/{site}/measurements", params=bounds)).json()["items"]
    assert {each["source"] for each in read} == {"vantage-1"}
    segments = (await cast.sari.get(f"/sites/{site}/segments", params=bounds)).json()["items"]
    told = [(each["state"], each["evidence"]) for each in segments]
    assert told[-4:-1] == [(state, "vantage-1") for state in ("up", "down", "up")]
    latency = (await cast.sari.get(f"/sites/{site}/latency", params=bounds)).json()["total"]
    assert latency["samples"] == 33
    at = {"at": (village.start + timedelta(seconds=615)).isoformat()}
    explained = await cast.sari.get(f"/sites/{site}/explanation", params=at)
    said = (await cast.sari.get(f"/sites/{site}/evidence", params=at)).json()
    assert explained.status_code == 200, explained.text
    assert (said["ledger"]["state"], said["statements"][0]["witness"]) == ("down", "central")
