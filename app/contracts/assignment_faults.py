"""What may be wrong with a site's days under a contract. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from app.core.clock import WITA
from app.core.errors import Fault
from app.registry.contract_faults import check_validity, of_node, overlaps
from app.registry.models import Contract, LinkRole, SiteConfiguration, SiteKind
from app.registry.site_contracts import Assignment, DayRange, overlap


class ConfiguredDays(NamedTuple):
    """What a site was on some days: a day belongs to what was in force at its end."""

    days: DayRange
    provider: str  # slug
    kind: SiteKind


def configured_days(rows: Iterable[tuple[SiteConfiguration, str]]) -> list[ConfiguredDays]:
    """Return the days of dated configurations, each with its provider's slug; those within one day have none."""
    found = []
    for row, slug in rows:
        until = date.max if row.ended_at is None else row.ended_at.astimezone(WITA).date()
        found.append(ConfiguredDays((row.started_at.astimezone(WITA).date(), until), slug, row.kind))
    return [each for each in found if each.days[0] < each.days[1]]


def check_days(start: date, until: date | None, contract: Contract) -> Iterator[Fault]:
    """Yield a fault unless the days follow each other and lie within the contract's validity."""
    if until is not None and until <= start:
        yield Fault("to", "ends_before_start", "The end is not after the start", "`to` is the first day without it")
        return
    yield from check_validity("from", start, contract)
    if until is not None and contract.valid_to is not None and until > contract.valid_to:
        yield Fault(
            "to",
            "after_contract",
            "Contract {number} ended on {day}",
            "Leave `to` out: the site then is under it for as long as it is valid",
            values={"number": contract.number, "day": contract.valid_to.isoformat()},
        )


def check_configurations(days: DayRange, contract: Contract, configured: Sequence[ConfiguredDays]) -> Iterator[Fault]:
    """Yield a fault for the first of these days on which the site was a node, or another provider's."""
    for each in configured:
        if not overlap(each.days, days):
            continue
        if each.kind is SiteKind.NODE:
            yield of_node("site")
            return
        if each.provider != contract.provider.slug:
            first, after = max(each.days[0], days[0]), min(each.days[1], days[1])
            yield Fault(
                "from",
                "other_provider",
                "From {first} on the site has provider {theirs}, and contract {number} is with {own}"
                if after == date.max
                else "From {first} to {last} the site had provider {theirs}, and contract {number} is with {own}",
                "Choose days on which {own} is its provider",
                values={
                    "first": first.isoformat(),
                    "last": "" if after == date.max else (after - timedelta(days=1)).isoformat(),
                    "theirs": each.provider,
                    "own": contract.provider.slug,
                    "number": contract.number,
                },
            )
            return


def check_overlaps(days: DayRange, role: LinkRole, others: Iterable[Assignment]) -> Iterator[Fault]:
    """Yield a fault for the first other contract of the same link on these days."""
    for other in others:
        if other.row.link_role is role and overlap(other.days, days):
            yield overlaps("from", other)
            return
