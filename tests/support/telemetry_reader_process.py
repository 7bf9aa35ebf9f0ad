"""Readers of telemetry in processes that may be killed: each forked from one that has imported what they need."""

import asyncio
import json
import os
import subprocess
import sys
import traceback
from typing import Any

from app.postgres.engine import open_engine, open_sessions
from app.settings import ROOT, Settings
from app.worker.telemetry_reader import TelemetryReader
from probes.policy import AddressPolicy
from probes.sweep import Prober


class ReaderForks:
    def __init__(self) -> None:
        argv = [sys.executable, "-c", "from tests.support.telemetry_reader_process import serve; serve()"]
        self._process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, **order: Any) -> int:
        """Start a reader that reads again and again; return its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it, and what it started."""
        self._process.communicate()


def serve() -> None:
    children = []
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(_read_on(**json.loads(line)))
            except BaseException:
                traceback.print_exc()
            os._exit(0)
        children.append(pid)
        print(pid, flush=True)
    for pid in children:
        os.kill(pid, 9)  # not reaped before: the id is still its own
        os.waitpid(pid, 0)


async def _read_on(url: str, key: str) -> None:
    engine = open_engine(url, name="reader")
    settings = Settings(database_url=url, secret_key=[key])
    async with Prober.open(AddressPolicy(["127.0.0.0/8"]), packets_per_second=100) as prober:
        reader = TelemetryReader(open_sessions(engine), prober, settings)
        while True:
            await reader.read_due()
            await asyncio.sleep(0.02)
