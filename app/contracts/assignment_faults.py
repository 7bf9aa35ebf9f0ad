"""What may be wrong with a site's days under a contract. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from app.contracts.assignment_schemas import SiteAssignmentIn
from app.core.clock import WITA
from app.core.errors import Fault
from app.registry.contract_faults import check_validity, of_node, overlaps
from app.registry.models import Contract, LinkRole, Site, SiteConfiguration, SiteContract, SiteKind
from app.registry.site_contracts import Assignment, DayRange, overlap


class ConfiguredDays(NamedTuple):
    """What a site was on some days: a day belongs to what was in force at its end."""

    days: DayRange
    provider: str  # slug
    kind: SiteKind


def days_of(rows: Iterable[tuple[SiteConfiguration, str]]) -> list[ConfiguredDays]:
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


def unknown_site(ident: str) -> Fault:
    return Fault(
        "site",
        "unknown_site",
        "There is no site {given} within your scope",
        "Look it up: GET /api/v1/sites?q=<name>",
        values={"given": ident[:60]},
    )


def check_new(
    item: SiteAssignmentIn,
    site: Site,
    contract: Contract,
    others: Sequence[Assignment],
    configured: Sequence[ConfiguredDays],
) -> list[Fault]:
    if faults := [*check_days(item.from_, item.to, contract)]:
        return faults
    days = item.from_, item.to or contract.valid_to or date.max
    return [
        *check_configurations(days, contract, configured),
        *check_overlaps(days, item.link_role or site.link_role, others),
    ][:1]


def check_moved(
    row: SiteContract,
    days: tuple[date, date | None],
    contract: Contract,
    others: Sequence[Assignment],
    configured: Sequence[ConfiguredDays],
) -> list[Fault]:
    """Check what the move adds: the days that stay were checked when they were recorded."""
    start, until = days
    moved = {"from": start != row.started_on, "to": until != row.ended_on or (until is not None and until <= start)}
    faults = [fault for fault in check_days(start, until, contract) if moved[fault.field]]
    if faults:
        return faults
    effective = start, until or contract.valid_to or date.max
    for low, high in ((start, min(row.started_on, effective[1])), (max(start, row.ended_on or date.max), effective[1])):
        if low < high:
            faults += check_configurations((low, high), contract, configured)
    return [*faults, *check_overlaps(effective, row.link_role, others)][:1]
