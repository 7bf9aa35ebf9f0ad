"""Keeps `simulator.agents_main` running, and sends it the hosts and events of the simulated network."""

import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from simulator.agent_secret import ENV
from simulator.host_plan import SimulatedHost
from simulator.network_model import ActiveEvent

_CHECK_INTERVAL_S = 1.0
_STOP_TIMEOUT_S = 2.0

logger = logging.getLogger(__name__)


class AgentsProcess(threading.Thread):
    """Only this thread waits for the other process: the thread that answers pings must be punctual."""

    def __init__(self, *, server: str, data_dir: Path, script: Path | None) -> None:
        super().__init__(name="agents", daemon=True)
        self._argv = [sys.executable, "-m", "simulator.agents_main", "--server", server, "--data-dir", str(data_dir)]
        self._argv += [] if script is None else ["--script", str(script)]
        self._queue: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._clock: dict[str, Any] | None = None
        self._hosts: dict[str, Any] | None = None
        self._events: list[dict[str, Any]] = []
        self._process: subprocess.Popen[bytes] | None = None

    def start_clock(self, start_ns: int) -> None:
        self._queue.put({"start_ns": start_ns})

    def set_hosts(self, hosts: Sequence[SimulatedHost]) -> None:
        self._queue.put({"hosts": [astuple(host) for host in hosts]})

    def begin_event(self, active: ActiveEvent) -> None:
        event = active.event
        self._queue.put(
            {
                "kind": event.kind.value,
                "codes": active.codes,
                "start_s": active.start_s,
                "end_s": active.end_s,
                "loss_pct": event.loss_pct,
                "rtt_ms": event.rtt_ms,
            }
        )

    def stop(self) -> None:
        self._queue.put(None)
        self.join(_STOP_TIMEOUT_S + 1)

    def run(self) -> None:
        while True:
            try:
                message = self._queue.get(timeout=_CHECK_INTERVAL_S)
            except queue.Empty:
                self._keep_alive()
                continue
            if message is None:
                break
            self._remember(message)
            if self._clock is not None:
                self._keep_alive(message)
        self._end()

    def _remember(self, message: dict[str, Any]) -> None:
        """Keep what a restarted process has to be sent."""
        if "start_ns" in message:
            self._clock = message
        elif "hosts" in message:
            self._hosts = message
        else:
            start_ns = self._clock["start_ns"] if self._clock is not None else 0
            now_s = (time.monotonic_ns() - start_ns) / 1e9
            self._events = [*(event for event in self._events if event["end_s"] > now_s), message]

    def _keep_alive(self, message: Mapping[str, Any] | None = None) -> None:
        if self._clock is None or self._hosts is None:
            return
        if self._process is None or self._process.poll() is not None:
            if self._process is not None:
                logger.warning("the agents' process ended with %s, and is started again", self._process.returncode)
            environment = {name: value for name, value in os.environ.items() if name != "SINYAL_DATABASE_URL"}
            assert ENV in environment, f"{ENV} is not set"
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
            )
            for kept in (self._clock, *self._events, self._hosts):
                self._write(kept)
        elif message is not None:
            self._write(message)

    def _write(self, message: Mapping[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its end is noticed the next time

    def _end(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(_STOP_TIMEOUT_S)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
