"""`sinyal up` over a prepared registry: its processes, what they cost and hold, and what is in its database."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from sqlalchemy.engine import make_url

from app.postgres.embedded import Cluster
from app.runtime import data_dir
from app.settings import ROOT
from simulator.villages import CANARIES
from tests.benchmarks.scale_registry import fill
from tests.support.demo_process import TICK, Demo, cpu_s, free_port, processes_below

PROCESSES = ("worker", "api", "ingest", "courier", "database")
FIGURES = "SELECT figures FROM worker_beat WHERE source = 'central'"


class Service:
    def __init__(self, running: Demo) -> None:
        self.url, self.ingest_url, self.child = running.url, running.ingest_url, running.child
        self.port = int(running.url.rpartition(":")[2])
        self._running, self._pids = running, {name: running.child(name) for name in PROCESSES}
        self._url = make_url(Cluster(running.folder).url).set(drivername="postgresql")

    def cpu_s(self) -> dict[str, float]:
        """Return CPU seconds since the start by process, those of their own children included."""
        own = Path(f"/proc/{self._running.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return {name: cpu_s(pid) for name, pid in self._pids.items()} | {"supervisor": sum(map(int, own)) / TICK}

    def memory_mb(self) -> dict[str, float]:
        """Return the memory by process; what several share is divided among them."""
        pids = self._pids | {"supervisor": self._running.process.pid}
        trees = {name: processes_below(pid) if name in self._pids else [pid] for name, pid in pids.items()}
        return {name: sum(map(_proportional_mb, tree)) for name, tree in trees.items()}

    def figures(self) -> dict[str, float]:
        """Return what the worker counts about itself."""
        return dict(orjson.loads(self.query(FIGURES)[0][0]))

    def query(self, statement: str, *values: Any) -> list[Any]:
        return asyncio.run(self._fetch(statement, values))

    async def _fetch(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        connection = await asyncpg.connect(self._url.render_as_string(hide_password=False))
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()


def _proportional_mb(pid: int) -> float:
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return int(found.group(1)) / 1024 if found else 0.0


def register(folder: Path, sites: int, *changes: str) -> None:
    """Make the data folder of a service with these many sites; `changes` are statements on them."""
    data_dir.claim(folder, data_dir.SERVICE)
    cluster = Cluster(folder)
    cluster.start()
    try:
        asyncio.run(fill(cluster.url, sites, changes))
    finally:
        cluster.stop()


@contextmanager
def service(folder: Path, **settings: str) -> Iterator[Service]:
    """Run the service over the loopback, with more settings (`SINYAL_*`); its log is beside the folder."""
    port, ingest_port = free_port(), free_port()
    own = {
        "SINYAL_DATA_DIR": str(folder),
        "SINYAL_INGEST_PORT": str(ingest_port),
        "SINYAL_PROBE__ALLOW": "127.0.0.0/8",
        "SINYAL_CANARIES": ",".join(CANARIES),
    }
    env = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")} | own | settings
    argv = [sys.executable, "-m", "app.cli", "up", "--port", str(port)]
    with folder.with_suffix(".log").open("w") as log:
        process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
        running = Demo(process, folder, port, ingest_port)
        try:
            assert process.stdout is not None
            if not any(line.startswith("ready:") for line in process.stdout):
                raise AssertionError(f"the service ended with {process.wait()} before it was ready")
            yield Service(running)
        finally:
            running.stop()
            process.stdout and process.stdout.close()
