"""The access points that hang on nodes, directly or through other nodes: an outage of a node cuts them off."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.postgres.engine import among
from app.profiles import Technology
from app.registry.models import Lifecycle, Provider, Site, SiteKind


@dataclass(frozen=True, slots=True)
class Dependent:
    site_id: int
    code: str
    name: str
    village_code: str
    technology: Technology
    provider_id: int
    provider: str  # its name
    service_no: str | None


Dependents = Mapping[int, Sequence[Dependent]]  # by node


async def load_dependents(session: AsyncSession, node_ids: Collection[int]) -> Dependents:
    """Return the active ones in the order of their codes; without nodes nothing is asked."""
    if not node_ids:
        return {}
    tree = select(Site.parent_id.label("top"), Site.id).where(among(Site.parent_id, node_ids))
    below = tree.cte("below", recursive=True)
    below = below.union(select(below.c.top, Site.id).join(below, Site.parent_id == below.c.id))
    rows = await session.execute(
        select(below.c.top, Site.id, Site.code, Site.name, Site.village_code, Site.technology)
        .add_columns(Provider.id, Provider.name, Site.service_no)
        .join(Site, Site.id == below.c.id)
        .join(Provider, Provider.id == Site.provider_id)
        .where(Site.lifecycle == Lifecycle.ACTIVE, Site.kind != SiteKind.NODE)
        .order_by(below.c.top, Site.code)
    )
    dependents: dict[int, list[Dependent]] = defaultdict(list)
    for node_id, *fields in rows:
        dependents[node_id].append(Dependent(*fields))
    return dependents


def cut_off(site_ids: Iterable[int], dependents: Dependents) -> Dependents:
    """Return those of one incident's sites: each once, and none that has an outage of its own in it."""
    known = set(site_ids)
    found: dict[int, list[Dependent]] = {}
    for node_id in sorted(known & dependents.keys()):
        found[node_id] = [each for each in dependents[node_id] if each.site_id not in known]
        known |= {each.site_id for each in found[node_id]}
    return found
