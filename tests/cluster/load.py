"""People, devices and dashboards that use the cluster while it breaks; each keeps what it was promised, and when.

What has no answer is sent again with the same key or number, as our own scripts and devices do.
"""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

TIMEOUT_S, AGAIN_S = 10.0, 0.3


@dataclass(frozen=True, slots=True)
class Acknowledged:
    key: str
    began: float  # the attempt that succeeded
    at: float


@dataclass
class Diary:
    """What one of them was told: what was acknowledged, and each failure with its kind."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)

    def first_after(self, moment: float) -> float | None:
        """Return when the first attempt that began after the moment was acknowledged."""
        return next((entry.at for entry in self.acknowledged if entry.began >= moment), None)

    def failures_between(self, start: float, end: float) -> Counter[str]:
        return Counter(kind for at, kind in self.failures if start <= at < end)


class Client(threading.Thread):
    """Does `turn` again and again until `end()`."""

    def __init__(self, name: str, url: str, token: str, *, every_s: float) -> None:
        super().__init__(daemon=True, name=name)
        self.diary, self.ends = Diary(), threading.Event()
        self._every_s = every_s
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False)

    def run(self) -> None:
        while not self.ends.wait(self._every_s):
            self.turn()

    def turn(self) -> None:
        raise NotImplementedError

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response | None:
        """Return a success; None after a failure, which is noted. Raises AssertionError when we asked wrongly."""
        try:
            response = self._client.request(method, path, **how)
        except httpx.HTTPError as error:
            self.diary.failures.append((time.time(), type(error).__name__))
            return None
        if response.is_success or response.status_code == 304:
            return response
        self.diary.failures.append((time.time(), _kind(response)))
        return None

    def insist(self, key: str, method: str, path: str, **how: Any) -> httpx.Response | None:
        """Ask until it is acknowledged; None when this ends before."""
        self.diary.tried.add(key)
        while not self.ends.is_set():
            began = time.time()
            if (response := self.ask(method, path, **how)) is not None:
                self.diary.acknowledged.append(Acknowledged(key, began, time.time()))
                return response
            self.ends.wait(AGAIN_S)
        return None

    def end(self) -> None:
        self.ends.set()
        self.join(2 * TIMEOUT_S)
        self._client.close()


class Registrar(Client):
    """Registers planned sites, each with a reference of its own that a retry repeats."""

    def __init__(self, name: str, url: str, token: str, villages: Sequence[str]) -> None:
        super().__init__(name, url, token, every_s=0.4)
        self._villages, self._number = villages, 0

    def turn(self) -> None:
        self._number += 1
        reference = f"{self.name}-{self._number}"
        site = {
            "village_code": self._villages[self._number % len(self._villages)],
            "name": reference,
            "technology": "fiber",
            "provider": "telkom-wms",
            "probe": "push",
            "lifecycle": "planned",
            "service_no": reference,
        }
        self.insist(reference, "POST", "/api/v1/sites", json=site, headers={"Idempotency-Key": reference})


class Devices(Client):
    """Push for some sites in turn, a row each; `key` is site and number."""

    def __init__(self, url: str, tokens: Sequence[tuple[int, str]], *, every_s: float) -> None:
        super().__init__("devices", url, "", every_s=every_s / max(1, len(tokens)))
        self._tokens, self._turns = tokens, 0

    def turn(self) -> None:
        (site, token), number = self._tokens[self._turns % len(self._tokens)], 1 + self._turns // len(self._tokens)
        self._turns += 1
        row = {"boot": "cluster", "seq": number, "uptime_s": 3600 + time.monotonic(), "sent": 3, "rtt_ms": [21, 22, 23]}
        headers = {"Authorization": f"Bearer {token}"}
        response = self.insist(f"{site}/{number}", "POST", "/api/v1/push", json=row, headers=headers)
        if response is not None:
            assert not response.json()["rejected"], response.text


class Dashboard(Client):
    """Polls the status, and now and then the figures of a site."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__("dashboard", url, token, every_s=0.5)
        self._turns = 0

    def turn(self) -> None:
        self._turns += 1
        path = "/api/v1/sites/100/uptime" if self._turns % 5 == 0 else "/api/v1/status/summary"
        began = time.time()
        if self.ask("GET", path) is not None:
            self.diary.acknowledged.append(Acknowledged(path, began, time.time()))


def _kind(response: httpx.Response) -> str:
    problem = response.headers.get("content-type", "").startswith("application/problem+json")
    kind = str(response.json().get("type", "")).rpartition("/")[2] if problem else "of the front"
    if response.status_code < 500 and response.status_code != 429:
        raise AssertionError(f"{response.request.method} {response.request.url}: {response.text}")
    return f"{response.status_code} {kind}"
