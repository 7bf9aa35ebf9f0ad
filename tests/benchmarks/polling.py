"""Poll `/status` of one API process with 1,038 sites and a fixed version, against two other servers.

`poll_servers` holds the servers. All run under the same uvicorn and are loaded by the same wrk, one after the other.
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

from app.access import api_tokens
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
LOCATIONS = "UPDATE site SET latitude = r.latitude, longitude = r.longitude FROM region r WHERE r.code = village_code"


class Load(NamedTuple):
    rate: float
    p99_ms: float


async def fill(url: str, sites: int) -> str:
    """Fill a database with sites that were all seen just now; return an API token for it."""
    engine = open_engine(url, name="bench", command_timeout_s=None)
    await migrate(engine)
    sessions = open_sessions(engine)
    async with transaction(sessions) as session:
        await providers.ensure_providers(session, {f"provider-{n}": f"Provider {n}" for n in range(5)})
        start = (await session.execute(text("SELECT date_trunc('second', now()) - interval '30 days'"))).scalar_one()
        await session.execute(text(MAKE_SITES.format(kinds=KINDS)), {"sites": sites, "start": start})
        for statement in (LOCATIONS, STATUS):
            await session.execute(text(statement))
        await session.execute(text(CONFIGURE), {"start": start})
        await session.execute(text("UPDATE change_counter SET version = 1 WHERE name <> 'generation'"))
        await session.execute(text("ANALYZE"))
        secret = await api_tokens.create_token(session, name="bench", role=Role.VIEWER)
    await engine.dispose()
    return secret


@contextmanager
def served(name: str, port: int, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of the servers as a child process."""
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
    options = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", *options, url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in output, output
    assert "Socket errors" not in output, output
    p99, unit = re.search(r"99%\s+([0-9.]+)(us|ms|s)", output).groups()  # type: ignore[union-attr]
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", output).group(1)  # type: ignore[union-attr]
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
    with served("without_refresh", ours, SINYAL_DATABASE_URL=url):
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
            served("fixed_body", other, BENCH_BODY=str(file)),
            served("straightforward", plain, BENCH_DATABASE=url),
        ):
            best = f"http://127.0.0.1:{other}"
            requests = {
                "304, fixed": (f"{best}/nothing", headers),
                "304": (status, headers | {"If-None-Match": etag}),
                "body, fixed": (f"{best}/whole", headers),
                "body": (status, headers),
                "body, straightforward": (f"http://127.0.0.1:{plain}/status", headers),
            }
            loads_by_name: dict[str, list[Load]] = {name: [] for name in requests}
            for _ in range(ROUNDS):
                for name, (address, sent) in requests.items():
                    loads_by_name[name].append(load(address, sent))
        last = httpx.get(status, headers=headers, trust_env=False)
        assert last.headers["etag"] == etag, "the version did not change"
    _report(loads_by_name, len(body))


def _report(loads_by_name: dict[str, list[Load]], length: int) -> None:
    middle = {name: statistics.median(measured.rate for measured in loads) for name, loads in loads_by_name.items()}
    print(f"{SITES} sites, gzip body of {length:,} bytes, {CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS} s")
    for name, loads in loads_by_name.items():
        worst = max(measured.p99_ms for measured in loads)
        print(f"{name:<22} {middle[name]:>9,.0f} requests/s   highest p99 {worst:.1f} ms")
    print(f"304: {middle['304'] / middle['304, fixed']:.2f} of the fixed body's rate (limit 0.50)")
    print(f"body: {middle['body'] / middle['body, fixed']:.2f} of the fixed body's rate (limit 0.50)")
    print(f"body: {middle['body'] / middle['body, straightforward']:.0f} times the straightforward server (limit 20)")


if __name__ == "__main__":
    main()
