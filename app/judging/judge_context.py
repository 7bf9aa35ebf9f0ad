"""Loads what bears on the readings of sites: dated configurations and thresholds, blind ranges, outages of parents."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging import blind_ranges, dated_profiles
from app.judging.blind_ranges import BLINDNESS_SOURCE, MOST_PACKETS, BlindRanges, reading_ends_at
from app.judging.fold import JudgeConfiguration, JudgeContext, ParentOutage, VantageHost
from app.postgres.engine import among
from app.registry.models import Presence, SiteConfiguration
from probes.contract import LOOKS

# One row per bad segment of an outage: from the last answer before it to the next answer, whatever is unknown in
# between. An outage lies within the parent's time in service and at one address. Segments before the last good one that
# began a look before `start` belong to outages that were over by then.
PARENT_OUTAGES = text(f"""
    SELECT g.site_id, greatest(coalesce(g.last_ok_at, g.started_at), (
        SELECT max(c.ended_at) FROM site_configuration c
        WHERE c.site_id = g.site_id AND c.lifecycle <> 'active' AND c.ended_at <= g.started_at
    )), least((
        SELECT n.first_ok_after FROM state_segment n
        WHERE n.site_id = g.site_id AND n.started_at >= g.started_at AND n.first_ok_after IS NOT NULL
        ORDER BY n.started_at LIMIT 1
    ), (
        SELECT min(n.started_at) FROM state_segment n
        WHERE n.site_id = g.site_id AND n.started_at > g.started_at AND n.unknown_reason = 'never_seen'
    ), (
        SELECT min(c.started_at) FROM site_configuration c
        WHERE c.site_id = g.site_id AND c.lifecycle <> 'active' AND c.started_at > g.started_at
    ))
    FROM state_segment g
    WHERE g.site_id = ANY(:ids) AND g.state IN ('down', 'unreachable')
        AND coalesce(g.last_ok_at, g.started_at) <= :end
        AND g.started_at > coalesce((
            SELECT max(o.started_at) FROM state_segment o
            WHERE o.site_id = g.site_id AND o.state IN ('up', 'degraded')
                AND o.started_at < cast(:start AS timestamptz) - make_interval(secs => {MOST_PACKETS})
        ), '-infinity')
""")

HOSTS = text("SELECT vantage, started_at, provider_id FROM vantage_host ORDER BY started_at")

Configurations = Mapping[int, list[JudgeConfiguration]]


async def load(
    session: AsyncSession,
    site_ids: Collection[int],
    sources: Iterable[str],
    start: datetime,
    end: datetime,
    *,
    current: Mapping[int, JudgeConfiguration] | None = None,
) -> dict[int, JudgeContext]:
    """Return, by site, the context of readings of these sources with slots from `start` to `end`.

    `current` spares the query for sites whose configuration in force is the only one that bears on their readings.
    """
    current = current or {}
    configurations = {site_id: [configuration] for site_id, configuration in current.items()}
    if others := [site_id for site_id in site_ids if site_id not in current]:
        configurations |= await load_configurations(session, others)
    dated_thresholds = await dated_profiles.load(session)
    last_end = reading_ends_at(end, MOST_PACKETS) if sources else end
    blind = {
        source: BlindRanges(await blind_ranges.list_ranges(session, start, last_end, source=source))
        for source in {BLINDNESS_SOURCE.get(source, source) for source in sources}
    }
    parent_outages = await load_parent_outages(session, _parent_ids(configurations), start, end) if sources else {}
    held = await blind_ranges.list_held(session, site_ids, start, last_end) if not LOOKS.isdisjoint(blind) else {}
    several = any(len(configuration.vantages) > 1 for dated in configurations.values() for configuration in dated)
    hosts = await load_hosts(session) if several else ()
    return {
        site_id: JudgeContext(dated, dated_thresholds, blind, parent_outages, held.get(site_id, ()), hosts)
        for site_id, dated in configurations.items()
    }


async def load_hosts(session: AsyncSession) -> list[VantageHost]:
    """Return at which provider each vantage stands since when, by time."""
    return [VantageHost(*row) for row in await session.execute(HOSTS)]


async def load_configurations(session: AsyncSession, site_ids: Collection[int]) -> dict[int, list[JudgeConfiguration]]:
    """Return all configurations of each site, oldest first."""
    rows = await session.execute(
        select(
            SiteConfiguration.site_id,
            SiteConfiguration.started_at,
            SiteConfiguration.addressed_at,
            SiteConfiguration.technology,
            SiteConfiguration.parent_id,
            SiteConfiguration.presence,
            SiteConfiguration.provider_id,
            SiteConfiguration.vantages,
        )
        .where(among(SiteConfiguration.site_id, site_ids))
        .order_by(SiteConfiguration.started_at)
    )
    configurations: dict[int, list[JudgeConfiguration]] = defaultdict(list)
    for site_id, started_at, addressed_at, technology, parent_id, presence, provider_id, vantages in rows:
        always = presence is Presence.ALWAYS
        configurations[site_id].append(
            JudgeConfiguration(started_at, addressed_at, technology, parent_id, always, provider_id, tuple(vantages))
        )
    return configurations


def _parent_ids(configurations: Configurations) -> set[int]:
    return {
        configuration.parent_id
        for dated in configurations.values()
        for configuration in dated
        if configuration.parent_id is not None
    }


async def load_parent_outages(
    session: AsyncSession, parent_ids: Collection[int], start: datetime, end: datetime
) -> dict[int, list[ParentOutage]]:
    outages: dict[int, list[ParentOutage]] = defaultdict(list)
    if parent_ids:
        rows = await session.execute(PARENT_OUTAGES, {"ids": sorted(parent_ids), "start": start, "end": end})
        for parent_id, last_ok_at, recovered_at in rows:
            outages[parent_id].append(ParentOutage(last_ok_at, recovered_at))
    return outages
