"""`sinyal api` processes that are killed at any moment, over a PostgreSQL that is killed as well."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx

from app.access import api_tokens
from app.access.models import Role
from app.postgres.embedded import Cluster
from app.postgres.engine import open_engine, open_sessions, transaction
from app.registry import providers
from app.runtime.migrate import migrate
from app.settings import ROOT
from tests.support.demo_process import free_port, wait_for


class Forks:
    """Starts `sinyal` commands by forking (tests/support/forking_api.py): many starts cost one import.

    `module`: what these commands import beside what `sinyal api` does.
    """

    def __init__(self, module: str = "app.runtime.server") -> None:
        # by -c: what has a module of its own as __main__ imports it again in each process that reads a spreadsheet
        argv = [sys.executable, "-c", f"import {module}; from tests.support.forking_api import main; main()"]
        self._process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, arguments: list[str], environment: dict[str, str], log: Path) -> int:
        """Return its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"arguments": arguments, "environment": environment, "log": str(log)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it; commands that still run end in order."""
        self._process.communicate()


class ForkedApi:
    """One replica that is killed and started again and again."""

    def __init__(self, forks: Forks, database_url: str, folder: Path) -> None:
        self.url = ""
        self._forks, self._log = forks, folder.with_suffix(".log")
        self._environment = os.environ | {"SINYAL_DATABASE_URL": database_url, "SINYAL_DATA_DIR": str(folder)}
        self._client = open_client()
        self._pid: int | None = None

    def start(self) -> None:
        port = free_port()
        self._pid = self._forks.start(["api", "--supervised", "--port", str(port)], self._environment, self._log)
        self.url = f"http://127.0.0.1:{port}"

    @property
    def ready(self) -> bool:
        return is_ready(self._client, self.url)

    def kill(self) -> None:
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
            wait_for(lambda: not Path(f"/proc/{self._pid}").exists(), 60, every_s=0.005)
            self._pid = None

    def close(self) -> None:
        self.kill()
        self._client.close()


class Api:
    """One replica, or an ingest."""

    def __init__(self, database_url: str, folder: Path, *, command: str = "api") -> None:
        self._command = command
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = os.environ | {"SINYAL_DATABASE_URL": database_url, "SINYAL_DATA_DIR": str(folder)}
        self._log = folder.with_suffix(".log").open("ab")
        self._client = open_client()

    def start(self) -> None:
        port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", self._command, "--supervised", "--port", str(port)],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
        )
        self.url = f"http://127.0.0.1:{port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def ready(self) -> bool:
        return is_ready(self._client, self.url)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._reap()

    def end(self) -> int:
        """Stop it in an orderly way; return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._reap()

    def _reap(self) -> int:
        assert self._process is not None
        assert self._process.stdin is not None
        code = self._process.wait(120)
        self._process.stdin.close()
        return code

    def close(self) -> None:
        self.kill()
        self._client.close()
        self._log.close()


def is_ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/healthz").is_success
    except httpx.HTTPError:
        return False


def open_client(timeout_s: float = 10) -> httpx.Client:
    return httpx.Client(verify=False, trust_env=False, timeout=timeout_s)


def kill_database(cluster: Cluster) -> None:
    pid = cluster.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: cluster.find_running() is None, 60, every_s=0.01)  # a dying server may answer for a moment
    cluster.start()


@dataclass
class Sent:
    """A request that creates sites, repeated until there is a response, or given up in between."""

    path: str
    key: str
    hosts: list[str]
    form: str
    body: str
    answer: Any = None
    cut_off: int = 0  # how often it was sent without a response


@dataclass
class Client(threading.Thread):
    """Sends one request after another, to any replica; without a response it repeats it with the same key."""

    apis: list[ForkedApi]
    token: str
    chance: Random
    make: Callable[[Random], Sent]
    sent: list[Sent] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        # A kill alone cuts a request off: one that is given up before would be served all the same, and stored later.
        self._over, self._client = threading.Event(), open_client(120)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        while not self._over.is_set():
            self.sent.append(self.make(self.chance))
            self._insist(self.sent[-1])

    def _insist(self, sent: Sent) -> None:
        while not self._over.is_set():
            answer = self.ask(sent)
            if answer is not None and answer.is_success:
                sent.answer = answer.json()
                return
            if answer is not None and answer.status_code != 503:
                self.surprises.append(f"{answer.status_code} {answer.text[:300]}")
                return
            if sent.cut_off and self.chance.random() < 0.2:
                return
            time.sleep(0.02)

    def ask(self, sent: Sent) -> httpx.Response | None:
        """Send the request; return None without a response."""
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": sent.key, "Content-Type": sent.form}
        try:
            url = f"{self.chance.choice(self.apis).url}/api/v1{sent.path}"
            return self._client.post(url, headers=headers, content=sent.body)
        except httpx.ConnectError:
            return None
        except httpx.HTTPError:
            sent.cut_off += 1
            return None

    def end(self) -> None:
        self._over.set()
        self.join(150)
        assert not self.is_alive()

    def close(self) -> None:
        self._over.set()
        self._client.close()


OTHERS = ["iconplus", "comtelindo", "orbit", "telkomsat", "bestcamp"]


async def prepare_database(url: str) -> str:
    engine = open_engine(url, name="test")
    await migrate(engine)
    async with transaction(open_sessions(engine)) as session:
        await providers.ensure_providers(session, {slug: slug for slug in ("telkom-wms", *OTHERS)})
        token = await api_tokens.create_token(session, name="dewi", role=Role.PROVINCE_OPERATOR)
    await engine.dispose()
    return token
