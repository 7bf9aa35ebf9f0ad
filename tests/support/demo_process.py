"""A whole demo as its user runs it: a process of its own, talked to over HTTP, its children found by their names."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.postgres.embedded import Cluster
from app.settings import ROOT

TICK = os.sysconf("SC_CLK_TCK")


class Demo:
    def __init__(self, process: subprocess.Popen[str], folder: Path, port: int) -> None:
        self.process, self.folder = process, folder
        self.url = f"http://127.0.0.1:{port}"
        self.token = ""
        self.client = httpx.Client(timeout=10, trust_env=False)

    def wait_until_ready(self, timeout_s: float = 120) -> None:
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and (line := self.process.stdout.readline()):
            if line.startswith("token: "):
                self.token = line.split()[1]
                self.client = httpx.Client(
                    base_url=f"{self.url}/api/v1",
                    headers={"Authorization": f"Bearer {self.token}"},
                    timeout=10,
                    trust_env=False,
                )
                return
        raise AssertionError(f"the demo ended with {self.process.poll()} before it was ready")

    def get(self, path: str, **params: Any) -> Any:
        answer = self.client.get(path, params=params)
        answer.raise_for_status()
        return answer.json()

    def sites(self) -> dict[str, dict[str, Any]]:
        """Status by code."""
        return {site["code"]: site for site in self.get("/status")["sites"]}

    def truth(self) -> list[dict[str, Any]]:
        file = self.folder / "truth.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def child(self, name: str) -> int:
        """The process id of the worker, the api, the simulator or the database's postmaster."""
        if name == "database":
            pid = Cluster(self.folder).pid
            assert pid is not None
            return pid
        wanted = {"worker": b"worker", "api": b"api"}.get(name, b"simulator")
        for pid in _children(self.process.pid):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if wanted in words:
                return pid
        raise AssertionError(f"{name} does not run")

    def stop(self) -> float:
        """Seconds that an orderly end took."""
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
        self.client.close()
        return time.monotonic() - started


@contextmanager
def demo(folder: Path, script: str | None = None, **environment: str) -> Iterator[Demo]:
    port = free_port()
    argv = [sys.executable, "-m", "app.cli", "demo", "--port", str(port)]
    if script is not None:
        file = folder.with_suffix(".toml")
        file.write_text(script)
        argv += ["--script", str(file)]
    ours = {name: value for name, value in os.environ.items() if name != "SINYAL_DATABASE_URL"}
    env = ours | {"SINYAL_DATA_DIR": str(folder)} | environment
    log = folder.with_suffix(".log").open("w")
    process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
    running = Demo(process, folder, port)
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()
        process.stdout and process.stdout.close()
        log.close()


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def wait_for(what: Callable[[], Any], timeout_s: float, *, every_s: float = 0.25) -> float:
    """Seconds until `what` was true; an answer that cannot be had yet counts as not yet."""
    started = time.monotonic()
    while time.monotonic() - started < timeout_s:
        try:
            if what():
                return time.monotonic() - started
        except (httpx.HTTPError, AssertionError, LookupError):
            pass
        time.sleep(every_s)
    raise AssertionError(f"not within {timeout_s:g} s")


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")  # of each thread that started some
    return [int(child) for task in tasks for child in task.read_text().split()]


def processes_below(pid: int) -> list[int]:
    """The process and all that live below it."""
    return [pid, *(below for child in _children(pid) for below in processes_below(child))]


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and all that live below it, and of those of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(map(int, fields[11:15])) / TICK
    return own + sum(cpu_s(child) for child in _children(pid))


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0
