"""The rows that the daily rollup stores of a site's day. Pure."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from app.availability.contract_tally import ContractTally
from app.availability.counting import CountableHistory, cut_slices
from app.availability.tally import Tally
from app.core.clock import from_slot
from app.registry.models import SiteKind

Row = dict[str, Any]
Outages = Collection[tuple[int, int] | None]


@dataclass(slots=True)
class DayRows:
    """Rows for each provider, technology and village that the site had that day as an access point.

    `undecided`: a run of the day is still too short for its contract, and counts if it grows.
    """

    availability: list[Row] = field(default_factory=list)
    outage_parts: list[Row] = field(default_factory=list)
    contracts: list[Row] = field(default_factory=list)
    undecided: bool = False


def day_rows(history: CountableHistory, low: int, high: int) -> DayRows:
    """Return the rows of a day. One second on either side of it shows which outages cross its edges."""
    tallies: dict[tuple[int, str, str], Tally] = defaultdict(Tally)  # by provider, technology, village
    crossing: set[tuple[int, int] | None] = set()
    rows = DayRows()
    for slice_ in cut_slices(history, [(low - 1, low), (low, high), (high, high + 1)]):
        configuration = slice_.configuration
        if slice_.part != 1:
            crossing.add(slice_.outage)
        elif configuration is not None and configuration.kind is SiteKind.ACCESS_POINT:
            tallies[configuration.provider_id, configuration.technology, configuration.village_code].add(slice_)
            rows.undecided |= any(contract.may_grow for contract in slice_.contracts)
    rows_of_outage = Counter(outage for tally in tallies.values() for outage in tally.outage_seconds)
    crossing |= {outage for outage, count in rows_of_outage.items() if count > 1}
    for (provider_id, technology, village_code), tally in tallies.items():
        key = {
            "site_id": history.site_id,
            "provider_id": provider_id,
            "technology": technology,
            "village_code": village_code,
        }
        rows.availability.append(key | _availability(tally, crossing))
        rows.outage_parts += [key | part for part in _outage_parts(tally, crossing)]
        rows.contracts += [key | terms._asdict() | _contract(counted) for terms, counted in tally.contracts.items()]
    return rows


def _availability(tally: Tally, crossing: Outages) -> Row:
    complete = [length for outage, length in tally.outage_seconds.items() if outage not in crossing]
    return {
        **tally.seconds,
        "claimed": tally.claimed_s,
        "outages": len(complete),
        "longest_outage_s": max(complete, default=0),
        "countable_down_s": tally.countable_down_s,
        "contract_s": tally.contract_s,
        "down_by_cause": tally.causes,
    }


def _contract(counted: ContractTally) -> Row:
    return {name: getattr(counted, name) for name in ContractTally.__slots__}


def _outage_parts(tally: Tally, crossing: Outages) -> Iterator[Row]:
    for outage, length in tally.outage_seconds.items():
        if outage in crossing:
            yield {"started_at": from_slot(outage[1]), "seconds": length}
