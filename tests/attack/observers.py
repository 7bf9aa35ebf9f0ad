"""What must not notice an attack: `/healthz`, memory, and devices that report.

python -m tests.attack.observers PORT … SECONDS    polls /healthz; seconds of each answer as JSON on stdout
"""

import json
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.demo_process import processes_below, resident_mb

POLLER, DEVICES = "127.0.0.2", "127.0.0.3"
POLL_EVERY_S, MEMORY_EVERY_S, LONGEST_S = 0.05, 0.2, 10.0


class Background(threading.Thread):
    """A thread that repeats `step` while the block of a `with` statement runs."""

    every_s = 1.0

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stopped = threading.Event()

    def step(self) -> None:
        raise NotImplementedError

    def run(self) -> None:
        while not self.stopped.wait(self.every_s):
            self.step()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stopped.set()
        self.join()


class MemoryWatch(Background):
    """The most that any process below `pid` held, by its command line, in MB."""

    every_s = MEMORY_EVERY_S

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.pid, self.most = pid, dict[str, float]()

    def step(self) -> None:
        for pid in processes_below(self.pid):
            if (held := resident_mb(pid)) > 0:
                name = _name(pid)
                self.most[name] = max(held, self.most.get(name, 0.0))


def _name(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return str(pid)
    return " ".join(word for word in words if word and not word.startswith("-"))[-60:]


@dataclass
class Device:
    token: str
    seq: int = 0
    refused: list[str] = field(default_factory=list)


class Devices(Background):
    """Devices that push a row every few seconds; whatever is not accepted is kept."""

    def __init__(self, url: str, tokens: list[str], every_s: float) -> None:
        super().__init__()
        self.every_s = every_s
        self.devices = [Device(token) for token in tokens]
        transport = httpx.HTTPTransport(local_address=DEVICES)
        self.client = httpx.Client(base_url=url, transport=transport, timeout=10, trust_env=False)
        self.sent = 0

    def step(self) -> None:
        for device in self.devices:
            device.seq += 1
            self.sent += 1
            row: dict[str, Any] = {"boot": "attack", "seq": device.seq, "sent": 3, "rtt_ms": [20.1, 20.4, 21.0]}
            try:
                headers = {"Authorization": f"Bearer {device.token}"}
                answer = self.client.post("/api/v1/push", json=row, headers=headers)
            except httpx.HTTPError as error:
                device.refused.append(type(error).__name__)
                continue
            if answer.status_code != 200 or answer.json()["accepted"] != 1:
                device.refused.append(f"{answer.status_code} {answer.text[:200]}")

    @property
    def refused(self) -> list[str]:
        return [refusal for device in self.devices for refusal in device.refused]


def main() -> None:
    *ports, seconds = sys.argv[1:]
    until = time.monotonic() + float(seconds)
    transport = httpx.HTTPTransport(local_address=POLLER)
    client = httpx.Client(transport=transport, timeout=LONGEST_S, trust_env=False)
    durations: list[float] = []
    while time.monotonic() < until:
        durations += [_healthz_s(client, port) for port in ports]
        time.sleep(POLL_EVERY_S)
    print(json.dumps(durations))


def _healthz_s(client: httpx.Client, port: str) -> float:
    """Return the seconds until the answer, LONGEST_S without a good one."""
    began = time.monotonic()
    try:
        answered = client.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.HTTPError:
        answered = False
    return time.monotonic() - began if answered else LONGEST_S


if __name__ == "__main__":
    main()
