"""`make cluster-faults`: break the cluster, one fault after the other, under load; print what each one cost."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from app.postgres.engine import CONNECTION_ERRORS
from tests.cluster import ledger, probers
from tests.cluster.cluster import INTERVAL_S, Cluster
from tests.cluster.faults import ClusterFault
from tests.cluster.ledger import Reading, Stretch
from tests.cluster.load import Client, Dashboard, Devices, Registrar
from tests.cluster.villages import Outage, Registered, fetch, outages
from tests.cluster.watch import Watch
from tests.support.demo_process import wait_for

SETTLED_S, STAYS_S, STEADY_S, AFTER_S = 300.0, 4.0, 6.0, 20.0
GAP_S = 60.0  # judging stands still for no longer
JUDGED_S = 60.0  # what was acknowledged is a reading of the ledger by then
MOST_WAITING, DELIVERED_S = 50, 30.0  # pushes to be judged; a prober's readings are delivered so soon
RECENT = timedelta(seconds=60)  # so long after an outage a site may not be told to be up yet
PUSH_EVERY_S = 5.0
READ_BACK_S = 60.0  # how far back is looked whether what was stored before a fault still is


@dataclass
class FaultRecord:
    """What a fault did, until all was well again."""

    fault: ClusterFault
    start: float
    end: float = 0.0
    settled_s: float | None = None  # None: not within the time that it has
    writable_s: float | None = None
    gap_s: float = 0.0
    failures: str = ""
    lost_readings: int = 0
    lost_writes: int = 0
    down_s: float = 0.0
    unknown_s: float = 0.0  # the longest stretch of a site
    reasons: str = ""  # of all such stretches


@dataclass
class Trial:
    cluster: Cluster
    registered: Registered
    sites: int
    records: list[FaultRecord] = field(default_factory=list)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    broken: list[str] = field(default_factory=list)  # the rules that were

    def run(self, faults: Sequence[ClusterFault], say: Callable[[str], None]) -> None:
        """Try the faults under load, and count afterwards. The records are complete then."""
        url, token = self.cluster.pages_url, self.registered.token
        registrars = [Registrar(f"registrar{n}", url, token, self.registered.villages) for n in (1, 2)]
        devices = Devices(self.cluster.devices_url, self.registered.devices, every_s=PUSH_EVERY_S)
        dashboards = [Dashboard(url, token) for _ in range(2)]
        clients: list[Client] = [*registrars, devices, *dashboards]
        watch = Watch(self.cluster)
        devices.start()
        begun = time.time()
        say(f"all {self.sites} sites are up after {self._settle() - begun:.0f} s")
        self.began = datetime.now(UTC)
        for thread in (*registrars, *dashboards, watch):
            thread.start()
        try:
            time.sleep(STEADY_S)
            for fault in faults:
                self._try(fault, registrars, clients, watch)
                say(line(self.records[-1]))
        finally:
            for client in clients:
                client.end()
            watch.end()
        self._count(registrars, devices, say)

    def _try(
        self, fault: ClusterFault, registrars: Sequence[Registrar], clients: Sequence[Client], watch: Watch
    ) -> None:
        before = asyncio.run(ledger.stored(self.cluster.database_url(), READ_BACK_S, self.sites))
        record = FaultRecord(fault, time.time())
        self.records.append(record)
        undo = fault.begin(self.cluster)
        time.sleep(fault.hold_s)
        undo()
        try:
            record.settled_s = self._settle() - record.start
        except AssertionError as error:
            record.failures = f"not well again: {error}; "
        time.sleep(max(STEADY_S, record.start + AFTER_S - time.time()))
        record.end = time.time()
        before |= probers.acknowledged(self.cluster, record.start - READ_BACK_S)
        record.lost_readings = self._missing(before, record.start)
        written = [at for registrar in registrars if (at := registrar.diary.first_after(record.start)) is not None]
        record.writable_s = min(written) - record.start if written else None
        record.gap_s = watch.longest_gap_s(record.start, record.end)
        kinds = Counter[str]()
        for client in clients:
            kinds += client.diary.failures_between(record.start, record.end)
        record.failures += ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())

    def _missing(self, readings: set[Reading], since: float) -> int:
        """Return how many are not stored, once what waits in inboxes has had time to be."""
        deadline = time.time() + JUDGED_S
        while (missing := readings - self._stored_since(since)) and time.time() < deadline:
            time.sleep(2)
        return len(missing)

    def _stored_since(self, moment: float) -> set[Reading]:
        within_s = time.time() - moment + 2 * READ_BACK_S
        return asyncio.run(ledger.stored(self.cluster.database_url(), within_s, self.sites))

    def _settle(self) -> float:
        """Wait until all sites are up but those that truly are not, and the databases are complete again, and stay so.

        Return the time at which that began. Raises AssertionError if it does not within SETTLED_S.
        """
        deadline, well_since = time.time() + SETTLED_S, None
        while well_since is None or time.time() - well_since < STAYS_S:
            now = time.time()
            if not self._is_well():
                well_since = None
                if now > deadline:
                    raise AssertionError(f"not within {SETTLED_S:g} s: {self._what_is_wrong()}")
            elif well_since is None:
                well_since = now
            time.sleep(1)
        return well_since

    def _is_well(self) -> bool:
        try:
            return self.cluster.is_replicated() and self._all_up()
        except AssertionError:
            return False

    def _what_is_wrong(self) -> str:
        if not self.cluster.is_replicated():
            return "the databases are not complete"
        states = self._fetch(ledger.STATES, self.sites)
        return ", ".join(f"{row[1]} {row[0]}" for row in states) + f"; {self._fetch(ledger.WAITING)[0][0]} wait"

    def _all_up(self) -> bool:
        suffering = self._suffering()
        few = self._fetch(ledger.WAITING)[0][0] < MOST_WAITING
        delivered = not probers.waiting(self.cluster, time.time() - DELIVERED_S)
        return bool(few and delivered and self._fetch(ledger.UP, self.sites, suffering)[0][0] == 0)

    def _suffering(self) -> list[int]:
        ids = {host.code: site for site, host in self._hosts()}
        now = datetime.now(UTC)
        return [ids[o.code] for o in self._outages() if o.end is None or now - o.end < RECENT]

    def _hosts(self) -> list[tuple[int, Any]]:
        first = self.sites - len(self.registered.hosts) + 1  # those that push have no host, and the first ids
        return list(enumerate(self.registered.hosts, first))

    def _outages(self) -> list[Outage]:
        return outages(self.cluster.truth("app1")) if self.cluster.machines.separate else []

    def _fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Raises AssertionError while there is no database."""
        try:
            return asyncio.run(fetch(self.cluster.database_url(), statement, *values))
        except CONNECTION_ERRORS as error:
            raise AssertionError(f"no database: {error!r}") from None

    def _record_of(self, stretch: Stretch) -> FaultRecord | None:
        """Return the latest fault before it; a stretch begins with the last look before a fault."""
        start = stretch.start.timestamp() + 2 * INTERVAL_S
        return next((record for record in reversed(self.records) if record.start <= start), None)

    def _count(self, registrars: Sequence[Registrar], devices: Devices, say: Callable[[str], None]) -> None:
        url = self.cluster.database_url()
        wait_for(lambda: self._fetch(ledger.WAITING)[0][0] == 0, 60, every_s=1)
        stretches = asyncio.run(ledger.not_up(url, self.began, self.sites))
        truth = self._outages()
        wrong = ledger.untrue(stretches, truth)
        promised = [entry for registrar in registrars for entry in registrar.diary.acknowledged]
        counts = {row[0]: row[1] for row in self._fetch(ledger.REFERENCES)}
        missing, doubled = ledger.missing_and_doubled(promised, counts)
        pushed = {entry.key for entry in devices.diary.acknowledged}
        lost, invented = ledger.pushes_missing(pushed, devices.diary.tried, self._fetch(ledger.PUSHED))
        troubled = {outage.code for outage in truth}
        over, overlooked = ledger.unseen(stretches, truth, datetime.now(UTC))
        for record in self.records:
            record.lost_writes = sum(record.start - 5 <= entry.at < record.end for entry in missing)
            own = [s for s in stretches if self._record_of(s) is record]
            record.down_s = sum(s.seconds for s in own if s in wrong)
            unknown = [s for s in own if s.state == "unknown" and s.code not in troubled]
            record.unknown_s = max((s.seconds for s in unknown), default=0)
            record.reasons = ", ".join(
                f"{count} {reason}" for reason, count in Counter(s.reason for s in unknown).items()
            )
        say(f"registrations: {len(promised):,} acknowledged, {len(missing)} lost, {len(doubled)} doubled")
        say(f"pushes: {len(pushed):,} acknowledged, {lost} lost, {invented} doubled")
        say(f"outages in the villages: {over}, of which {len(overlooked)} were not told")
        say(f"down that was not: {sum(s.seconds for s in wrong):.0f} s in {len(wrong)} stretches {wrong[:3] or ''}")
        self.broken = [
            text
            for text, is_broken in {
                "acknowledged registrations are lost": missing,
                "registrations are doubled": doubled,
                "acknowledged pushes are lost": lost,
                "pushes are doubled": invented,
                "stored readings are gone": sum(record.lost_readings for record in self.records),
                "seconds are down that were not": wrong,
                "outages were not told": overlooked,
                "a fault was not over in time": [r for r in self.records if r.settled_s is None],
                "judging stood still for more than 60 s": [r for r in self.records if r.gap_s > GAP_S],
            }.items()
            if is_broken
        ]


HEADING = f"{'fault':<40}{'well':>8}{'writable':>9}{'gap':>8}{'lost':>5}{'writes':>7}{'down':>6}{'unknown':>8}  beside"


def line(record: FaultRecord) -> str:
    times = f"{_s(record.settled_s):>8}{_s(record.writable_s):>9}{_s(record.gap_s):>8}"
    counts = f"{record.lost_readings:>5}{record.lost_writes:>7}{_s(record.down_s):>6}{_s(record.unknown_s):>8}"
    beside = "; ".join(filter(None, (record.reasons, record.failures)))
    return f"{record.fault.name:<40}{times}{counts}  {beside}"


def _s(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
