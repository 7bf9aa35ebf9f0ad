"""Twelve agents in BusyBox ash and dash over cuts, restarts, wrong clocks, full disks and failing answers. As root.

`DURATION` in seconds (an hour), `BEAT_S` (60), `SEED`: with shorter beats the same happens faster.
"""

import asyncio
import contextlib
import itertools
import os
import tempfile
from pathlib import Path

import structlog

from app.postgres.embedded import Cluster
from app.postgres.engine import open_engine, open_sessions
from app.runtime.migrate import migrate
from tests.conftest import make_database
from tests.support import agent_trial
from tests.support.agent_trial import Outcome
from tests.support.served_api import served

DURATION_S = float(os.environ.get("DURATION", "3600"))
BEAT_S = int(os.environ.get("BEAT_S", "60"))
SEED = int(os.environ.get("SEED", "19"))


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder) / "postgres")
        cluster.start()
        try:
            outcomes = asyncio.run(_run(cluster.url, Path(folder)))
        finally:
            cluster.stop()
    _show(outcomes)


async def _run(server_url: str, folder: Path) -> list[Outcome]:
    url = await make_database(server_url)
    engine = open_engine(url, name="bench")
    await migrate(engine)
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(served(url, open_sessions(engine), anchors=["127.0.8.1"]))
        kinds = itertools.product(("openwrt", "linux"), agent_trial.CLOCKS, (False, True))
        subjects = [
            await stack.enter_async_context(
                agent_trial.subject(
                    server, folder / f"box{n}", kind=kind, clock=clock, has_rtc=has_rtc, beat_s=BEAT_S, has_cron=True
                )
            )
            for n, (kind, clock, has_rtc) in enumerate(kinds)
        ]
        outcomes = await agent_trial.run(server, subjects, duration_s=DURATION_S, beat_s=BEAT_S, seed=SEED)
    await engine.dispose()
    return outcomes


def _show(outcomes: list[Outcome]) -> None:
    print(f"{DURATION_S:.0f} s at a beat of {BEAT_S} s, seed {SEED}")
    print(f"{'':<26} measured  stored  dropped  unreported  with RAM  in flight  worst  problems / what happened")
    for one in outcomes:
        print(
            f"{one.name:<26} {one.measured:>8} {one.stored:>7} {one.dropped:>8} {one.unreported:>11} "
            f"{one.lost_with_ram:>9} "
            f"{one.in_flight:>10} {one.worst_s:>4.0f} s  {'; '.join(one.problems) or 'none'}\n{'':>28}{one.events}"
        )
    measured, stored = sum(one.measured for one in outcomes), sum(one.stored for one in outcomes)
    wrong = sum(bool(one.problems) for one in outcomes)
    print(f"{measured} rows measured, {stored} stored once, {wrong} agents with problems")
