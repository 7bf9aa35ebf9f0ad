"""What notifications name beyond their outages: lost readings, nodes, providers, sites; loaded once for all of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.affected_members import OutageMember, load_refuted
from app.alerts.channel_backlog import Pending
from app.alerts.content import ToldPlace, ToldSite
from app.alerts.told import load_settled
from app.alerts.told_sites import site_fields
from app.measurements.loss_counts import SiteTime, count_losses
from app.measurements.simulated_past import simulated_until
from app.postgres.engine import among
from app.registry.models import Provider, Site
from app.settings import settings

EVIDENCE_OF = timedelta(days=1)  # lost readings are counted of outages that began within


@dataclass(frozen=True, slots=True)
class MessageFacts:
    is_simulated: bool = False
    losses: Mapping[SiteTime, Mapping[str, int]] = field(default_factory=dict)
    nodes: Mapping[int, ToldPlace] = field(default_factory=dict)
    providers: Mapping[int, ToldPlace] = field(default_factory=dict)
    sites: Mapping[int, ToldSite] = field(default_factory=dict)  # that conditions are about
    refuted: Mapping[int, list[OutageMember]] = field(default_factory=dict)  # told, and no outages: by incident
    settled: Mapping[str, datetime] = field(default_factory=dict)  # when the end of a subject was told before


async def load_facts(
    session: AsyncSession,
    channel_id: int,
    *,
    down: Sequence[OutageMember],
    recovered: Sequence[Pending],
    group_keys: Sequence[str],
    site_ids: Collection[int],
    now: datetime,
) -> MessageFacts:
    recent = {each for each in down if each.node_id is None and each.started_at > now - EVIDENCE_OF}
    told = [each.told for each in recovered if each.told is not None and each.told.incident_id is not None]
    keys = [key.split(":") for key in group_keys]
    return MessageFacts(
        is_simulated=await is_simulated(session),
        losses=await count_losses(session, [(each.site_id, each.started_at, now) for each in recent]),
        nodes=await _load_nodes(session, [int(key[1]) for key in keys if key[0] == "node"]),
        providers=await _load_providers(session, [int(key[1]) for key in keys if key[0] == "provider"]),
        sites=await _load_sites(session, site_ids),
        refuted=await load_refuted(session, {each.incident_id: each.told_at for each in told}),
        settled=await load_settled(session, [each.subject for each in told], channel_id),
    )


async def is_simulated(session: AsyncSession) -> bool:
    """Whether messages say that they are of a simulation: this one is a demo, or its past was simulated."""
    return settings().alerts.simulated or await simulated_until(session) is not None


async def _load_nodes(session: AsyncSession, node_ids: Collection[int]) -> dict[int, ToldPlace]:
    if not node_ids:
        return {}
    rows = await session.execute(select(Site.id, Site.code, Site.name).where(among(Site.id, node_ids)))
    return {row.id: ToldPlace(code=row.code, name=row.name) for row in rows}


async def _load_providers(session: AsyncSession, provider_ids: Collection[int]) -> dict[int, ToldPlace]:
    if not provider_ids:
        return {}
    rows = await session.scalars(select(Provider).where(among(Provider.id, provider_ids)))
    return {row.id: ToldPlace(code=row.slug, name=row.name) for row in rows}


async def _load_sites(session: AsyncSession, site_ids: Collection[int]) -> dict[int, ToldSite]:
    if not site_ids:
        return {}
    rows = await session.execute(
        select(Site.id, Site.code, Site.name, Site.village_code, Site.technology, Site.service_no, Provider.name)
        .join(Provider, Provider.id == Site.provider_id)
        .where(among(Site.id, site_ids))
    )
    return {
        site_id: ToldSite(
            **site_fields(code, name, village),
            technology=technology,
            provider=provider,
            service_no=service_no,
            incident_id=None,
            started_at=None,
            last_ok_at=None,
            ended_at=None,
        )
        for site_id, code, name, village, technology, service_no, provider in rows
    }
