"""What drafts may not do to each other, nor to the sites that are there: share an address, hang in a circle.

To be looked at while the registry's counter is held, so that it still is so when they are written.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ARRAY, Text, any_, func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Fault
from app.postgres.engine import among
from app.registry.drafts import Address, Draft, address
from app.registry.models import Lifecycle, Site, SiteKind

UPWARD = text(
    "WITH RECURSIVE up AS (SELECT id, parent_id FROM site WHERE id = ANY(:ids) "
    "UNION SELECT s.id, s.parent_id FROM site s JOIN up ON s.id = up.parent_id) "
    "SELECT id, parent_id FROM up"
)

NAMED = 6  # of those that want the same: thousands of rows may stand at one address


@dataclass(frozen=True, slots=True)
class Clash:
    fault: Fault
    others: Sequence[Draft] = field(default=())  # some of the drafts that want the same; none where a site has it


async def find(session: AsyncSession, drafts: Sequence[Draft]) -> dict[Draft, Clash]:
    """One clash a draft at most; without those that clash the others stand, whatever they counted on."""
    held = await _held(session, drafts)
    above = await _above(session, drafts)
    clashes = _addresses(drafts, held) | await _deserted(session, drafts)
    while circling := _circles([draft for draft in drafts if draft not in clashes], above):
        clashes |= circling
        _pass_on(list(circling), clashes, drafts, held)
    return clashes


async def _deserted(session: AsyncSession, drafts: Sequence[Draft]) -> dict[Draft, Clash]:
    """Nodes that are to be none, and have sites hanging on them."""
    leaving = {
        draft.site.id: draft
        for draft in drafts
        if draft.site is not None and draft.site.kind is SiteKind.NODE and draft.values["kind"] is not SiteKind.NODE
    }
    if not leaving:
        return {}
    hanging = among(Site.parent_id, leaving) & (Site.lifecycle != Lifecycle.RETIRED)
    rows = await session.execute(select(Site.parent_id, func.min(Site.code)).where(hanging).group_by(Site.parent_id))
    return {
        leaving[node_id]: Clash(
            Fault(
                "kind", "has_children", "{child} hangs on it", "Give it another parent first", values={"child": child}
            )
        )
        for node_id, child in rows
        if node_id is not None
    }


async def _held(session: AsyncSession, drafts: Sequence[Draft]) -> dict[Address, int]:
    """Who is measured now at the addresses that are wanted."""
    hosts = {key[1] for draft in drafts if (key := address(draft.values)) is not None}
    if not hosts:
        return {}
    rows = await session.execute(
        select(Site.id, Site.probe, Site.host, Site.port, Site.lifecycle).where(
            Site.host == any_(literal(sorted(hosts), ARRAY(Text))), Site.lifecycle == Lifecycle.ACTIVE
        )
    )
    return {key: row.id for row in rows if (key := address(dict(row._mapping))) is not None}


def _addresses(drafts: Sequence[Draft], held: Mapping[Address, int]) -> dict[Draft, Clash]:
    ours = {draft.site.id for draft in drafts if draft.site is not None}
    clashes: dict[Draft, Clash] = {}
    for key, wanting in _wanted(drafts).items():
        holder = held.get(key)
        if holder is not None and holder not in ours:
            clashes |= {draft: Clash(_taken(draft.values)) for draft in wanting}
        elif len(wanting) > 1:  # who has it already may keep it
            clashes |= {
                draft: Clash(_shared(draft.values), [other for other in wanting[:NAMED] if other is not draft])
                for draft in wanting
                if draft.site is None or draft.site.id != holder
            }
    _pass_on(list(clashes), clashes, drafts, held)
    return clashes


def _pass_on(
    stay: list[Draft], clashes: dict[Draft, Clash], drafts: Sequence[Draft], held: Mapping[Address, int]
) -> None:
    """A site that does not change keeps its address: whoever counted on that clashes too."""
    wanted, has = _wanted(drafts), {site_id: key for key, site_id in held.items()}
    while stay:
        draft = stay.pop()
        key = None if draft.site is None else has.get(draft.site.id)
        for other in wanted.get(key, ()) if key is not None else ():
            if other is not draft and other not in clashes:
                clashes[other] = Clash(_taken(other.values))
                stay.append(other)


def _wanted(drafts: Sequence[Draft]) -> dict[Address, list[Draft]]:
    wanted: defaultdict[Address, list[Draft]] = defaultdict(list)
    for draft in drafts:
        if (key := address(draft.values)) is not None:
            wanted[key].append(draft)
    return dict(wanted)


def _taken(values: Mapping[str, Any]) -> Fault:
    return Fault(
        "host",
        "duplicate_address",
        "{given} is already measured by another active site (probe {probe})",
        "Look for it: GET /api/v1/sites?q={host}",
        values=_said(values),
    )


def _shared(values: Mapping[str, Any]) -> Fault:
    return Fault(
        "host",
        "duplicate_address",
        "{given} stands here more than once (probe {probe})",
        "Only one active site is measured at an address: give each its own",
        values=_said(values),
    )


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    port = f" port {values['port']}" if values["port"] else ""
    return {"given": f"{values['host']}{port}", "probe": values["probe"].value, "host": values["host"]}


async def _above(session: AsyncSession, drafts: Sequence[Draft]) -> dict[int, int | None]:
    """Parents as they stand: of the sites that are hung elsewhere, and of all that will be above them."""
    hung = _hung(drafts)
    ids = {*hung, *(draft.values["parent_id"] for draft in hung.values())} - {None}
    if not ids:
        return {}
    return {row.id: row.parent_id for row in await session.execute(UPWARD, {"ids": sorted(ids)})}


def _circles(drafts: Sequence[Draft], above: Mapping[int, int | None]) -> dict[Draft, Clash]:
    """A new site has no children yet, so only a change can close a circle, alone or along with others."""
    hung = _hung(drafts)
    then = {**above, **{site_id: draft.values["parent_id"] for site_id, draft in hung.items()}}
    return {
        draft: Clash(
            Fault(
                "parent_id",
                "cycle",
                "Node {given} hangs on this site itself",
                values={"given": draft.values["parent_id"]},
            )
        )
        for site_id, draft in hung.items()
        if site_id in _ancestors(site_id, then)
    }


def _hung(drafts: Sequence[Draft]) -> dict[int, Draft]:
    return {
        draft.site.id: draft
        for draft in drafts
        if draft.site is not None and draft.values["parent_id"] != draft.site.parent_id
    }


def _ancestors(site_id: int, above: Mapping[int, int | None]) -> set[int]:
    seen: set[int] = set()
    ancestor = above.get(site_id)
    while ancestor is not None and ancestor not in seen:
        seen.add(ancestor)
        ancestor = above.get(ancestor)
    return seen
