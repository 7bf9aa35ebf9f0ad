"""Sums of slices: seconds of each kind, percentages, outages, and what contracts count. Pure."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from app.availability.contract_tally import COUNTED_DOWN, OUTSIDE, ContractTally
from app.availability.percent import percent
from app.availability.policy import TermsKey
from app.availability.slices import Slice
from app.core.periods import Period

GOOD_STATES, BAD_STATES = ("up", "degraded"), ("down", "unreachable")
KINDS = (*GOOD_STATES, *BAD_STATES, "unknown", "maintenance", "inactive")
UNCLASSIFIED = "unclassified"


@dataclass(slots=True)
class Tally:
    """Slices counted together; merging two tallies gives that of both.

    `contract_s` and `countable_down_s` are what the contract of each second counts as service and as down: the primary
    link's, where there is none the backup's. `contracts` has all that each counts, apart by its terms.
    """

    seconds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    complete_outages: int = 0  # those that reach into no other tally
    longest_complete_s: int = 0
    outage_seconds: dict[tuple[int, int], int] = field(default_factory=dict)  # of outages that may: by site and start
    causes: dict[str, int] = field(default_factory=dict)
    contracted: bool = False
    countable_down_s: int = 0
    contract_s: int = 0
    claimed_s: int = 0
    contracts: dict[TermsKey, ContractTally] = field(default_factory=lambda: defaultdict(ContractTally))

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
        if slice_.contracts:
            self._add_to_contracts(slice_)

    def _add_to_contracts(self, slice_: Slice) -> None:
        for contract in slice_.contracts:
            tally = self.contracts[contract.policy.terms]
            tally.add(slice_.length_s, contract.counted_as, claimed=slice_.claimed)
        counted_as = slice_.contracts[0].counted_as
        self.contracted |= slice_.kind != "inactive"
        self.contract_s += slice_.length_s if counted_as != OUTSIDE else 0
        self.countable_down_s += slice_.length_s if counted_as == COUNTED_DOWN else 0

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
        self.countable_down_s += other.countable_down_s
        self.contract_s += other.contract_s
        self.claimed_s += other.claimed_s
        for terms, tally in other.contracts.items():
            self.contracts[terms].merge(tally)

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


def uptime_row(period: Period, tally: Tally) -> dict[str, Any]:
    """Return the fields of an uptime row without those of a site's contract."""
    return {
        "start": period.start,
        "end": period.end,
        "seconds": tally.seconds | {"claimed": tally.claimed_s},
        **tally.percentages,
        "outages": tally.outages,
        "longest_outage_s": tally.longest_outage_s,
        "down_by_cause": tally.down_by_cause,
        "countable_down_s": tally.countable_down_s if tally.contracted else None,
    }
