"""`kill -9` of the service's processes at any moment while it probes and takes in pushes: what is lost, what is untrue.

KILLS=30 SITES=1000 python -m tests.benchmarks.kills. Every host answers all the time, and every device pushes all the
time: whatever is told to be down is an outage of ours. Exits with 1 if a reading that was stored, or a push that was
acknowledged, is missing, or if any second is down.
"""

import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from app.postgres.embedded import EmbeddedError
from tests.benchmarks.scale_service import Service, register, service
from tests.support.demo_process import wait_for

INTERVAL_S, PUSHING, PUSH_EVERY_S, RECOVERED_S = 10, 50, 3.0, 120.0
VICTIMS = ("worker",) * 4 + ("database",) * 3 + ("ingest", "api", "courier")
TOKEN = "bench-{}"

PUSH = f"""
    UPDATE site SET probe = 'push', host = NULL WHERE id <= {PUSHING};
    UPDATE site_configuration SET probe = 'push' WHERE site_id <= {PUSHING};
    INSERT INTO device_token (site_id, digest, created_by)
    SELECT id, sha256(convert_to('bench-' || id, 'UTF8')), 'bench' FROM site WHERE id <= {PUSHING}
"""
UP = "SELECT count(*) FROM site_status WHERE state = 'up'"
STORED = "SELECT site_id, slot, source FROM measurement WHERE slot >= now() - make_interval(secs => $1)"
BEAT = "SELECT extract(epoch FROM beat_at)::float FROM worker_beat WHERE source = 'central'"
PUSHED = "SELECT site_id, count(*) FROM measurement WHERE source = 'agent' GROUP BY 1"
WAITING = "SELECT count(*) FROM push_inbox"
UNTRUE = """
    SELECT g.site_id, g.state, g.unknown_reason, g.started_at, g.ended_at,
        extract(epoch FROM coalesce(g.ended_at, now()) - g.started_at)::float AS seconds
    FROM state_segment g WHERE g.state IN ('down', 'unreachable')
"""
ANSWERED_ELSEWHERE = """
    SELECT count(*) FROM measurement m JOIN state_segment g ON g.site_id = m.site_id
        AND g.started_at <= m.slot AND coalesce(g.ended_at, 'infinity') > m.slot
    WHERE m.outcome = 'ok' AND m.source IN ('central', 'agent') AND g.state NOT IN ('up', 'degraded')
"""
SECONDS = """
    SELECT state, unknown_reason, sum(extract(epoch FROM coalesce(ended_at, now()) - started_at))::float AS seconds
    FROM state_segment GROUP BY 1, 2 ORDER BY 3 DESC
"""


class Devices(threading.Thread):
    """Push for some sites; what has no answer is sent again, with the same number."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: Counter[int] = Counter()
        self.cut_off = 0
        self._url, self._ends = f"{url}/api/v1/push", threading.Event()
        self._client = httpx.Client(timeout=10, trust_env=False)

    def run(self) -> None:
        number = 0
        while not self._ends.wait(PUSH_EVERY_S):
            number += 1
            for site in range(1, PUSHING + 1):
                self._push(site, number)

    def _push(self, site: int, number: int) -> None:
        body = {"boot": "bench", "seq": number, "uptime_s": 3600 + time.monotonic(), "sent": 3, "rtt_ms": [21, 22, 23]}
        headers = {"Authorization": f"Bearer {TOKEN.format(site)}"}
        while not self._ends.is_set():
            try:
                answer = self._client.post(self._url, json=body, headers=headers)
            except httpx.HTTPError:
                self.cut_off += 1
            else:
                if answer.is_success:
                    result = answer.json()
                    assert not result["rejected"], result
                    self.acknowledged[site] += 1
                    return
            self._ends.wait(0.1)

    def end(self) -> None:
        self._ends.set()
        self.join(60)
        self._client.close()


def main() -> None:
    kills, sites, chance = int(os.environ.get("KILLS", "30")), int(os.environ.get("SITES", "1000")), random.Random(3)
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent:
        folder = Path(parent, "data")
        register(folder, sites, *PUSH.split(";"))
        with service(folder, SINYAL_PROBE__INTERVAL_S=str(INTERVAL_S)) as running:
            devices = Devices(running.ingest_url)
            devices.start()
            wait_for(lambda: running.query(UP)[0][0] == sites, 300, every_s=1)
            stored, took_s = _kill(running, kills, chance)
            wait_for(lambda: _ask(running, UP)[0][0] == sites, 300, every_s=1)
            devices.end()
            wait_for(lambda: _ask(running, WAITING)[0][0] == 0, 60, every_s=1)
            failed = _report(running, devices, stored, took_s)
    if failed:
        raise SystemExit(f"MISSED  {', '.join(failed)}")


def _kill(running: Service, kills: int, chance: random.Random) -> tuple[set[tuple[Any, ...]], list[tuple[str, float]]]:
    """Kill processes one after the other; return what was stored before each, and how long each was missed."""
    stored: set[tuple[Any, ...]] = set()
    took_s = []
    for _ in range(kills):
        time.sleep(chance.uniform(1, 8))
        name = chance.choice(VICTIMS)
        victim = running.child(name)
        stored |= {tuple(row) for row in running.query(STORED, 30.0)}
        os.kill(victim, signal.SIGKILL)
        killed = time.time()
        wait_for(lambda v=victim, n=name: running.child(n) != v, RECOVERED_S, every_s=0.05)  # type: ignore[misc]
        wait_for(lambda at=killed: _ask(running, BEAT)[0][0] > at + 1, RECOVERED_S, every_s=0.1)  # type: ignore[misc]
        took_s.append((name, time.time() - killed))
    return stored, took_s


def _ask(running: Service, statement: str, *values: Any) -> list[Any]:
    try:
        return running.query(statement, *values)
    except (OSError, EmbeddedError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise AssertionError(f"no database: {error!r}") from None


def _report(
    running: Service, devices: Devices, stored: set[tuple[Any, ...]], took_s: list[tuple[str, float]]
) -> list[str]:
    for name in sorted(set(VICTIMS)):
        took = [seconds for killed, seconds in took_s if killed == name]
        if took:
            print(f"{name:<9} killed {len(took)} times, the worker beats again within {max(took):.1f} s")
    lost = stored - {tuple(row) for row in running.query(STORED, 86_400.0)}
    pushed = {row[0]: row[1] for row in running.query(PUSHED)}
    missing = sum(max(0, count - pushed.get(site, 0)) for site, count in devices.acknowledged.items())
    untrue, elsewhere = running.query(UNTRUE), running.query(ANSWERED_ELSEWHERE)[0][0]
    print(f"{len(stored):,} readings were stored before a kill: {len(lost)} of them are gone")
    print(f"{devices.acknowledged.total():,} pushes acknowledged, {devices.cut_off} failed: {missing} are gone")
    print(f"down or unreachable: {sum(row['seconds'] for row in untrue):.0f} s of {len(untrue)} segments")
    print(f"answers within a segment of another state: {elsewhere}")
    for row in untrue[:5]:
        print(f"    {dict(row)}")
    for row in running.query(SECONDS):
        print(f"    {row['state']} {row['unknown_reason'] or '':<12} {row['seconds']:,.0f} s")
    found = {"stored readings are gone": lost, "acknowledged pushes are gone": missing}
    found |= {"seconds are down that were not": untrue, "answers lie in other states": elsewhere}
    return [text for text, wrong in found.items() if wrong]


if __name__ == "__main__":
    main()
