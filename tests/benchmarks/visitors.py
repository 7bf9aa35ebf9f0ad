"""2,000 visitors at once, 50 of them hostile: what they change, what they cost, and whether the figures stay right."""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from app.access import api_tokens
from app.access.models import Role
from app.postgres.embedded import Cluster
from app.postgres.engine import open_engine, open_sessions, transaction
from app.settings import ROOT
from tests.benchmarks.scale_service import Service, register, service

SITES, VISITED = 1_038, 400
HONEST, HOSTILE, SETTLE_S, QUIET_S = 1_950, 50, 75, 10
LIMIT_P99_S = 0.5
RTT_MS = {"fiber": 22.0, "radio": 27.0, "cellular": 60.0, "leo": 45.0, "geo": 600.0}
OWN_NETWORKS = """
    INSERT INTO push_source (site_id, address, first_at, last_at)
    SELECT id, '127.' || (100 + id / 200) || '.' || (id % 200) || '.7', now(), now() FROM site
"""
SILENT = "UPDATE site SET probe = 'tcp', port = 9 WHERE id % 40 = 0"  # nobody listens: no visitor may make one up
STATES = "SELECT site_id, state FROM site_status ORDER BY site_id"
CHOSEN = f"""
    SELECT id, code, technology FROM site WHERE kind = 'access_point' ORDER BY id LIMIT {VISITED}
"""
FIGURES = """
    SELECT technology, count(DISTINCT visitor) AS visitors, percentile_cont(0.5) WITHIN GROUP (ORDER BY median) AS rtt
    FROM (
        SELECT s.technology, r.visitor, percentile_cont(0.5) WITHIN GROUP (ORDER BY rtt_us) / 1000 AS median
        FROM visit_result r JOIN site s ON s.id = r.site_id WHERE network = 'same' AND flaw IS NULL
        GROUP BY s.technology, r.visitor
    ) own GROUP BY technology
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent:
        folder = Path(parent) / "data"
        register(folder, SITES, OWN_NETWORKS, SILENT)
        with service(folder) as running:
            _wait_until_settled(running)
            _measure(running, folder)


def _wait_until_settled(running: Service) -> None:
    """Wait until every state is known: from then on only visitors could change one."""
    until = time.monotonic() + SETTLE_S
    while time.monotonic() < until:
        counts = dict(running.query("SELECT state, count(*) FROM site_status GROUP BY state"))
        if counts.get("unknown", 0) <= SITES // 40:  # the silent ones, which were never seen
            break
        time.sleep(5)
    time.sleep(20)
    print(f"states before: {dict(running.query('SELECT state, count(*) FROM site_status GROUP BY state'))}")


def _measure(running: Service, folder: Path) -> None:
    sites = [
        {
            "code": row["code"],
            "network": f"127.{100 + row['id'] // 200}.{row['id'] % 200}.{{}}",
            "rtt_ms": RTT_MS[row["technology"]],
        }
        for row in running.query(CHOSEN)
    ]
    options = {"port": running.port, "sites": sites, "honest": HONEST, "hostile": HOSTILE, "quiet_s": QUIET_S}
    options["token"] = asyncio.run(_token(folder))
    before, used = running.query(STATES), running.cpu_s()
    argv = [sys.executable, "-m", "tests.benchmarks.visitor_clients"]
    ran = subprocess.run(argv, cwd=ROOT, input=json.dumps(options), stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(ran.stdout)
    cost = {name: seconds - used[name] for name, seconds in running.cpu_s().items()}
    _report(running, found, cost, before)


async def _token(folder: Path) -> str:
    engine = open_engine(Cluster(folder).url, name="bench")
    async with transaction(open_sessions(engine)) as session:
        secret = await api_tokens.create_token(session, name="bench", role=Role.VIEWER, region_code="64")
    await engine.dispose()
    return secret


def _report(running: Service, found: dict[str, Any], cost: dict[str, float], before: list[Any]) -> None:
    print(f"{HONEST + HOSTILE:,} visitors, {HOSTILE} hostile, in {found['seconds']:.1f} s")
    print(f"  honest: {found['statuses']}; {found['sent']:,} of {HONEST:,} results taken once; failed: {found['lost']}")
    print(f"  hostile: {found['hostile_statuses']}")
    for name in ("quiet_s", "busy_s"):
        p50_ms, p99_ms = 1000 * statistics.median(found[name]), 1000 * _p99(found[name])
        print(f"  status, {name[:-2]}: p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms")
    print(f"  CPU: {', '.join(f'{name} {seconds:.1f} s' for name, seconds in cost.items())}")
    print(f"  memory: {', '.join(f'{name} {size:.0f} MB' for name, size in running.memory_mb().items())}")
    changed = [(old, new) for old, new in zip(before, running.query(STATES), strict=True) if tuple(old) != tuple(new)]
    print(f"  states changed: {len(changed)}; visitors' rows among readings: {_count_sources(running)}")
    rows = running.query(
        "SELECT network, coalesce(flaw, 'none'), count(*) FROM visit_result GROUP BY 1, 2 ORDER BY 1, 2"
    )
    print(f"  results by network and flaw: {[tuple(row) for row in rows]}")
    right = True
    for row in running.query(FIGURES):
        link_ms = RTT_MS[row["technology"]]
        truth_ms = found["measured"][str(link_ms)]
        right = right and abs(row["rtt"] - truth_ms) < 0.01
        print(
            f"  {row['technology']:<9}{row['visitors']:>5} visitors, median {row['rtt']:.2f} ms; "
            f"the honest ones measured {truth_ms:.2f} ms"
        )
    twice = running.query("SELECT count(*) - count(DISTINCT (visitor, seq)) FROM visit_result")[0][0]
    server_errors = sum(
        n for kinds in (found["statuses"], found["hostile_statuses"]) for k, n in kinds.items() if k[-3] == "5"
    )
    verdict = right and not (changed or twice or server_errors or found["lost"]) and _p99(found["busy_s"]) < LIMIT_P99_S
    print(
        f"  twice: {twice}; 5xx: {server_errors}; "
        f"{'held' if verdict else 'NOT HELD'} (status p99 under {LIMIT_P99_S} s)"
    )


def _count_sources(running: Service) -> int:
    found = running.query("SELECT count(*) FROM measurement WHERE source NOT IN ('central')")
    return int(found[0][0])


def _p99(durations: list[float]) -> float:
    return durations[len(durations) * 99 // 100]


if __name__ == "__main__":
    main()
