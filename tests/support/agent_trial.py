"""Agents over cuts, restarts, wrong clocks, full disks and failing answers: every row once and in time, or counted."""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from app.postgres.engine import transaction
from tests.agents.agent_machine import LINK, Link, StoredPushes, open_link
from tests.factories import register
from tests.support.agent_box import Box
from tests.support.served_api import Served

HTML = b"Content-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>"
PROBLEM = b"Content-Type: application/problem+json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
ANSWERS = {
    "500": b"HTTP/1.1 500 Internal Server Error\r\n" + PROBLEM,
    "502": b"HTTP/1.1 502 Bad Gateway\r\n" + HTML,
    "401": b"HTTP/1.1 401 Unauthorized\r\n" + HTML,
    "own 401": b"HTTP/1.1 401 Unauthorized\r\n" + PROBLEM,
    "429": b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 20\r\n" + PROBLEM,
    "portal": b"HTTP/1.1 200 OK\r\n" + HTML,
}
NETWORK = ("refused", "silent", "lost", "hang", *ANSWERS)
CLOCKS = {"1970": None, "+5 h": 5 * 3600, "-5 min": -300}  # seconds ahead
TOLERANCE_S = 2
DEVICES = text("SELECT site_id, boot, dropped, rejected, duplicates FROM device")


@dataclass
class Subject:
    """A box with its link and what the service knows of it."""

    box: Box
    link: Link
    stored: StoredPushes
    site_id: int
    clock: str
    has_rtc: bool
    has_cron: bool = False
    log: list[str] = field(default_factory=list)
    reported: dict[str, int] = field(default_factory=dict)  # dropped rows, as the service heard it, by boot
    lost_with_ram: set[tuple[str, int]] = field(default_factory=set)
    counted: int = 0  # rows that its earlier boots counted as dropped
    carried: int = 0  # of these, what no push had reported at the last power cut
    unreported: int = 0  # and what none reports any more
    starts: int = 0

    def name(self) -> str:
        return f"{'ash' if self.box.kind == 'openwrt' else 'dash'}, clock {self.clock}{', RTC' if self.has_rtc else ''}"

    @property
    def ahead_s(self) -> int:
        ahead = CLOCKS[self.clock]
        return -1_700_000_000 if ahead is None else ahead

    def start(self) -> None:
        self.box.set_clock(ahead_s=self.ahead_s, synchronised=False)
        self.starts += 1
        self.box.start(cron=self.has_cron)

    def power_cut(self) -> None:
        self.box.stop()
        self.count_dropped()
        if self.box.kind == "openwrt":  # all it holds is in RAM
            self.lost_with_ram |= self.held()
        self.box.power_cut()

    def count_dropped(self) -> None:
        dropped, reported = int(self.box.read("dropped") or 0), self.reported.get(self.box.read("boot"), 0)
        self.counted += dropped - self.carried
        unreported = self.box.spool / "unreported"
        self.carried = int(unreported.read_text()) if self.box.kind == "linux" and unreported.exists() else 0
        self.unreported += max(0, dropped - reported - self.carried)

    def held(self) -> set[tuple[str, int]]:
        """Return the rows that it still has to send, without torn lines."""
        rows = []
        for line in self.box.rows:
            with contextlib.suppress(ValueError):
                rows.append(json.loads(line))
        return {(row["boot"], row["seq"]) for row in rows}


@dataclass(frozen=True)
class Outcome:
    """What became of the rows of a subject."""

    name: str
    measured: int
    stored: int
    dropped: int
    unreported: int
    lost_with_ram: int
    in_flight: int
    worst_s: float
    problems: tuple[str, ...]
    events: str


@asynccontextmanager
async def subject(
    server: Served,
    folder: Path,
    *,
    kind: str,
    clock: str,
    has_rtc: bool,
    beat_s: int,
    has_cron: bool = False,
) -> AsyncIterator[Subject]:
    site = await register(server.cast, probe="push", host=None)
    port = 8000
    answer = await server.cast.ana.post(f"/sites/{site['id']}/agent?kind={kind}", headers={"Host": f"{LINK}:{port}"})
    assert answer.status_code == 201, answer.text
    box = Box(folder, answer.text, kind=kind)
    with contextlib.closing(box):
        box.answer_pings(True)
        async with open_link(box.namespace, port, server.port) as link:
            box.configure(
                URL=f"http://{LINK}:{port}", BEAT_S=beat_s, SEND_S=beat_s, LONGEST_S=beat_s, JITTER_S=1, PACKETS=1,
                PING_WAIT_S=1, PUSH_TIMEOUT_S=min(45, 2 * beat_s), ANCHORS="127.0.8.1",
            )  # fmt: skip
            yield Subject(box, link, StoredPushes(server.sessions, site["id"]), site["id"], clock, has_rtc, has_cron)


async def break_network(subject: Subject, fault: str, *, broken: bool) -> None:
    box, link = subject.box, subject.link
    if fault == "refused":
        await asyncio.to_thread(box.answer_pings, not broken)
        await (link.cut() if broken else link.restore())
    elif fault == "silent":
        await asyncio.to_thread(box.drop_packets, broken)
    elif fault == "lost":
        link.drops_responses = broken
    elif fault == "hang":
        link.hangs = broken
    else:
        link.canned_response = ANSWERS[fault] if broken else None


async def suffer_network(subject: Subject, chance: random.Random, until: float, beat_s: int) -> None:
    """One fault after the other, of half a beat to six beats, with as long a rest after each."""
    now = asyncio.get_running_loop().time
    while (length := chance.uniform(0.5, 6) * beat_s) < until - now():
        fault = chance.choice(NETWORK)
        subject.log.append(fault)
        await break_network(subject, fault, broken=True)
        await asyncio.sleep(length)
        await break_network(subject, fault, broken=False)
        await asyncio.sleep(min(chance.uniform(0.5, 5) * beat_s, max(0.0, until - now())))


async def suffer_power(subject: Subject, chance: random.Random, until: float, beat_s: int) -> None:
    now = asyncio.get_running_loop().time
    while (wait := chance.uniform(5, 15) * beat_s) < until - now():
        await asyncio.sleep(wait)
        off_s = chance.uniform(0.2, 3) * beat_s
        subject.log.append("reboot")
        await asyncio.to_thread(subject.power_cut)
        await asyncio.sleep(off_s)
        subject.start()


async def suffer_disk(subject: Subject, chance: random.Random, until: float, beat_s: int) -> None:
    now = asyncio.get_running_loop().time
    while (wait := chance.uniform(3, 15) * beat_s) < until - now():
        await asyncio.sleep(wait)
        subject.log.append("full")
        await asyncio.to_thread(subject.box.fill, full=True)
        await asyncio.sleep(chance.uniform(1, 6) * beat_s)
        await asyncio.to_thread(subject.box.fill, full=False)


async def suffer_clock(subject: Subject, chance: random.Random, until: float, beat_s: int) -> None:
    """NTP finds the time in some of the starts, later than the first beats; the hardware clock keeps its error."""
    starts = 0
    while asyncio.get_running_loop().time() < until:
        if subject.starts != starts:
            starts, finds_time_in_s = subject.starts, chance.choice((None, None, 4 * beat_s))
        elif finds_time_in_s is not None and subject.starts == starts:
            finds_time_in_s -= 1
            if finds_time_in_s == 0:
                subject.box.set_clock(ahead_s=0, synchronised=True)
        subject.box.set_hardware_clock(subject.ahead_s if subject.has_rtc else None)
        await asyncio.sleep(1)


async def watch_devices(server: Served, subjects: list[Subject]) -> None:
    """Keep what the service was told of dropped rows, by boot."""
    by_site = {subject.site_id: subject for subject in subjects}
    while True:
        async with transaction(server.sessions) as session:
            for site_id, boot, dropped, *_ in await session.execute(DEVICES):
                if site_id in by_site and boot is not None and dropped is not None:
                    reported = by_site[site_id].reported
                    reported[boot] = max(dropped, reported.get(boot, 0))
        await asyncio.sleep(0.3)


async def run(server: Served, subjects: list[Subject], *, duration_s: float, beat_s: int, seed: int) -> list[Outcome]:
    """Let them suffer for `duration_s`, give them time to send what they hold, and compare."""
    until = asyncio.get_running_loop().time() + duration_s
    watching = asyncio.create_task(watch_devices(server, subjects))
    for one in subjects:
        one.start()
    sufferings = (suffer_network, suffer_power, suffer_disk, suffer_clock)
    await asyncio.gather(
        *(
            suffer(one, random.Random(f"{seed} {index} {suffer.__name__}"), until, beat_s)
            for index, one in enumerate(subjects)
            for suffer in sufferings
        )
    )
    await drain(subjects, beat_s)
    watching.cancel()
    return [await outcome(server, one) for one in subjects]


async def drain(subjects: list[Subject], beat_s: int) -> None:
    """Wait until nothing waits: a pause, two beats, and the report of what was dropped last."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(150 + 12 * beat_s):
            while any(len(one.box.rows) > 1 for one in subjects):  # noqa: ASYNC110  # files of other processes
                await asyncio.sleep(1)
    await asyncio.sleep(2.5 * beat_s)
    for one in subjects:
        one.box.stop()
        one.count_dropped()


async def outcome(server: Served, one: Subject, *, tolerance_s: float = TOLERANCE_S) -> Outcome:
    truth = one.box.truth
    stored = {(boot, seq) for boot, seqs in (await one.stored.seqs()).items() for seq in seqs}
    readings = await one.stored.readings()
    async with transaction(server.sessions) as session:
        (device,) = [row for row in await session.execute(DEVICES) if row.site_id == one.site_id]
    missing = set(truth) - stored - one.held()
    with_ram = missing & one.lost_with_ram
    last = {boot: max(seq for other, seq in truth if other == boot) for boot, _ in truth}
    unexplained = len(missing - with_ram) - one.counted
    in_flight = min(max(0, unexplained), sum((boot, seq) in missing - with_ram for boot, seq in last.items()))
    slots = sorted(reading.slot for reading in readings)
    moments = sorted(int(truth[key]) for key in stored if key in truth)
    worst = max((abs(slot - moment) for slot, moment in zip(slots, moments, strict=False)), default=0)
    problems = []
    if stored - set(truth):
        problems.append(f"{len(stored - set(truth))} rows that nobody measured")
    if len(readings) != len(stored):
        problems.append(f"{len(readings)} readings of {len(stored)} rows")
    if unexplained - in_flight:
        problems.append(f"{unexplained - in_flight} rows lost and not counted")
    if one.unreported and one.box.kind == "linux":
        problems.append(f"{one.unreported} dropped rows never reported")
    if worst > tolerance_s:
        problems.append(f"{worst:.0f} s from its moment")
    if device.rejected:
        problems.append(f"{device.rejected} rejected")
    events = ", ".join(f"{count} {name}" for name, count in sorted(Counter(one.log).items()))
    return Outcome(
        one.name(), len(truth), len(stored), one.counted, one.unreported, len(with_ram), in_flight, worst,
        tuple(problems), events,
    )  # fmt: skip
