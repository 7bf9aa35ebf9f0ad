"""Keeps `simulator.agents_main` running, and tells it all that happens on the simulated network."""

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
from simulator.host_plan import Host
from simulator.network_model import Acting

_LOOK_S = 1.0
_END_S = 2.0

logger = logging.getLogger(__name__)


class Feed(threading.Thread):
    """Nothing here ever waits for the other side but this thread: who answers pings must be punctual."""

    def __init__(self, *, server: str, data_dir: Path, script: Path | None) -> None:
        super().__init__(name="feed", daemon=True)
        self._argv = [sys.executable, "-m", "simulator.agents_main", "--server", server, "--data-dir", str(data_dir)]
        self._argv += [] if script is None else ["--script", str(script)]
        self._told: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._clock: dict[str, Any] | None = None
        self._hosts: dict[str, Any] | None = None
        self._acting: list[dict[str, Any]] = []
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, start_ns: int) -> None:
        self._told.put({"start_ns": start_ns})

    def adopt(self, hosts: Sequence[Host]) -> None:
        self._told.put({"hosts": [astuple(host) for host in hosts]})

    def act(self, acting: Acting) -> None:
        event = acting.event
        self._told.put(
            {
                "kind": event.kind.value,
                "codes": acting.codes,
                "start_s": acting.start_s,
                "end_s": acting.end_s,
                "loss_pct": event.loss_pct,
                "rtt_ms": event.rtt_ms,
            }
        )

    def stop(self) -> None:
        self._told.put(None)
        self.join(_END_S + 1)

    def run(self) -> None:
        while True:
            try:
                said = self._told.get(timeout=_LOOK_S)
            except queue.Empty:
                self._keep_alive()
                continue
            if said is None:
                break
            self._keep(said)
            if self._clock is not None:
                self._keep_alive(said)
        self._end()

    def _keep(self, said: dict[str, Any]) -> None:
        """What one that is started anew has to know."""
        if "start_ns" in said:
            self._clock = said
        elif "hosts" in said:
            self._hosts = said
        else:
            start_ns = self._clock["start_ns"] if self._clock is not None else 0
            now_s = (time.monotonic_ns() - start_ns) / 1e9
            self._acting = [*(one for one in self._acting if one["end_s"] > now_s), said]

    def _keep_alive(self, said: Mapping[str, Any] | None = None) -> None:
        if self._clock is None or self._hosts is None:
            return
        if self._process is None or self._process.poll() is not None:
            if self._process is not None:
                logger.warning("the agents ended with %s, and are started again", self._process.returncode)
            ours = {name: value for name, value in os.environ.items() if name != "SINYAL_DATABASE_URL"}
            assert ENV in ours, f"{ENV} is not set"
            self._process = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=ours)
            for known in (self._clock, *self._acting, self._hosts):
                self._write(known)
        elif said is not None:
            self._write(said)

    def _write(self, said: Mapping[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(said).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it is seen to have ended the next time

    def _end(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(_END_S)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
