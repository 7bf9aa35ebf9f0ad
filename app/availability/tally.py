"""What slices of a history come to, counted together: seconds, percentages, outages, a contract's verdict. Pure."""

from dataclasses import dataclass, field
from decimal import Decimal

from app.availability.policy import InForce
from app.registry.configuration import ConfigurationInForce

GOOD, BAD = ("up", "degraded"), ("down", "unreachable")
CLASSES = ("up", "degraded", "down", "unreachable", "unknown", "maintenance", "inactive")
UNCLASSIFIED = "unclassified"


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
    setup: ConfigurationInForce | None
    outage: tuple[int, int] | None  # the site, and when this run of `down` began
    cause: str | None
    force: InForce | None
    run: Run | None  # that a contract counts, if it is long enough

    @property
    def countable(self) -> bool:
        return (
            self.run is not None and self.force is not None and (self.run.countable_s >= self.force.policy.min_outage_s)
        )


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
