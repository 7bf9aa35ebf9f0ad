"""Sums of slices: seconds of each kind, percentages, outages, and whether a contract's target was met. Pure."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from app.availability.policy import PolicyInForce
from app.core.periods import Period
from app.registry.configuration import ConfigurationInForce

GOOD_STATES, BAD_STATES = ("up", "degraded"), ("down", "unreachable")
KINDS = (*GOOD_STATES, *BAD_STATES, "unknown", "maintenance", "inactive")
UNCLASSIFIED = "unclassified"


@dataclass(slots=True)
class DowntimeRun:
    """A downtime: when its outage began (its end, if it has none), and the seconds that a contract may count.

    `proven_s` of these are proven by losses; `contested_s` would be, were they not claimed to have been good.
    """

    outage_at: int
    proven_until: int  # its last lost reading
    proven_s: int = 0
    contested_s: int = 0


class Slice(NamedTuple):
    """An interval in which nothing changes."""

    part: int  # index of the part of the period
    length_s: int
    kind: str  # of KINDS
    configuration: ConfigurationInForce | None
    outage: tuple[int, int] | None  # the site's id, and when the outage began that it lies in
    cause: str | None
    contract: PolicyInForce | None
    run: DowntimeRun | None  # which a contract counts if it is long enough
    claimed: bool = False  # its kind rests on a claim

    @property
    def countable(self) -> bool:
        if self.run is None or self.contract is None:
            return False
        return self.run.proven_s >= self.contract.policy.min_outage_s

    @property
    def countable_if_claims_are_false(self) -> bool:
        if self.run is None or self.contract is None:
            return False
        return self.run.proven_s + self.run.contested_s >= self.contract.policy.min_outage_s


@dataclass(slots=True)
class Tally:
    """Slices counted together; merging two tallies gives that of both."""

    seconds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    complete_outages: int = 0  # those that reach into no other tally
    longest_complete_s: int = 0
    outage_seconds: dict[tuple[int, int], int] = field(default_factory=dict)  # of outages that may: by site and start
    causes: dict[str, int] = field(default_factory=dict)
    contracted: bool = False
    targets: set[Decimal] = field(default_factory=set)
    countable_down_s: int = 0
    contract_s: int = 0
    contract_unknown_s: int = 0
    claimed_s: int = 0

    def add(self, slice_: Slice) -> None:
        length = slice_.length_s
        assert length > 0
        self.seconds[slice_.kind] += length
        self.claimed_s += length if slice_.claimed else 0
        if slice_.kind == "down":
            assert slice_.outage is not None
            self.outage_seconds[slice_.outage] = self.outage_seconds.get(slice_.outage, 0) + length
            if slice_.cause is not None:
                self.causes[slice_.cause] = self.causes.get(slice_.cause, 0) + length
        if slice_.contract is not None and slice_.kind != "inactive":
            self._add_to_contract(slice_, slice_.contract)

    def _add_to_contract(self, slice_: Slice, contract: PolicyInForce) -> None:
        self.contracted = True
        self.targets.add(contract.policy.sla_target_pct)
        if contract.in_service_hours and slice_.kind != "maintenance":
            self.contract_s += slice_.length_s
            if slice_.countable:
                self.countable_down_s += slice_.length_s
            elif slice_.kind == "unknown" or slice_.countable_if_claims_are_false:
                self.contract_unknown_s += slice_.length_s

    def set_inactive(self, seconds: int) -> None:
        """Set what is left of the time that sites were configured: never less than nothing."""
        assert seconds >= 0, f"{seconds} s out of service: more was counted than was configured"
        self.seconds["inactive"] = seconds

    def merge(self, other: "Tally") -> None:
        for name, length in other.seconds.items():
            self.seconds[name] += length
        self.complete_outages += other.complete_outages
        self.longest_complete_s = max(self.longest_complete_s, other.longest_complete_s)
        for outage, length in other.outage_seconds.items():
            self.outage_seconds[outage] = self.outage_seconds.get(outage, 0) + length
        for cause, length in other.causes.items():
            self.causes[cause] = self.causes.get(cause, 0) + length
        self.contracted |= other.contracted
        self.targets |= other.targets
        self.countable_down_s += other.countable_down_s
        self.contract_s += other.contract_s
        self.contract_unknown_s += other.contract_unknown_s
        self.claimed_s += other.claimed_s

    @property
    def good_s(self) -> int:
        return sum(self.seconds[state] for state in GOOD_STATES)

    @property
    def bad_s(self) -> int:
        return sum(self.seconds[state] for state in BAD_STATES)

    @property
    def active_s(self) -> int:
        return sum(self.seconds.values()) - self.seconds["inactive"]

    @property
    def outages(self) -> int:
        """The number of outages with a second of `down` in the period, outside maintenance."""
        return self.complete_outages + len(self.outage_seconds)

    @property
    def longest_outage_s(self) -> int:
        return max(self.longest_complete_s, max(self.outage_seconds.values(), default=0))

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
        by_cause = dict(self.causes)
        if rest:
            by_cause[UNCLASSIFIED] = by_cause.get(UNCLASSIFIED, 0) + rest
        return dict(sorted(by_cause.items()))

    @property
    def target(self) -> Decimal | None:
        """The target that applied all the time; None if there were several, or none."""
        return next(iter(self.targets)) if len(self.targets) == 1 else None

    @property
    def verdict(self) -> str | None:
        """`met` if the target is reached even if all unknown time was bad, `missed` if not even were it all good.

        Computed over the contract's own seconds: in service, in service hours, outside maintenance. Lost are the
        countable ones.
        """
        if self.target is None or self.contract_s == 0:
            return None
        needed = self.target * self.contract_s
        kept = 100 * (self.contract_s - self.countable_down_s)
        if kept - 100 * self.contract_unknown_s >= needed:
            return "met"
        return "missed" if kept < needed else "undetermined"


def percent(part: int, whole: int) -> float | None:
    """Return 0 to 100 with three decimals, rounded down, so that 99.9999 is never shown as 100; None of nothing."""
    return None if whole == 0 else part * 100_000 // whole / 1000


def uptime_row(period: Period, tally: Tally) -> dict[str, Any]:
    """Return the fields of an uptime row, as in responses and as stored when a month is closed."""
    return {
        "start": period.start,
        "end": period.end,
        "seconds": tally.seconds | {"claimed": tally.claimed_s},
        **tally.percentages,
        "outages": tally.outages,
        "longest_outage_s": tally.longest_outage_s,
        "down_by_cause": tally.down_by_cause,
        "countable_down_s": tally.countable_down_s if tally.contracted else None,
        "sla_target_pct": None if tally.target is None else float(tally.target),
        "sla_verdict": tally.verdict,
    }
