"""How much of a period a site was up, down or unseen: whole seconds that add up to the period exactly. Pure.

What a second is, is decided in this order: `inactive` outside the site's time in service, `maintenance` inside a
planned window, else the state. Everything else follows from the same slices, so parts always add up to the whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.clock import to_slot
from app.ledger.policy import InForce, Policy, in_force
from app.ledger.timeline import Piece
from app.ledger.tracks import Track, paint, weave
from app.registry.models import State

GOOD, BAD = ("up", "degraded"), ("down", "unreachable")
CLASSES = ("up", "degraded", "down", "unreachable", "unknown", "maintenance", "inactive")
UNCLASSIFIED = "unclassified"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time."""

    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Cause(Window):
    cause: str


@dataclass(frozen=True, slots=True)
class Terms(Window):
    policy: Policy


@dataclass(frozen=True, slots=True)
class Setup:
    """How a site was set up: in service or not, whose, and by which technology."""

    active: bool
    provider_id: int = 0
    technology: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """All that counting a site needs, as tracks in whole seconds.

    `states` hold outages in their whole length, also where they reach beyond what is counted.
    """

    states: Track[State]
    setups: Track[Setup]
    maintenance: Track[bool]
    causes: Track[str]
    policies: Track[Policy]
    site_id: int = 0


@dataclass(slots=True)
class Run:
    """Down or unreachable without a break: as long as a contract may count it."""

    countable_s: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch in which nothing changes."""

    part: int
    length_s: int
    kind: str
    setup: Setup | None
    outage: tuple[int, int] | None  # the site, and when this run of `down` began
    cause: str | None
    force: InForce | None
    run: Run | None  # that a contract counts, if it is long enough

    @property
    def countable(self) -> bool:
        return self.run is not None and self.force is not None and (
            self.run.countable_s >= self.force.policy.min_outage_s
        )  # fmt: skip


@dataclass(slots=True)
class Tally:
    """Slices counted together; two tallies merge into that of both."""

    seconds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    whole_outages: int = 0  # those that reach into no other tally
    longest_whole_s: int = 0
    parts: dict[tuple[int, int], int] = field(default_factory=dict)  # the seconds here of outages known by their start
    causes: dict[str, int] = field(default_factory=dict)
    contracted: bool = False
    targets: set[Decimal] = field(default_factory=set)
    countable_down_s: int = 0
    contract_s: int = 0
    contract_unknown_s: int = 0

    def add(self, piece: Slice) -> None:
        length = piece.length_s
        self.seconds[piece.kind] += length
        if piece.kind == "down":
            assert piece.outage is not None
            self.parts[piece.outage] = self.parts.get(piece.outage, 0) + length
            if piece.cause is not None:
                self.causes[piece.cause] = self.causes.get(piece.cause, 0) + length
        if piece.force is not None and piece.kind != "inactive":
            self._add_to_contract(piece, piece.force)

    def _add_to_contract(self, piece: Slice, force: InForce) -> None:
        self.contracted = True
        self.targets.add(force.policy.sla_target_pct)
        if force.serving and piece.kind != "maintenance":
            self.contract_s += piece.length_s
            self.contract_unknown_s += piece.length_s if piece.kind == "unknown" else 0
            self.countable_down_s += piece.length_s if piece.countable else 0

    def merge(self, other: "Tally") -> None:
        for name, length in other.seconds.items():
            self.seconds[name] += length
        self.whole_outages += other.whole_outages
        self.longest_whole_s = max(self.longest_whole_s, other.longest_whole_s)
        for outage, length in other.parts.items():
            self.parts[outage] = self.parts.get(outage, 0) + length
        for cause, length in other.causes.items():
            self.causes[cause] = self.causes.get(cause, 0) + length
        self.contracted |= other.contracted
        self.targets |= other.targets
        self.countable_down_s += other.countable_down_s
        self.contract_s += other.contract_s
        self.contract_unknown_s += other.contract_unknown_s

    @property
    def good_s(self) -> int:
        return self.seconds["up"] + self.seconds["degraded"]

    @property
    def bad_s(self) -> int:
        return self.seconds["down"] + self.seconds["unreachable"]

    @property
    def active_s(self) -> int:
        return sum(self.seconds.values()) - self.seconds["inactive"]

    @property
    def outages(self) -> int:
        """Runs of `down` that reach into the period, outside maintenance."""
        return self.whole_outages + len(self.parts)

    @property
    def longest_outage_s(self) -> int:
        return max(self.longest_whole_s, max(self.parts.values(), default=0))

    @property
    def percentages(self) -> dict[str, float | None]:
        good, bad, unknown = self.good_s, self.bad_s, self.seconds["unknown"]
        return {
            "uptime_pct": percent(good, good + bad),
            "coverage_pct": percent(good + bad, good + bad + unknown),
            "worst_pct": percent(good, good + bad + unknown),
            "best_pct": percent(good + unknown, good + bad + unknown),
        }

    @property
    def down_by_cause(self) -> dict[str, int]:
        rest = self.seconds["down"] - sum(self.causes.values())
        named = dict(self.causes)
        if rest:
            named[UNCLASSIFIED] = named.get(UNCLASSIFIED, 0) + rest
        return dict(sorted(named.items()))

    @property
    def target(self) -> Decimal | None:
        """The one target that applied all the time, if it was one."""
        return next(iter(self.targets)) if len(self.targets) == 1 else None

    @property
    def verdict(self) -> str | None:
        """`met` if the target is reached even if all unseen was bad, `missed` if it is not even if all unseen was good.

        Of the contract's own seconds: in service, in service hours, outside maintenance; lost are the countable ones.
        """
        if self.target is None or self.contract_s == 0:
            return None
        needed = self.target * self.contract_s
        kept = 100 * (self.contract_s - self.countable_down_s)
        if kept - 100 * self.contract_unknown_s >= needed:
            return "met"
        return "missed" if kept < needed else "undetermined"


def percent(part: int, whole: int) -> float | None:
    """0 to 100 with three decimals, rounded down: 99.999 is never shown as 100."""
    return None if whole == 0 else part * 100_000 // whole / 1000


def slices(history: History, parts: Sequence[tuple[int, int]]) -> list[Slice]:
    """The parts, `(start, end)` in order, cut where anything changes.

    An outage is a run of `down` that no other state interrupts; maintenance inside takes seconds from it but does not
    split it. A contract's outage is a run of down or unreachable: its length is what remains without maintenance,
    time out of service or outside service hours, and excused seconds, and it counts when that reaches the least. The
    length runs from the first lost look to the answer that ended it: the last lost look, which would be the provable
    minimum, is not kept in the ledger.
    """
    states = _outages_whole(history.states, parts[0][0], parts[-1][1])
    low, high = min(parts[0][0], states[0][0]), max(parts[-1][1], states[-1][1])
    numbered = [(a, b, number) for number, (a, b) in enumerate(parts)]
    tracks: list[Track[Any]] = [
        numbered, states, history.setups, history.maintenance, history.causes, in_force(history.policies, low, high)
    ]  # fmt: skip
    found: list[Slice] = []
    down_since: int | None = None
    run: Run | None = None
    for start, end, (part, state, setup, maintained, cause, force) in weave(tracks, low, high):
        down_since = (down_since or start) if state is State.DOWN else None
        run = (run or Run()) if state in BAD else None
        kind = _kind(state, setup, maintained)
        counts = kind in BAD and force is not None and force.serving and not force.policy.excuses(kind, cause)
        if run is not None and counts:
            run.countable_s += end - start
        if part is not None:
            outage = None if down_since is None else (history.site_id, down_since)
            found.append(Slice(part, end - start, kind, setup, outage, cause, force, run if counts else None))
    return found


def _kind(state: State | None, setup: Setup | None, maintained: bool | None) -> str:
    if setup is None or not setup.active:
        return "inactive"
    if maintained:
        return "maintenance"
    return "unknown" if state is None else state.value


def _outages_whole(states: Track[State], low: int, high: int) -> Track[State]:
    """Only outages matter beyond the edges: all else is cut there."""
    kept = [(a, b, s) if s in BAD else (max(a, low), min(b, high), s) for a, b, s in states]
    return [stretch for stretch in kept if stretch[0] < stretch[1]] or [(low, high, State.UNKNOWN)]


def count(history: History, parts: Sequence[tuple[int, int]]) -> list[Tally]:
    """A tally for each part; the parts follow each other."""
    tallies = [Tally() for _ in parts]
    for piece in slices(history, parts):
        tallies[piece.part].add(piece)
    return tallies


def availability(
    pieces: Sequence[Piece], in_service: Sequence[Window], start: datetime, end: datetime, *,
    maintenance: Sequence[Window] = (), causes: Sequence[Cause] = (), policies: Sequence[Terms] = (),
) -> Tally:  # fmt: skip
    """`pieces` follow each other without overlap; windows may overlap and come in any order."""
    history = History(
        states=[(to_slot(p.started_at), to_slot(p.ended_at), p.state) for p in pieces],
        setups=paint((*_span(window), Setup(active=True)) for window in in_service),
        maintenance=paint((*_span(window), True) for window in maintenance),
        causes=paint((*_span(cause), cause.cause) for cause in causes),
        policies=paint((*_span(terms), terms.policy) for terms in policies),
    )
    (tally,) = count(history, [(to_slot(start), to_slot(end))])
    return tally


def _span(window: Window) -> tuple[int, int]:
    return to_slot(window.started_at), to_slot(window.ended_at)
