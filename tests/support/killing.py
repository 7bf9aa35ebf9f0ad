"""`sinyal api` processes that are killed at any moment, over a PostgreSQL that is killed as well."""

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


class Api:
    """One replica, or an ingest; whoever kills it starts it again."""

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
    def ready(self) -> bool:
        try:
            return self._client.get(f"{self.url}/healthz").is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()

    def end(self) -> float:
        """Stop it in an orderly way; return the seconds that it took."""
        started = time.monotonic()
        assert self._process is not None
        self._process.terminate()
        self._process.wait(20)
        return time.monotonic() - started

    def close(self) -> None:
        self.kill()
        self._client.close()
        self._log.close()


def open_client() -> httpx.Client:
    return httpx.Client(verify=False, trust_env=False, timeout=10)


def kill_database(cluster: Cluster) -> None:
    pid = cluster.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: cluster.find_running() is None, 10, every_s=0.01)  # a dying server may answer for a moment
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

    apis: list[Api]
    token: str
    chance: Random
    make: Callable[[Random], Sent]
    sent: list[Sent] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._over, self._client = threading.Event(), open_client()

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
        self.join(30)
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
