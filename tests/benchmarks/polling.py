"""Polling `/status`: one api process, 1,038 sites, its version held still, against what a server could do at best.

`polled` holds the servers. All of them run under the same uvicorn and are asked by the same wrk, one after the other.
"""

import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
from sqlalchemy import text

from app.access import store as access
from app.access.models import Role
from app.postgres.embedded import Cluster
from app.postgres.engine import open_engine, open_sessions, transaction
from app.registry import providers
from app.runtime.migrate import migrate
from tests.benchmarks.rollups import CONFIGURE, KINDS, MAKE_SITES
from tests.conftest import make_database
from tests.support.demo_process import free_port

SITES, ROUNDS, SECONDS, CONNECTIONS = 1_038, 3, 5, 16
STATUS = """
    INSERT INTO site_status (site_id, version, state, since, evidence_at, valid_s, timeouts, last_ok_at, addressed_at,
        rtt_us, loss_pct)
    SELECT id, 1, CASE WHEN id % 9 = 0 THEN 'down' ELSE 'up' END, now() - interval '1 hour' * (id % 400), now(), 86400,
        0, now(), now(), 9000 + (id * 7919) % 90000, 0 FROM site
"""
PLACES = "UPDATE site SET latitude = r.latitude, longitude = r.longitude FROM region r WHERE r.code = village_code"


class Load(NamedTuple):
    rate: float
    p99_ms: float


async def fill(url: str, sites: int) -> str:
    """A database with sites that were all seen just now; the secret of a token for it."""
    engine = open_engine(url, name="bench", command_timeout_s=None)
    await migrate(engine)
    sessions = open_sessions(engine)
    async with transaction(sessions) as session:
        await providers.ensure_providers(session, {f"provider-{n}": f"Provider {n}" for n in range(5)})
        start = (await session.execute(text("SELECT date_trunc('second', now()) - interval '30 days'"))).scalar_one()
        await session.execute(text(MAKE_SITES.format(kinds=KINDS)), {"sites": sites, "start": start})
        for statement in (PLACES, STATUS):
            await session.execute(text(statement))
        await session.execute(text(CONFIGURE), {"start": start})
        await session.execute(text("UPDATE change_counter SET version = 1 WHERE name <> 'generation'"))
        await session.execute(text("ANALYZE"))
        secret = await access.create_token(session, name="bench", role=Role.VIEWER)
    await engine.dispose()
    return secret


@contextmanager
def served(name: str, port: int, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server of this process's own, ended with it."""
    command = [sys.executable, "-m", "uvicorn", "--factory", "--no-access-log", "--log-level", "warning"]
    command += ["--port", str(port), f"tests.benchmarks.poll_servers:{name}"]
    process = subprocess.Popen(command, env=os.environ | more)  # our own servers
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        else:
            raise TimeoutError(name)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def load(url: str, headers: dict[str, str], connections: int = CONNECTIONS) -> Load:
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", *given, url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in said, said
    assert "Socket errors" not in said, said
    p99, unit = re.search(r"99%\s+([0-9.]+)(us|ms|s)", said).groups()  # type: ignore[union-attr]
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", said).group(1)  # type: ignore[union-attr]
    return Load(float(rate), float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit])


def main() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            _polling(cluster.url, Path(folder))
        finally:
            cluster.stop()


def _polling(server: str, folder: Path) -> None:
    url = asyncio.run(make_database(server))
    headers = {"Authorization": f"Bearer {asyncio.run(fill(url, SITES))}", "Accept-Encoding": "gzip"}
    ours, other, plain = free_port(), free_port(), free_port()
    with served("held_still", ours, SINYAL_DATABASE_URL=url):
        status = f"http://127.0.0.1:{ours}/api/v1/status"
        with httpx.Client(headers=headers, trust_env=False) as client, client.stream("GET", status) as answer:
            body = b"".join(answer.iter_raw())
            etag = answer.headers["etag"]
            assert answer.headers["content-encoding"] == "gzip"
        unchanged = httpx.get(status, headers=headers | {"If-None-Match": etag}, trust_env=False)
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        file = folder / "body"
        file.write_bytes(body)
        with (
            served("at_best", other, BENCH_BODY=str(file)),
            served("the_plain_way", plain, BENCH_DATABASE=url),
        ):
            best = f"http://127.0.0.1:{other}"
            asked = {
                "304, at best": (f"{best}/nothing", headers),
                "304": (status, headers | {"If-None-Match": etag}),
                "body, at best": (f"{best}/whole", headers),
                "body": (status, headers),
                "body, the plain way": (f"http://127.0.0.1:{plain}/status", headers),
            }
            found: dict[str, list[Load]] = {name: [] for name in asked}
            for _ in range(ROUNDS):
                for name, (address, sent) in asked.items():
                    found[name].append(load(address, sent))
        again = httpx.get(status, headers=headers, trust_env=False)
        assert again.headers["etag"] == etag, "the version stood still"
    _report(found, len(body))


def _report(found: dict[str, list[Load]], length: int) -> None:
    middle = {name: statistics.median(one.rate for one in loads) for name, loads in found.items()}
    print(f"{SITES} sites, gzip body of {length:,} bytes, {CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS} s")
    for name, loads in found.items():
        worst = max(one.p99_ms for one in loads)
        print(f"{name:<22} {middle[name]:>9,.0f} requests/s   p99 at most {worst:.1f} ms")
    print(f"304: {middle['304'] / middle['304, at best']:.2f} of the best (limit 0.30)")
    print(f"body: {middle['body'] / middle['body, at best']:.2f} of the best (limit 0.25)")
    print(f"body: {middle['body'] / middle['body, the plain way']:.0f} times the plain way (limit 20)")


if __name__ == "__main__":
    main()
