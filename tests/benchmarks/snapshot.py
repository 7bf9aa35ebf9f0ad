"""The status snapshot of 100,000 sites: time to build, memory, the cost of 1,000 changes, and of `since`."""

import asyncio
import gc
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from app.core.clock import utc_now
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.status.rendered import StatusFormat, StatusQuery, StatusRenderer
from app.status.snapshot import Snapshot
from app.status.status_filter import StatusFilter
from tests.benchmarks.polling import fill
from tests.conftest import make_database

SITES, CHANGED, ROUNDS = 100_000, 1_000, 10
CHANGE = """
    WITH counted AS (UPDATE change_counter SET version = version + 1 WHERE name = 'status' RETURNING version)
    UPDATE site_status SET state = CASE state WHEN 'up' THEN 'down' ELSE 'up' END, since = now(),
        version = counted.version
    FROM counted WHERE site_id % 100 = :turn
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            url = asyncio.run(_filled(cluster.url))
            measuring = multiprocessing.get_context("spawn").Process(target=_measure, args=(url,))
            measuring.start()
            measuring.join()
            if measuring.exitcode:
                raise SystemExit(measuring.exitcode)
        finally:
            cluster.stop()


async def _filled(server: str) -> str:
    url = await make_database(server)
    await fill(url, SITES)
    return url


def _measure(url: str) -> None:
    asyncio.run(_run(url))


async def _run(url: str) -> None:
    engine = open_engine(url, name="snapshot", command_timeout_s=None)
    sessions = open_sessions(engine)
    async with transaction(sessions) as session:
        await session.execute(text("SELECT 1"))
    gc.collect()
    before, snapshot = _resident_mb(), Snapshot(refresh_s=3600)
    renderer, whole = StatusRenderer(snapshot), StatusQuery(StatusFilter(("64",)))
    wall, cpu = time.perf_counter(), time.process_time()
    await snapshot.refresh(sessions)
    snapshot.tick(utc_now())
    print(
        f"{len(snapshot.entries):,} sites built in {time.perf_counter() - wall:.2f} s "
        f"({time.process_time() - cpu:.2f} s of our CPU; limit 3)"
    )
    print(f"memory: {before:.0f} MB before, {_resident_mb():.0f} MB after (limit 400)")
    changes, sinces, largest = [], [], 0
    for turn in range(ROUNDS):
        seen = snapshot.version
        await _change(sessions, turn)
        wall, cpu = time.perf_counter(), time.process_time()
        await snapshot.refresh(sessions)
        snapshot.tick(utc_now())
        changes.append((time.perf_counter() - wall, time.process_time() - cpu))
        wall = time.perf_counter()
        body = (await renderer.render(StatusQuery(StatusFilter(("64",)), since=seen))).body
        sinces.append(time.perf_counter() - wall)
        largest = max(largest, len(body))
    print(
        f"a change of {CHANGED:,}: {1000 * statistics.median(wall for wall, _ in changes):.1f} ms with reading it, "
        f"{1000 * statistics.median(cpu for _, cpu in changes):.1f} ms of our CPU (limit 50)"
    )
    print(f"since: {1000 * statistics.median(sinces):.1f} ms, {largest:,} bytes (limit 5)")
    wall = time.perf_counter()
    body = (await renderer.render(whole)).body
    print(
        f"everything: {1000 * (time.perf_counter() - wall):.0f} ms, {len(body):,} bytes; memory {_resident_mb():.0f} MB"
    )
    wall = time.perf_counter()
    body = (await renderer.render(StatusQuery(StatusFilter(("64",)), StatusFormat.METRICS))).body
    print(f"for Prometheus: {1000 * (time.perf_counter() - wall):.0f} ms in a thread, {len(body):,} bytes")
    await engine.dispose()


async def _change(sessions: Sessions, turn: int) -> None:
    async with transaction(sessions) as session:
        await session.execute(text(CHANGE), {"turn": turn})


def _resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError


if __name__ == "__main__":
    main()
