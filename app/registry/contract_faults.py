"""Check the contract that a site is put under, and those that it is under already. Pure but for today's date."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

from app.core.clock import today
from app.core.errors import Fault
from app.registry.drafts import Draft
from app.registry.models import Contract, Provider, SiteKind
from app.registry.site_contracts import Assignment, in_force, link_role, overlap

REFERRING = frozenset({"contract_id", "provider", "kind"})


def check(
    draft: Draft, provider: Provider | None, contracts: Mapping[int, Contract], assignments: Sequence[Assignment]
) -> list[Fault]:
    """Return the faults of a draft's contract: it must be its provider's, valid on its first day, and of no node.

    `assignments` are the site's present ones; what they cover from today on stays, and must suit the draft, too.
    """
    contract_id = draft.values["contract_id"]
    shown = in_force(assignments, today())
    kept = [each for each in assignments if each is not shown]
    if contract_id is None:
        missing = [] if draft.contract_from is None else [_without_number()]
        return [*missing, *_unsuitable(draft, provider, kept)]
    contract = contracts.get(contract_id)
    if contract is None:
        return [unknown(contract_id)]
    if draft.values["kind"] is SiteKind.NODE:
        return [of_node("contract_id")]
    if provider is not None and contract.provider_id != provider.id:
        return [_other_provider(contract, provider, contracts.values())]
    is_same = shown is not None and shown.row.contract_id == contract_id
    if draft.contract_from is None and is_same:
        return [*_unsuitable(draft, provider, kept)]
    first = draft.contract_from or today()
    field = "contract_id" if draft.contract_from is None else "contract_from"
    role = link_role(assignments, contract_id, first, draft.values["link_role"])
    others = [each for each in (kept if is_same else assignments) if each.row.link_role is role]
    return [
        *check_validity(field, first, contract),
        *_unsuitable(draft, provider, kept),
        *_check_start(first, shown if is_same else None, others),
    ]


def unknown(contract_id: int) -> Fault:
    return Fault(
        "contract_id",
        "unknown_contract",
        "There is no contract {given}",
        "Look it up: GET /api/v1/contracts?provider=<slug>",
        values={"given": contract_id},
    )


def _without_number() -> Fault:
    return Fault(
        "contract_id",
        "missing",
        "A start of the contract needs the contract",
        "Enter its number in Nomor kontrak (contract)",
    )


def of_node(field: str) -> Fault:
    return Fault(
        field,
        "node_contract",
        "A node has no contract: contracts count access points",
        "Leave contract_id out, or set it to null to end the present one",
    )


def check_validity(field: str, day: date, contract: Contract) -> Iterator[Fault]:
    """Yield a fault unless the contract is valid on the day."""
    if day < contract.valid_from:
        yield Fault(
            field,
            "before_contract",
            "Contract {number} begins on {day}",
            "Give that day as the first one: POST /api/v1/contracts/{id}/sites",
            values={"number": contract.number, "day": contract.valid_from.isoformat(), "id": contract.id},
        )
    elif contract.valid_to is not None and day >= contract.valid_to:
        yield Fault(
            field,
            "after_contract",
            "Contract {number} ended on {day}",
            "Use the contract that followed it, or have the province extend it: PATCH /api/v1/contracts/{id}",
            values={"number": contract.number, "day": contract.valid_to.isoformat(), "id": contract.id},
        )


def overlaps(field: str, other: Assignment) -> Fault:
    """Return the fault of days on which the site is under another contract already."""
    if other.row.id is None:
        return Fault(field, "repeated_site", "Another row is for the same site, link and days", "Leave one of them out")
    start, until = other.days
    return Fault(
        field,
        "under_contract",
        "The site is under contract {number} from {start}, without an end"
        if until == date.max
        else "The site is under contract {number} from {start} up to {until}",
        "End or move that first: PATCH /api/v1/contracts/{contract}/sites/{id}; "
        "or give another link_role, if it is another link",
        values={
            "number": other.contract.number,
            "start": start.isoformat(),
            "until": until.isoformat(),
            "contract": other.contract.id,
            "id": other.row.id,
        },
    )


def _unsuitable(draft: Draft, provider: Provider | None, kept: Sequence[Assignment]) -> Iterator[Fault]:
    """Yield a fault for a provider or kind that does not suit a contract which covers the site from today on."""
    for each in kept:
        if not overlap(each.days, (today(), date.max)):
            continue
        if "provider" in draft.set_fields and provider is not None and each.contract.provider_id != provider.id:
            yield overlaps("provider", each)
        elif "kind" in draft.set_fields and draft.values["kind"] is SiteKind.NODE:
            yield overlaps("kind", each)


def _check_start(first: date, moved: Assignment | None, others: Sequence[Assignment]) -> Iterator[Fault]:
    """Yield a fault if another contract begins between the first day and today, or the moved one ends before it."""
    for each in others:
        if first < each.days[0] <= today() and each.days[0] < each.days[1]:
            yield overlaps("contract_from", each)
    if moved is not None and moved.row.ended_on is not None and moved.row.ended_on <= first:
        yield Fault("contract_from", "ends_before_start", "The end is not after the start", "Give a later end")


def _other_provider(contract: Contract, provider: Provider, contracts: Iterable[Contract]) -> Fault:
    """A site's contract must be with its provider: changing one requires changing the other."""
    own = sorted((other for other in contracts if other.provider_id == provider.id), key=lambda other: -other.id)
    known = [f"{other.id} ({other.number})" for other in own[:5]]
    return Fault(
        "contract_id",
        "other_provider",
        "Contract {number} is not with {provider}",
        "Give contract_id, too: a contract with {provider} ({known}), or null to end the present one today"
        if known
        else "{provider} has no contract yet: set contract_id to null, or register one first",
        values={"number": contract.number, "provider": provider.slug, "known": ", ".join(known)},
    )
