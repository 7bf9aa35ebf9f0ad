"""Run a whole `sinyal demo` as a process, use its API over HTTP, and find its child processes."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from app.postgres.embedded import Cluster
from app.settings import ROOT

TICK = os.sysconf("SC_CLK_TCK")


class Demo:
    def __init__(self, process: subprocess.Popen[str], folder: Path, port: int, ingest_port: int) -> None:
        self.process, self.folder = process, folder
        self.url = f"http://127.0.0.1:{port}"
        self.ingest_url = f"http://127.0.0.1:{ingest_port}"
        self.token = self.first_password = ""
        self.client = httpx.Client(timeout=10, trust_env=False)

    def wait_until_ready(self, timeout_s: float = 300) -> None:
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and (line := self.process.stdout.readline()):
            if line.startswith("first account: "):
                self.first_password = line.split("password ")[1].split()[0]
            if line.startswith("token: "):
                self.token = line.split()[1]
                self.client = httpx.Client(
                    base_url=f"{self.url}/api/v1",
                    headers={"Authorization": f"Bearer {self.token}"},
                    timeout=10,
                    trust_env=False,
                )
                return
        if time.monotonic() < deadline:
            self.process.wait(120)
        log = self.folder.with_suffix(".log").read_text().splitlines()[-20:]
        raise AssertionError("\n".join([f"the demo ended with {self.process.poll()} before it was ready", *log]))

    def get(self, path: str, **params: Any) -> Any:
        answer = self.client.get(path, params=params)
        answer.raise_for_status()
        return answer.json()

    def sites(self) -> dict[str, dict[str, Any]]:
        """Return the status of each site by code."""
        return {site["code"]: site for site in self.get("/status")["sites"]}

    def truth(self) -> list[dict[str, Any]]:
        file = self.folder / "truth.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def child(self, name: str) -> int:
        """Return the process id of a child by its name, or of the database's postmaster. Raises AssertionError."""
        if name == "database":
            pid = Cluster(self.folder).pid
            assert pid is not None
            return pid
        wanted = name if name in {"worker", "ingest", "api", "courier"} else "simulator"
        for pid in _children(self.process.pid):
            if wanted in arguments_of(pid):
                return pid
        raise AssertionError(f"{name} is not running")

    def stop(self) -> float:
        """Stop the demo in an orderly way; return the seconds that it took."""
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(120)
        self.client.close()
        return time.monotonic() - started


@contextmanager
def demo(folder: Path, script: str | None = None, *, history: str | None = None, **environment: str) -> Iterator[Demo]:
    """`history`: how much of a simulated past is written first, like 30d."""
    port, ingest_port = free_port(), free_port()
    argv = [sys.executable, "-m", "app.cli", "demo", "--port", str(port)]
    if script is not None:
        file = folder.with_suffix(".toml")
        file.write_text(script)
        argv += ["--script", str(file)]
    if history is not None:
        argv += ["--history", history]
    inherited = {name: value for name, value in os.environ.items() if name != "SINYAL_DATABASE_URL"}
    own = {
        "SINYAL_DATA_DIR": str(folder),
        "SINYAL_INGEST_PORT": str(ingest_port),
        "SINYAL_ALERTS__ALLOW": "127.0.0.0/8",
    }
    env = inherited | own | environment
    log = folder.with_suffix(".log").open("w")
    process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
    running = Demo(process, folder, port, ingest_port)
    try:
        running.wait_until_ready(300 if history is None else 900)
        yield running
    finally:
        running.stop()
        process.stdout and process.stdout.close()
        log.close()


def free_port() -> int:
    """Return a port that nothing listens on, and that no connection is given for its own end.

    A server may listen on it a minute later (a demo writes its past first): one of the system's choice, from the range
    that outgoing connections take theirs from, may be gone by then.
    """
    while True:
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", 10_000 + secrets.randbelow(22_000)))
            return int(trial.getsockname()[1])


def wait_for(condition: Callable[[], Any], timeout_s: float, *, every_s: float = 0.25) -> float:
    """Return the seconds until the condition is true; a failed request, assertion or lookup counts as not yet.

    Asked at least once after the time is over, as this process may not have run meanwhile.
    """
    started = time.monotonic()
    while True:
        is_last, problem = time.monotonic() - started >= timeout_s, None
        try:
            if condition():
                return time.monotonic() - started
        except (httpx.HTTPError, AssertionError, LookupError) as failure:
            problem = failure
        if is_last:
            raise AssertionError(f"not within {timeout_s:g} s: {problem or 'still false'}") from problem
        time.sleep(every_s)


def arguments_of(pid: int) -> list[str]:
    """Return the command line of a process; nothing of one that has ended."""
    return _read(Path(f"/proc/{pid}/cmdline")).split("\0")


def _read(file: Path) -> str:
    """Read a file of /proc; empty if its process ended since it was listed."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _children(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for thread in threads for child in _read(thread / "children").split()]


def processes_below(pid: int) -> list[int]:
    """Return the process and its living descendants."""
    return [pid, *(below for child in _children(pid) for below in processes_below(child))]


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, its living descendants and its ended children; 0 for one that has ended."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    own = sum(map(int, fields[11:15])) / TICK
    return own + sum(cpu_s(child) for child in _children(pid))


def resident_mb(pid: int) -> float:
    for line in _read(Path(f"/proc/{pid}/status")).splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0
