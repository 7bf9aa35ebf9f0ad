"""What judging sites of one, two and three vantages costs the worker, and whether that grows with time.

SITES=600 ROUNDS=30 python -m tests.benchmarks.vantage_cost. Each site is looked at each minute; what was read in five
seconds is delivered by all vantages and judged, as the worker's consumer does. CPU of this process, and of PostgreSQL.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from app.core.clock import floor_second, to_slot, utc_now
from app.judging.addressed_block import AddressedBlock
from app.measurements import partitions
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.vantages import inbox
from app.vantages.inbox import PackedBlock
from app.worker.counters import WorkerCounters
from app.worker.judging_session import JudgingSessions
from app.worker.prober_consumer import ProberConsumer
from probes.contract import VANTAGES, Outcome, Reading
from probes.reading_wire import encode
from tests.benchmarks.scale_registry import fill
from tests.conftest import make_database
from tests.support.demo_process import cpu_s

INTERVAL_S, DELIVERED_EVERY_S, RTT_US = 60, 5, 20_000
WARM_ROUNDS, SHOWN_ROUNDS = 15, 5
KINDS: Sequence[tuple[int, ...]] = ((0,), (0, 1), (0, 1, 2))
ONE_TECHNOLOGY = "UPDATE {} SET technology = 'fiber', parent_id = NULL, kind = 'access_point'"
LOOKED_AT = "UPDATE {} SET vantages = '{{{}}}'"
BACKDATED = (
    "UPDATE site SET addressed_at = '{0}', created_at = '{0}'",
    "UPDATE site_status SET addressed_at = '{0}', since = '{0}'",
    "UPDATE site_configuration SET started_at = '{0}', addressed_at = '{0}'",
)


def main() -> None:
    sites, rounds = int(os.environ.get("SITES", "600")), int(os.environ.get("ROUNDS", "30"))
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            for vantages in KINDS:
                asyncio.run(_measure(cluster, sites, rounds, vantages))
        finally:
            cluster.stop()


@dataclass
class Spent:
    worker_s: float = 0.0
    database_s: float = 0.0

    def ms_a_site(self, sites: int, rounds: int) -> str:
        worker, database = (1000 * spent / sites / rounds for spent in (self.worker_s, self.database_s))
        return f"{worker:.2f} + {database:.2f}"


async def _measure(cluster: Cluster, sites: int, rounds: int, vantages: tuple[int, ...]) -> None:
    url = await make_database(cluster.url)
    numbers = ",".join(map(str, vantages))
    start = floor_second(utc_now()) - timedelta(seconds=INTERVAL_S * (rounds + 2))
    changes = [statement.format(table) for table in ("site", "site_configuration") for statement in (ONE_TECHNOLOGY,)]
    changes += [LOOKED_AT.format(table, numbers) for table in ("site", "site_configuration")]
    await fill(url, sites, [*changes, *(statement.format(start.isoformat()) for statement in BACKDATED)])
    engine = open_engine(url, name="bench")
    sessions = open_sessions(engine)
    async with transaction(sessions) as session:
        await partitions.create_for(session, {start, utc_now()})
    consumer = ProberConsumer(JudgingSessions(sessions, refresh_s=15), WorkerCounters())
    spent = [await _round(cluster, sessions, consumer, sites, vantages, start, n) for n in range(rounds)]
    await engine.dispose()
    _report(spent, sites, vantages)


async def _round(
    cluster: Cluster,
    sessions: Sessions,
    consumer: ProberConsumer,
    sites: int,
    vantages: Sequence[int],
    start: datetime,
    number: int,
) -> Spent:
    """Return what a minute took: of this process what lies between its deliveries."""
    spent, before = Spent(), cpu_s(cluster.pid or 0)
    for blocks in _deliveries(sites, vantages, start, number):
        async with transaction(sessions) as session:
            for vantage, packed in blocks:
                await inbox.enqueue(session, [packed], prober_id=None, vantage=vantage, received_at=utc_now())
        began = time.process_time()
        await consumer.consume()
        await consumer.judge_waiting()
        await consumer.judging.write_moved()
        spent.worker_s += time.process_time() - began
    spent.database_s = cpu_s(cluster.pid or 0) - before
    return spent


def _deliveries(
    sites: int, vantages: Sequence[int], start: datetime, number: int
) -> Iterator[list[tuple[int, PackedBlock]]]:
    """Yield what all vantages deliver of each five seconds. All look at a site in the same second of the minute."""
    chance = np.random.default_rng(number)
    for first in range(0, INTERVAL_S, DELIVERED_EVERY_S):
        blocks = []
        for vantage in vantages:
            looks = [
                Reading(key, slot, Outcome.OK, 3, rtts, INTERVAL_S, None, VANTAGES[vantage])
                for key, slot in _due(sites, start, number, first)
                for rtts in [tuple(chance.integers(RTT_US, 2 * RTT_US, 3).tolist())]
            ]
            block = AddressedBlock.of((look, start) for look in looks)
            blocks.append((vantage, PackedBlock(len(block), encode(block.readings, block.addressed_at))))
        yield blocks


def _due(sites: int, start: datetime, number: int, first: int) -> Iterator[tuple[int, int]]:
    minute = to_slot(start) + number * INTERVAL_S
    for second in range(first, first + DELIVERED_EVERY_S):
        for key in range(second or INTERVAL_S, sites + 1, INTERVAL_S):
            yield key, minute + second


def _report(spent: Sequence[Spent], sites: int, vantages: Sequence[int]) -> None:
    print(f"{sites} sites of {len(vantages)} vantages; CPU ms a site and minute, worker + PostgreSQL:")
    for first in range(0, len(spent), SHOWN_ROUNDS):
        rounds = spent[first : first + SHOWN_ROUNDS]
        whole = Spent(sum(s.worker_s for s in rounds), sum(s.database_s for s in rounds))
        print(
            f"    minutes {first + 1:>3} to {first + len(rounds):>3}: {whole.ms_a_site(sites, len(rounds))}", flush=True
        )


if __name__ == "__main__":
    main()
