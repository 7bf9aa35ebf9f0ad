"""What a contract counts of a site: each second is good, counted down, excluded for a reason, or unknown. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from app.availability.percent import percent

GOOD, COUNTED_DOWN, UNKNOWN = "good", "counted_down", "unknown"
OUTSIDE = "outside"  # of service or of service hours
SHORT, MAINTENANCE, PARENT = "short", "maintenance", "parent"  # reasons beside the causes that terms exclude


@dataclass(slots=True)
class ContractTally:
    """Seconds under a contract; merging two gives those of both.

    `service_s` are those in which the site was in service, within service hours: the sum of good, counted down,
    excluded and unknown. `claimed_s` is how much of good and unknown rests on claims of the site's device.
    """

    covered_s: int = 0
    service_s: int = 0
    good_s: int = 0
    counted_down_s: int = 0
    unknown_s: int = 0
    claimed_s: int = 0
    excluded: dict[str, int] = field(default_factory=dict)

    def add(self, length_s: int, counted_as: str, *, claimed: bool) -> None:
        """Add seconds that count as one of the above, or are excluded for that reason."""
        self.covered_s += length_s
        if counted_as == OUTSIDE:
            return
        self.service_s += length_s
        self.claimed_s += length_s if claimed else 0
        if counted_as == GOOD:
            self.good_s += length_s
        elif counted_as == COUNTED_DOWN:
            self.counted_down_s += length_s
        elif counted_as == UNKNOWN:
            self.unknown_s += length_s
        else:
            self.excluded[counted_as] = self.excluded.get(counted_as, 0) + length_s

    def merge(self, other: "ContractTally") -> None:
        self.covered_s += other.covered_s
        self.service_s += other.service_s
        self.good_s += other.good_s
        self.counted_down_s += other.counted_down_s
        self.unknown_s += other.unknown_s
        self.claimed_s += other.claimed_s
        for reason, seconds in other.excluded.items():
            self.excluded[reason] = self.excluded.get(reason, 0) + seconds

    @property
    def availability_pct(self) -> float | None:
        """Return the share of what is known that was not counted down; what is excluded counts as available."""
        return percent(self.service_s - self.counted_down_s - self.unknown_s, self.service_s - self.unknown_s)

    @property
    def worst_pct(self) -> float | None:
        """Return the availability if all that is unknown was down."""
        return percent(self.service_s - self.counted_down_s - self.unknown_s, self.service_s)

    @property
    def best_pct(self) -> float | None:
        """Return the availability if all that is unknown was good."""
        return percent(self.service_s - self.counted_down_s, self.service_s)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was counted under one set of terms and its target."""

    target_pct: Decimal
    tally: ContractTally


def required_s(stretches: Iterable[Stretch]) -> Decimal:
    """Return the seconds that had to be available: what the terms ask for of each stretch, added up."""
    return sum((stretch.target_pct * stretch.tally.service_s for stretch in stretches), Decimal(0)) / 100


def missed_by_s(stretches: Sequence[Stretch]) -> int:
    """Return the seconds that the target is missed by even if all unknown time was good: 0 unless it is missed."""
    kept_s = sum(stretch.tally.service_s - stretch.tally.counted_down_s for stretch in stretches)
    return max(0, math.ceil(required_s(stretches) - kept_s))


def verdict(stretches: Sequence[Stretch]) -> str | None:
    """Return `met` if the target is reached even if all unknown time was down, `missed` if not even were it all good.

    None without a second of service.
    """
    whole = ContractTally()
    for stretch in stretches:
        whole.merge(stretch.tally)
    if whole.service_s == 0:
        return None
    kept_s, needed_s = whole.service_s - whole.counted_down_s, required_s(stretches)
    if kept_s - whole.unknown_s >= needed_s:
        return "met"
    return "missed" if kept_s < needed_s else "undetermined"
