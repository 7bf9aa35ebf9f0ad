"""Find conflicts among drafts and with registered sites: shared addresses, parents in a cycle, orphaned children.

Call it while holding the registry's counter, so that the result stays true until the write.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ARRAY, Text, any_, func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, visible_to
from app.core.errors import Fault
from app.postgres.engine import among
from app.registry.drafts import AddressKey, Draft, address_key
from app.registry.models import Lifecycle, Site, SiteKind

ANCESTORS = text(
    "WITH RECURSIVE ancestor AS (SELECT id, parent_id FROM site WHERE id = ANY(:ids) "
    "UNION SELECT s.id, s.parent_id FROM site s JOIN ancestor ON s.id = ancestor.parent_id) "
    "SELECT id, parent_id FROM ancestor"
)

MAX_OTHERS = 6  # named in a conflict: thousands of rows may claim one address


@dataclass(frozen=True, slots=True)
class DraftConflict:
    fault: Fault
    others: Sequence[Draft] = field(default=())  # some drafts that claim the same; empty if a registered site holds it


@dataclass(frozen=True, slots=True)
class AddressHolder:
    site_id: int
    described: str | None  # its code and name; None if it is beyond the caller's scope


AddressHolders = Mapping[AddressKey, AddressHolder]


async def find(session: AsyncSession, drafts: Sequence[Draft], *, caller: Caller) -> dict[Draft, DraftConflict]:
    """Return at most one conflict for each draft; all drafts without one can be written together.

    A site beyond the caller's scope is never named.
    """
    holders = await _address_holders(session, drafts, caller=caller)
    parents = await _present_parents(session, drafts)
    conflicts = address_conflicts(drafts, holders) | await _orphaning(session, drafts, caller=caller)
    while cycles := _cycles([draft for draft in drafts if draft not in conflicts], parents):
        conflicts |= cycles
        _propagate(list(cycles), conflicts, drafts, holders)
    return conflicts


async def find_shared_addresses(
    session: AsyncSession, drafts: Sequence[Draft], *, caller: Caller
) -> dict[Draft, DraftConflict]:
    """Return conflicts of addresses alone, also for drafts with faults that will not be written."""
    return address_conflicts(drafts, await _address_holders(session, drafts, caller=caller))


async def _orphaning(session: AsyncSession, drafts: Sequence[Draft], *, caller: Caller) -> dict[Draft, DraftConflict]:
    """Find nodes that change to another kind while they have children."""
    former_nodes = {
        draft.site.id: draft
        for draft in drafts
        if draft.site is not None and draft.site.kind is SiteKind.NODE and draft.values["kind"] is not SiteKind.NODE
    }
    if not former_nodes:
        return {}
    children = among(Site.parent_id, former_nodes) & (Site.lifecycle != Lifecycle.RETIRED)
    visible_code = func.min(Site.code).filter(visible_to(caller, Site))
    rows = await session.execute(select(Site.parent_id, visible_code).where(children).group_by(Site.parent_id))
    return {
        former_nodes[node_id]: DraftConflict(_has_children(child)) for node_id, child in rows if node_id is not None
    }


def _has_children(child: str | None) -> Fault:
    """`child`: the code of one of them, or None if all are beyond the caller's scope."""
    if child is None:
        return Fault(
            "kind",
            "has_children",
            "This node is the parent of a site outside your region",
            "Ask the province to give that site another parent first",
        )
    return Fault(
        "kind",
        "has_children",
        "This node is the parent of {child}",
        "Give that site another parent first",
        values={"child": child},
    )


async def _address_holders(session: AsyncSession, drafts: Sequence[Draft], *, caller: Caller) -> AddressHolders:
    """Return the active site at each address on the drafts' hosts."""
    hosts = {key[1] for draft in drafts if (key := address_key(draft.values)) is not None}
    if not hosts:
        return {}
    rows = await session.execute(
        select(
            *(Site.id, Site.code, Site.name, Site.probe, Site.host, Site.port, Site.lifecycle),
            visible_to(caller, Site).label("is_visible"),
        ).where(Site.host == any_(literal(sorted(hosts), ARRAY(Text))), Site.lifecycle == Lifecycle.ACTIVE)
    )
    return {
        key: AddressHolder(row.id, f"{row.code} ({row.name})" if row.is_visible else None)
        for row in rows
        if (key := address_key(dict(row._mapping))) is not None
    }


def address_conflicts(
    drafts: Sequence[Draft], holders: Mapping[AddressKey, AddressHolder]
) -> dict[Draft, DraftConflict]:
    changing = {draft.site.id for draft in drafts if draft.site is not None}
    conflicts: dict[Draft, DraftConflict] = {}
    for key, claimants in _claims(drafts).items():
        holder = holders.get(key)
        if holder is not None and holder.site_id not in changing:
            conflicts |= {draft: DraftConflict(_taken(draft.values, holder)) for draft in claimants}
        elif len(claimants) > 1:  # a site that holds the address already may keep it
            conflicts |= {
                draft: DraftConflict(
                    _shared(draft.values), [other for other in claimants[:MAX_OTHERS] if other is not draft]
                )
                for draft in claimants
                if draft.site is None or holder is None or draft.site.id != holder.site_id
            }
    _propagate(list(conflicts), conflicts, drafts, holders)
    return conflicts


def _propagate(
    rejected: list[Draft],
    conflicts: dict[Draft, DraftConflict],
    drafts: Sequence[Draft],
    holders: AddressHolders,
) -> None:
    """Add conflicts for drafts that claim the present address of a rejected one: its site keeps that address."""
    claims, held = _claims(drafts), {holder.site_id: (key, holder) for key, holder in holders.items()}
    while rejected:
        draft = rejected.pop()
        if draft.site is None or draft.site.id not in held:
            continue
        key, holder = held[draft.site.id]
        for other in claims.get(key, ()):
            if other is not draft and other not in conflicts:
                conflicts[other] = DraftConflict(_taken(other.values, holder))
                rejected.append(other)


def _claims(drafts: Sequence[Draft]) -> dict[AddressKey, list[Draft]]:
    claims: defaultdict[AddressKey, list[Draft]] = defaultdict(list)
    for draft in drafts:
        if (key := address_key(draft.values)) is not None:
            claims[key].append(draft)
    return dict(claims)


def _taken(values: Mapping[str, Any], holder: AddressHolder) -> Fault:
    if holder.described is None:
        return Fault(
            "host",
            "duplicate_address",
            "{given} is already probed for an active site outside your region (probe {probe})",
            "Check the address; if it is right, ask the province, which sees both sites",
            values=_texts(values),
        )
    return Fault(
        "host",
        "duplicate_address",
        "{given} is already probed for {site} (probe {probe})",
        "Only one active site may use an address: check it, or see GET /api/v1/sites?q={host}",
        values=_texts(values) | {"site": holder.described},
    )


def _shared(values: Mapping[str, Any]) -> Fault:
    return Fault(
        "host",
        "duplicate_address",
        "{given} is used by more than one site here (probe {probe})",
        "Only one active site may use an address: give each site its own",
        values=_texts(values),
    )


def _texts(values: Mapping[str, Any]) -> dict[str, Any]:
    port = f" port {values['port']}" if values["port"] else ""
    return {"given": f"{values['host']}{port}", "probe": values["probe"].value, "host": values["host"]}


async def _present_parents(session: AsyncSession, drafts: Sequence[Draft]) -> dict[int, int | None]:
    """Return the parent of each site that gets another one, and of all present ancestors of old and new parents."""
    moved = _moved(drafts)
    ids = {*moved, *(draft.values["parent_id"] for draft in moved.values())} - {None}
    if not ids:
        return {}
    return {row.id: row.parent_id for row in await session.execute(ANCESTORS, {"ids": sorted(ids)})}


def _cycles(drafts: Sequence[Draft], parents: Mapping[int, int | None]) -> dict[Draft, DraftConflict]:
    """A new site has no children yet, so only changes can close a cycle, one alone or several together."""
    moved = _moved(drafts)
    parents_after = {**parents, **{site_id: draft.values["parent_id"] for site_id, draft in moved.items()}}
    return {
        draft: DraftConflict(
            Fault(
                "parent_id",
                "cycle",
                "Node {given} is below this site itself",
                values={"given": draft.values["parent_id"]},
            )
        )
        for site_id, draft in moved.items()
        if site_id in _ancestors(site_id, parents_after)
    }


def _moved(drafts: Sequence[Draft]) -> dict[int, Draft]:
    """Return the drafts that give a registered site another parent, by its id."""
    return {
        draft.site.id: draft
        for draft in drafts
        if draft.site is not None and draft.values["parent_id"] != draft.site.parent_id
    }


def _ancestors(site_id: int, parents: Mapping[int, int | None]) -> set[int]:
    seen: set[int] = set()
    ancestor = parents.get(site_id)
    while ancestor is not None and ancestor not in seen:
        seen.add(ancestor)
        ancestor = parents.get(ancestor)
    return seen
