"""The simulated agent of a site: measures at every beat, pushes the readings, keeps what it could not send."""

import asyncio
import gzip
import json
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from simulator.agent_memory import PACKETS, AgentMemory, Row
from simulator.agent_secret import token
from simulator.clock import Clock
from simulator.host_plan import SimulatedHost, pack_address
from simulator.http_client import HttpClient, HttpResponse, NoResponse
from simulator.journal import AgentLog
from simulator.network_model import NetworkModel
from simulator.script import AgentBehaviour
from simulator.speedtest import AgentSpeedtest

PUSH = "/api/v1/push"
NAME = "simulator/1"
BATCH = 120
SPACING_S = 1.0  # between the packets of a reading
FIRST_BEAT_WITHIN_S = 10.0  # of the start, spread over the agents
BOOT_S = (4.0, 12.0)
SYN_RETRIES_S = (0.0, 1.0, 2.0, 4.0)  # pauses before each attempt to connect
MAX_UPTIME_S = 30 * 86_400.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cadence:
    beat_s: float
    send_every_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class AgentContext:
    network: NetworkModel
    clock: Clock
    server: str
    secret: str
    seed: int
    behaviour: AgentBehaviour
    journal: AgentLog


class Agent:
    """`start`, then `power_cut` at any time, and `stop`; all on one event loop."""

    def __init__(self, host: SimulatedHost, cadence: Cadence, context: AgentContext) -> None:
        self.host, self.cadence, self.context = host, cadence, context
        self._random = Random(f"{context.seed}/{host.code}")
        draw = self._random.random  # each call decides another trait of this device
        self._sends_summaries, self._zips, self._token_in_body = draw() < 0.3, draw() < 0.5, draw() < 0.1
        self._clock_off_s = self._clock_error_s()
        self._address = pack_address(host.address)
        self._http = HttpClient(context.server, host.address)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._packets = 0
        self._memory: AgentMemory | None = None

    def start(self) -> None:
        """Begin as a device that has run for long; without electricity, boot when that comes back."""
        now_s = self._now_s()
        until_s = self.context.network.power_back_at_s(self._address, now_s)
        if until_s is not None:
            self._later(until_s - now_s + self._random.uniform(*BOOT_S), self._boot)
        else:
            self._later(
                self._random.uniform(0, FIRST_BEAT_WITHIN_S), self._boot, self._random.uniform(600, MAX_UPTIME_S)
            )

    def power_cut(self, until_s: float) -> None:
        """Lose the memory and all tasks, and boot when the electricity is back."""
        self.stop()
        if self._memory is not None:
            self.context.journal.lost(self.host.code, self._memory.all_rows())
        self._memory = None
        self._later(until_s - self._now_s() + self._random.uniform(*BOOT_S), self._boot)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    def _boot(self, uptime_s: float = 0.0) -> None:
        loop = asyncio.get_running_loop()
        booted = loop.time() - uptime_s
        starts_in_1970 = self._clock_off_s is None
        clock_off_s = -(time.time() - uptime_s) if self._clock_off_s is None else self._clock_off_s
        self._memory = AgentMemory(secrets.SystemRandom(), booted, clock_off_s, self._sends_summaries)
        if uptime_s and not starts_in_1970 and self._random.random() * 100 < self.context.behaviour.backlog_pct:
            self._fill_backlog(self._memory)
        self._next_send, self._has_backlog, self._is_first = 0.0, False, True
        reading_s = (PACKETS - 1) * SPACING_S
        self._due = loop.time() + reading_s
        self._later(reading_s, self._beat, self._memory)

    def _fill_backlog(self, memory: AgentMemory) -> None:
        """Fill the memory with readings of an earlier boot, which only the device's clock can date."""
        behaviour, boot = self.context.behaviour, "before" + memory.boot
        for seq in range(behaviour.backlog_rows):
            wall = time.time() - behaviour.backlog_s + seq * self.cadence.beat_s
            rtts_ms = [round(self._random.uniform(20, 60), 2) for _ in range(PACKETS)]
            row = {"boot": boot, "seq": seq, "sent": PACKETS, "rtt_ms": rtts_ms, "clock": memory.clock(wall)}
            memory.rows.append(row)
            self.context.journal.measured(self.host.code, row, wall)

    def _beat(self, memory: AgentMemory) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._due = max(self._due + self.cadence.beat_s, now + 0.5 * self.cadence.beat_s)
        self._timer = loop.call_at(self._due, self._beat, memory)
        if self.context.behaviour.stop_s is None or self._now_s() < self.context.behaviour.stop_s:
            self._measure(memory, now)
        is_due = now >= self._next_send - 0.5 * self.cadence.beat_s
        if (is_due or self._has_backlog) and not self._is_busy("send"):
            self._tasks["send"] = asyncio.create_task(self._send_all(memory))

    def _measure(self, memory: AgentMemory, now: float) -> None:
        """Take a reading of three packets, a second apart, the last of them just now; the first one dates it."""
        now_s, ago_s = self._now_s(), (PACKETS - 1) * SPACING_S
        delays = [self._packet(now_s - ago_s + n * SPACING_S) for n in range(PACKETS)]
        answered = [delay for delay in delays if delay is not None and delay <= self.cadence.timeout_s]
        wall, rtts_ms = time.time() - ago_s, [round(delay * 1000, 2) for delay in answered]
        row = memory.measured(rtts_ms, now=now - ago_s, wall=wall)
        self.context.journal.measured(self.host.code, row, wall)

    def _packet(self, now_s: float) -> float | None:
        self._packets += 1
        return self.context.network.anchor_delay_s(self._address, now_s, self._packets)

    async def _send_all(self, memory: AgentMemory) -> None:
        """Send until nothing is left or a push fails; what is left is tried again at the next beat."""
        now, behaviour = asyncio.get_running_loop().time(), self.context.behaviour
        is_released = memory.release(now) or (behaviour.stop_s is not None and self._now_s() >= behaviour.stop_s)
        if len(memory.rows) > 1 and not is_released and self._random.random() * 100 < behaviour.late_pct:
            memory.hold_back(now + behaviour.late_s)
        self._has_backlog = True
        while memory.rows:
            if not await self._send(memory, list(memory.rows)[:BATCH]):
                return
        self._has_backlog = False
        every_s = self.cadence.send_every_s
        if self._is_first:  # from now on at a phase of its own
            self._next_send, self._is_first = now + self._random.uniform(0.2, 1) * every_s, False
        while self._next_send < now + 0.5 * self.cadence.beat_s:
            self._next_send += every_s

    async def _send(self, memory: AgentMemory, rows: Sequence[Row]) -> bool:
        """Send rows; return whether they need not be sent again."""
        if not await self._can_connect():
            return False
        body, headers = self._encode(memory, rows)
        journal, code = self.context.journal, self.host.code
        journal.tried(code, rows)
        try:
            response = await self._http.post(PUSH, body, headers)
            is_repeated = response.status == 200 and self._random.random() * 100 < self.context.behaviour.duplicate_pct
            if is_repeated and self._random.random() < 0.5:
                return False  # the response was lost on its way: the same rows again
            if is_repeated:
                await self._http.post(PUSH, body, headers)
        except NoResponse:
            return False
        return self._handle_response(memory, rows, response)

    def _handle_response(self, memory: AgentMemory, rows: Sequence[Row], response: HttpResponse) -> bool:
        """Return whether the rows need not be sent again: accepted, or rejected for good."""
        if response.status == 200:
            result = json.loads(response.body)
            self.context.journal.acknowledged(self.host.code, rows, result)
            memory.forget(rows)
            if result.get("speedtest_grant") and not self._is_busy("speed"):
                test = AgentSpeedtest(self._http, self.host, self._packet_now_ms)
                self._tasks["speed"] = asyncio.create_task(
                    test.run(result["speedtest_grant"], result["speedtest"] or {})
                )
            return True
        if response.status in {400, 413, 415, 422}:
            logger.warning("%s: refused with %d: %s", self.host.code, response.status, response.body[:300].decode())
            memory.forget(rows)
            return True
        return False

    def _encode(self, memory: AgentMemory, rows: Sequence[Row]) -> tuple[bytes, dict[str, str]]:
        now = asyncio.get_running_loop().time()
        fields: Row = {"agent": NAME, "clients": self._clients(), "waiting": memory.waiting - len(rows)}
        fields["dropped"] = memory.dropped
        headers = {"Content-Type": "application/json"}
        secret = token(self.context.secret, self.host.code)
        if self._token_in_body:
            fields["token"] = secret
        else:
            headers["Authorization"] = f"Bearer {secret}"
        uptime_s = round(now - memory.booted, 2)
        if len(rows) == 1 and self._is_live(rows[0], memory, uptime_s):
            return json.dumps(fields | rows[0]).encode(), headers
        fields |= {"boot": memory.boot, "uptime_s": uptime_s, "sent_at": memory.clock(time.time())}
        body = json.dumps(fields | {"batch": list(rows)}).encode()
        if self._zips and not self._token_in_body:  # the service refuses to unpack for whom it does not know yet
            headers["Content-Encoding"], body = "gzip", gzip.compress(body, 6)
        return body, headers

    def _is_live(self, row: Row, memory: AgentMemory, uptime_s: float) -> bool:
        """Return whether the server may date it by its arrival: just measured, and each reading is sent at once."""
        is_fresh = row["boot"] == memory.boot and uptime_s - row["uptime_s"] < 0.5 * self.cadence.beat_s
        return is_fresh and self.cadence.send_every_s <= self.cadence.beat_s

    async def _can_connect(self) -> bool:
        """Wait for a round trip to the server, retrying as TCP does; return whether it was reached."""
        for pause_s in SYN_RETRIES_S:
            await asyncio.sleep(pause_s)
            now_s = self._now_s()
            delay_s = None if self.context.network.is_blind(now_s) else self._packet(now_s)
            if delay_s is not None:
                await asyncio.sleep(min(1.5 * delay_s, 2.0))
                return True
        return False

    def _packet_now_ms(self) -> float | None:
        delay_s = self._packet(self._now_s())
        return None if delay_s is None else delay_s * 1000

    def _clients(self) -> int:
        """Draw how many people are online: most in the evening (WITA is UTC+8)."""
        hour = (time.time() / 3600 + 8) % 24
        return int(self._random.uniform(0, 4 + (14 if 17 <= hour < 22 else 5 if hour >= 7 else 0)))

    def _clock_error_s(self) -> float | None:
        """Draw how far the device's clock is off; None: it starts in 1970 at each boot."""
        if self._random.random() * 100 >= self.context.behaviour.clock_wrong_pct:
            return 0.0
        return None if self._random.random() < 0.5 else self._random.choice((-1, 1)) * self._random.uniform(600, 3e5)

    def _is_busy(self, name: str) -> bool:
        return name in self._tasks and not self._tasks[name].done()

    def _now_s(self) -> float:
        return self.context.clock.since_start(time.monotonic_ns())

    def _later(self, delay_s: float, callback: Any, *arguments: Any) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(0.0, delay_s), callback, *arguments)
