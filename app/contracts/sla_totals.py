"""Sums over rows of the month's list: seconds are added, percentages follow from the sums. Pure."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from app.availability.contract_tally import ContractTally
from app.availability.site_verdicts import SiteVerdict
from app.availability.verdict_counts import count_verdicts

SUMMED = (
    *("service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s"),
    *("availability_pct", "worst_pct", "best_pct"),
)


@dataclass(slots=True)
class RowSum:
    """Rows summed up."""

    tally: ContractTally = field(default_factory=ContractTally)
    rows: list[SiteVerdict] = field(default_factory=list)

    def add(self, row: SiteVerdict) -> None:
        self.tally.merge(row.tally)
        self.rows.append(row)

    @property
    def fields(self) -> dict[str, Any]:
        """Return the fields of SlaSum."""
        tally = self.tally
        return {
            "sites": len({row.site_id for row in self.rows}),
            **{name: getattr(tally, name) for name in SUMMED},
            "excluded": dict(sorted(tally.excluded.items())),
            "verdicts": count_verdicts(row.kind for row in self.rows),
        }


def sum_by(rows: Iterable[SiteVerdict], key: Callable[[SiteVerdict], Hashable]) -> dict[Any, RowSum]:
    """Return the sums of the rows by key, without those whose key is None."""
    sums: dict[Hashable, RowSum] = defaultdict(RowSum)
    for row in rows:
        if (of := key(row)) is not None:
            sums[of].add(row)
    return sums
