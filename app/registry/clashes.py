"""What drafts may not do to each other, nor to the sites that are there: share an address, hang in a circle.

To be looked at while the registry's counter is held, so that it still is so when they are written.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ARRAY, Text, any_, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Fault
from app.registry.drafts import Address, Draft, address
from app.registry.models import Lifecycle, Site
from probes.contract import Kind

UPWARD = text("WITH RECURSIVE up AS (SELECT id, parent_id FROM site WHERE id = ANY(:ids) "
              "UNION SELECT s.id, s.parent_id FROM site s JOIN up ON s.id = up.parent_id) "
              "SELECT id, parent_id FROM up")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clash:
    fault: Fault
    others: Sequence[Draft] = field(default=())  # the drafts that want the same; none where a site has it


async def find(session: AsyncSession, drafts: Sequence[Draft]) -> dict[Draft, Clash]:
    """One clash a draft at most. Whoever leaves out those that clash asks again: others may have counted on them."""
    return {**await _circles(session, drafts), **await _addresses(session, drafts)}


async def _addresses(session: AsyncSession, drafts: Sequence[Draft]) -> dict[Draft, Clash]:
    wanted: defaultdict[Address, list[Draft]] = defaultdict(list)
    for draft in drafts:
        if (key := address(draft.values)) is not None:
            wanted[key].append(draft)
    ours = {draft.site.id for draft in drafts if draft.site is not None}
    held = await _held(session, {host for _, host, _ in wanted}, ours)
    clashes: dict[Draft, Clash] = {}
    for key, wanting in wanted.items():
        if key in held:
            clashes |= {draft: Clash(_taken(draft.values)) for draft in wanting}
        elif len(wanting) > 1:
            clashes |= {
                draft: Clash(_shared(draft.values), [other for other in wanting if other is not draft])
                for draft in wanting
            }
    return clashes


async def _held(session: AsyncSession, hosts: set[str], ours: set[int]) -> set[Address | None]:
    """The addresses of other sites in service on these hosts."""
    if not hosts:
        return set()
    rows = await session.execute(
        select(Site.id, Site.probe, Site.host, Site.port, Site.lifecycle).where(
            Site.host == any_(literal(sorted(hosts), ARRAY(Text))), Site.lifecycle == Lifecycle.ACTIVE,
            Site.probe != Kind.PUSH,
        )
    )  # fmt: skip
    return {address(dict(row._mapping)) for row in rows if row.id not in ours}


def _taken(values: Mapping[str, Any]) -> Fault:
    return Fault(
        "host", "duplicate_address", "{given} is already measured by another active site (probe {probe})",
        "Look for it: GET /api/v1/sites?q={host}", values=_said(values),
    )  # fmt: skip


def _shared(values: Mapping[str, Any]) -> Fault:
    return Fault(
        "host", "duplicate_address", "{given} stands here more than once (probe {probe})",
        "Only one active site is measured at an address: give each its own", values=_said(values),
    )  # fmt: skip


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    port = f" port {values['port']}" if values["port"] else ""
    return {"given": f"{values['host']}{port}", "probe": values["probe"].value, "host": values["host"]}


async def _circles(session: AsyncSession, drafts: Sequence[Draft]) -> dict[Draft, Clash]:
    """A new site has no children yet, so only a change can close a circle, alone or along with others."""
    hung = {draft.site.id: draft for draft in drafts if draft.site is not None and "parent_id" in draft.changes}
    parents = {draft.values["parent_id"] for draft in hung.values()} - {None}
    if not parents:
        return {}
    above = {row.id: row.parent_id for row in await session.execute(UPWARD, {"ids": sorted(parents)})}
    above |= {site_id: draft.values["parent_id"] for site_id, draft in hung.items()}
    return {
        draft: Clash(Fault("parent_id", "cycle", "Node {given} hangs on this site itself",
                           values={"given": draft.values["parent_id"]}))
        for site_id, draft in hung.items() if site_id in _ancestors(site_id, above)
    }  # fmt: skip


def _ancestors(site_id: int, above: Mapping[int, int | None]) -> set[int]:
    seen: set[int] = set()
    ancestor = above.get(site_id)
    while ancestor is not None and ancestor not in seen:
        seen.add(ancestor)
        ancestor = above.get(ancestor)
    return seen
