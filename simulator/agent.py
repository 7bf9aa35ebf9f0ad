"""A site's own agent: measures what its anchors answer, sends it when its turn comes, keeps what it could not send."""

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

from simulator.agent_memory import PACKETS, Memory, Row
from simulator.agent_secret import token
from simulator.clock import Clock
from simulator.host_plan import Host, packed
from simulator.http_client import Answer, Line, NoAnswer
from simulator.journal import Journal
from simulator.network_model import Weather
from simulator.script import Agents
from simulator.speedtest import Speedtest

PUSH = "/api/v1/push"
NAME = "simulator/1"
BATCH = 120
SPACING_S = 1.0  # between the packets of a reading
FIRST_S = 10.0  # all begin within this time
BOOT_S = (4.0, 12.0)
TRIES_S = (0.0, 1.0, 2.0, 4.0)  # how long a lost SYN is waited for, one after the other
LONGEST_UPTIME_S = 30 * 86_400.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cadence:
    beat_s: float
    send_every_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class World:
    weather: Weather
    clock: Clock
    server: str
    secret: str
    seed: int
    says: Agents
    journal: Journal


class Agent:
    """`start`, then `power_cut` and `stop` as it comes; all on one event loop."""

    def __init__(self, host: Host, cadence: Cadence, world: World) -> None:
        self.host, self.cadence, self.world = host, cadence, world
        self._random = Random(f"{world.seed}/{host.code}")
        self._is_odd = self._random.random  # each call draws another peculiarity of this device
        self._flood, self._zips, self._tells_in_body = self._is_odd() < 0.3, self._is_odd() < 0.5, self._is_odd() < 0.1
        self._wrong_s = self._clock_error_s()
        self._where = packed(host.address)
        self._line = Line(world.server, host.address)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._packets = 0
        self._memory: Memory | None = None

    def start(self) -> None:
        """As one that has been there for long; without electricity it waits for that."""
        now_s = self._now_s()
        until_s = self.world.weather.dark_until(self._where, now_s)
        if until_s is not None:
            self._later(until_s - now_s + self._random.uniform(*BOOT_S), self._boot)
        else:
            self._later(self._random.uniform(0, FIRST_S), self._boot, self._random.uniform(600, LONGEST_UPTIME_S))

    def power_cut(self, until_s: float) -> None:
        """Its memory is gone, and whatever it was about to do."""
        self.stop()
        if self._memory is not None:
            self.world.journal.lost(self.host.code, self._memory.everything())
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
        wrong_s = -(time.time() - uptime_s) if self._wrong_s is None else self._wrong_s  # None: 1970 at each boot
        self._memory = Memory(secrets.SystemRandom(), booted, wrong_s, self._flood)
        if uptime_s and self._wrong_s is not None and self._random.random() * 100 < self.world.says.backlog_pct:
            self._remember(self._memory)
        self._next_send, self._behind, self._is_first = 0.0, False, True
        measures_s = (PACKETS - 1) * SPACING_S
        self._due = loop.time() + measures_s
        self._later(measures_s, self._beat, self._memory)

    def _remember(self, memory: Memory) -> None:
        """Readings of a boot before, kept over it, with nothing but the clock to tell their time."""
        says, boot = self.world.says, "before" + memory.boot
        for seq in range(says.backlog_rows):
            wall = time.time() - says.backlog_s + seq * self.cadence.beat_s
            rtts_ms = [round(self._random.uniform(20, 60), 2) for _ in range(PACKETS)]
            row = {"boot": boot, "seq": seq, "sent": PACKETS, "rtt_ms": rtts_ms, "clock": memory.clock(wall)}
            memory.rows.append(row)
            self.world.journal.measured(self.host.code, row, wall)

    def _beat(self, memory: Memory) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._due = max(self._due + self.cadence.beat_s, now + 0.5 * self.cadence.beat_s)
        self._timer = loop.call_at(self._due, self._beat, memory)
        if self.world.says.stop_s is None or self._now_s() < self.world.says.stop_s:
            self._measure(memory, now)
        is_due = now >= self._next_send - 0.5 * self.cadence.beat_s
        if (is_due or self._behind) and not self._is_busy("send"):
            self._tasks["send"] = asyncio.create_task(self._send_all(memory))

    def _measure(self, memory: Memory, now: float) -> None:
        """Three packets a second apart, of which the last was just answered, or was not; the first one dates it."""
        now_s, ago_s = self._now_s(), (PACKETS - 1) * SPACING_S
        delays = [self._packet(now_s - ago_s + n * SPACING_S) for n in range(PACKETS)]
        answered = [delay for delay in delays if delay is not None and delay <= self.cadence.timeout_s]
        wall, rtts_ms = time.time() - ago_s, [round(delay * 1000, 2) for delay in answered]
        row = memory.measured(rtts_ms, now=now - ago_s, wall=wall)
        self.world.journal.measured(self.host.code, row, wall)

    def _packet(self, now_s: float) -> float | None:
        self._packets += 1
        return self.world.weather.anchor(self._where, now_s, self._packets)

    async def _send_all(self, memory: Memory) -> None:
        """Until nothing is left, or something does not come through: then at the next beat again."""
        now, says = asyncio.get_running_loop().time(), self.world.says
        late_enough = memory.release(now) or (says.stop_s is not None and self._now_s() >= says.stop_s)
        if len(memory.rows) > 1 and not late_enough and self._random.random() * 100 < says.late_pct:
            memory.hold_back(now + says.late_s)
        self._behind = True
        while memory.rows:
            if not await self._send(memory, list(memory.rows)[:BATCH]):
                return
        self._behind = False
        every_s = self.cadence.send_every_s
        if self._is_first:  # from here on at a phase of its own
            self._next_send, self._is_first = now + self._random.uniform(0.2, 1) * every_s, False
        while self._next_send < now + 0.5 * self.cadence.beat_s:
            self._next_send += every_s

    async def _send(self, memory: Memory, rows: Sequence[Row]) -> bool:
        """Whether the rows are off our hands."""
        if not await self._reaches():
            return False
        body, headers = self._said(memory, rows)
        journal, code = self.world.journal, self.host.code
        journal.tried(code, rows)
        try:
            answer = await self._line.post(PUSH, body, headers)
            twice = answer.status == 200 and self._random.random() * 100 < self.world.says.duplicate_pct
            if twice and self._random.random() < 0.5:
                return False  # the answer was lost on its way: all of it again
            if twice:
                await self._line.post(PUSH, body, headers)
        except NoAnswer:
            return False
        return self._is_done(memory, rows, answer)

    def _is_done(self, memory: Memory, rows: Sequence[Row], answer: Answer) -> bool:
        if answer.status == 200:
            said = json.loads(answer.body)
            self.world.journal.acknowledged(self.host.code, rows, said)
            memory.came(rows)
            if said.get("speedtest_grant") and not self._is_busy("speed"):
                test = Speedtest(self._line, self.host, self._packet_now_ms)
                self._tasks["speed"] = asyncio.create_task(test.take(said["speedtest_grant"], said["speedtest"] or {}))
            return True
        if answer.status in {400, 413, 415, 422}:
            logger.warning("%s: refused with %d: %s", self.host.code, answer.status, answer.body[:300].decode())
            memory.came(rows)
            return True
        return False

    def _said(self, memory: Memory, rows: Sequence[Row]) -> tuple[bytes, dict[str, str]]:
        now = asyncio.get_running_loop().time()
        about: Row = {"agent": NAME, "clients": self._clients(), "waiting": memory.waiting - len(rows)}
        about["dropped"] = memory.dropped
        headers = {"Content-Type": "application/json"}
        secret = token(self.world.secret, self.host.code)
        if self._tells_in_body:
            about["token"] = secret
        else:
            headers["Authorization"] = f"Bearer {secret}"
        uptime_s = round(now - memory.booted, 2)
        if len(rows) == 1 and self._is_live(rows[0], memory, uptime_s):
            return json.dumps(about | rows[0]).encode(), headers
        about |= {"boot": memory.boot, "uptime_s": uptime_s, "sent_at": memory.clock(time.time())}
        body = json.dumps(about | {"batch": list(rows)}).encode()
        if self._zips:
            headers["Content-Encoding"], body = "gzip", gzip.compress(body, 6)
        return body, headers

    def _is_live(self, row: Row, memory: Memory, uptime_s: float) -> bool:
        """Whether it may be dated by when it comes: just measured, by one that sends each reading at once."""
        is_fresh = row["boot"] == memory.boot and uptime_s - row["uptime_s"] < 0.5 * self.cadence.beat_s
        return is_fresh and self.cadence.send_every_s <= self.cadence.beat_s

    async def _reaches(self) -> bool:
        """Whether the server could be had, and not before what was sent has gone there and back."""
        for pause_s in TRIES_S:
            await asyncio.sleep(pause_s)
            now_s = self._now_s()
            delay_s = None if self.world.weather.is_blind(now_s) else self._packet(now_s)
            if delay_s is not None:
                await asyncio.sleep(min(1.5 * delay_s, 2.0))
                return True
        return False

    def _packet_now_ms(self) -> float | None:
        delay_s = self._packet(self._now_s())
        return None if delay_s is None else delay_s * 1000

    def _clients(self) -> int:
        """People come in the evening (WITA is UTC+8)."""
        hour = (time.time() / 3600 + 8) % 24
        return int(self._random.uniform(0, 4 + (14 if 17 <= hour < 22 else 5 if hour >= 7 else 0)))

    def _clock_error_s(self) -> float | None:
        """None: it begins in 1970 at each boot."""
        if self._random.random() * 100 >= self.world.says.clock_wrong_pct:
            return 0.0
        return None if self._random.random() < 0.5 else self._random.choice((-1, 1)) * self._random.uniform(600, 3e5)

    def _is_busy(self, name: str) -> bool:
        return name in self._tasks and not self._tasks[name].done()

    def _now_s(self) -> float:
        return self.world.clock.since_start(time.monotonic_ns())

    def _later(self, delay_s: float, what: Any, *given: Any) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(0.0, delay_s), what, *given)
