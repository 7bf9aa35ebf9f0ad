"""Gathers all that bears on one second of a site: its state and what bounds it, and what else decides how it counts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.availability import maintenance_overlay, segment_list, site_history
from app.availability.claim_overlay import overlay
from app.availability.contract_reader import contract_names
from app.availability.contract_verdict import ContractName, visible_policies
from app.availability.counting import cut_slices
from app.availability.intervals import TimeRange
from app.availability.site_history import SiteRef
from app.availability.slices import ContractSlice
from app.availability.timeline import TimelineSegment, timelines
from app.core.clock import floor_second, to_slot
from app.core.periods import Period
from app.incidents import recorded_outages
from app.incidents.recorded_outages import RecordedOutage
from app.judging import dated_profiles
from app.judging.claim_store import claims_of
from app.judging.claims import Claim
from app.judging.dated_profiles import ProfileInForce
from app.judging.models import StateSegment
from app.registry.models import Cause, Site, SiteConfiguration, State

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class ParentState:
    """The node that the site depended on, and its state; its names are None to who may not see it."""

    site_id: int
    code: str | None
    name: str | None
    state: State | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Second:
    """`kind`: what it counts as. Outside of service there is no segment, before registration no configuration."""

    at: datetime
    kind: str
    cause: Cause | None
    configuration: SiteConfiguration | None
    profile: ProfileInForce | None
    segment: TimelineSegment | None
    lasts: bool  # whether the segment has no end yet
    evidence: str | None  # source of the segment's first reading
    parent: ParentState | None
    maintenance: Sequence[TimeRange]  # that cover it
    claims: Sequence[Claim]  # that cover it
    outage: RecordedOutage | None
    contracts: Sequence[tuple[ContractName, ContractSlice]]

    @property
    def segment_is_unknown(self) -> bool:
        return self.segment is not None and self.segment.state is State.UNKNOWN


async def explained_second(session: AsyncSession, site: Site, at: datetime, *, caller: Caller, now: datetime) -> Second:
    """Return what decides the second that begins at `at`, not later than now."""
    after = at + SECOND
    now = max(floor_second(now), after)  # the running second counts as whole
    configuration = await _configuration_at(session, site.id, at)
    segment, lasts = await _segment_at(session, site, at, now=now)
    evidence = None if segment is None else (await segment_list.evidence_sources(session, site.id, [segment]))[0]
    reach = (at, after) if segment is None else (segment.started_at, segment.ended_at)
    windows = await maintenance_overlay.windows_of(session, [site.id], *reach)
    claims = await claims_of(session, [site.id], at, after)
    outages = await recorded_outages.outages_of_site(session, site.id, at, after, caller=caller)
    kind, cause, contracts = await _counted(session, site, at, caller=caller, now=now)
    return Second(
        at,
        kind,
        cause,
        configuration,
        None if configuration is None else await dated_profiles.profile_at(session, configuration.technology, at),
        segment,
        lasts,
        evidence,
        await _parent_at(session, configuration, at, caller=caller, now=now),
        [window for window in windows.get(site.id, ()) if window[0] <= at < window[1]],
        claims.get(site.id, ()),
        next(iter(outages), None),
        contracts,
    )


async def _configuration_at(session: AsyncSession, site_id: int, at: datetime) -> SiteConfiguration | None:
    configured = SiteConfiguration
    return await session.scalar(
        select(configured)
        .where(configured.site_id == site_id, configured.started_at <= at)
        .where(or_(configured.ended_at.is_(None), configured.ended_at > at))
    )


async def _segment_at(
    session: AsyncSession, site: Site, at: datetime, *, now: datetime
) -> tuple[TimelineSegment | None, bool]:
    """Return the segment as `/segments` has it, in its whole length, and whether it lasts; None outside of service."""
    segment = await _ledger_segment_at(session, site.id, site.created_at, at, now=now)
    if segment is None:
        return None, False
    claims = await claims_of(session, [site.id], segment.started_at, segment.ended_at)
    parts = overlay([segment], claims.get(site.id, ()))
    segment = next(part for part in parts if part.started_at <= at < part.ended_at)
    for start, end in await segment_list.in_service(session, site.id, Period(at, max(now, segment.ended_at))):
        if start <= at < end:
            first, last = max(start, segment.started_at), min(end, segment.ended_at)
            return replace(segment, started_at=first, ended_at=last), last >= now
    return None, False


async def _ledger_segment_at(
    session: AsyncSession, site_id: int, registered_at: datetime, at: datetime, *, now: datetime
) -> TimelineSegment | None:
    """Return the proven segment; one that fills a gap reaches to the next stored one, or to now."""
    segments = (await timelines(session, {site_id: registered_at}, at, at + SECOND, now=now))[site_id]
    segment = next((segment for segment in segments if segment.started_at <= at < segment.ended_at), None)
    if segment is None or segment.began_at is not None:
        return segment
    stored = StateSegment
    starts = select(func.min(stored.started_at)).where(stored.site_id == site_id, stored.started_at > at)
    return replace(segment, ended_at=await session.scalar(starts) or max(now, segment.ended_at))


async def _parent_at(
    session: AsyncSession, configuration: SiteConfiguration | None, at: datetime, *, caller: Caller, now: datetime
) -> ParentState | None:
    if configuration is None or configuration.parent_id is None:
        return None
    parent = await session.get_one(Site, configuration.parent_id)
    segment = await _ledger_segment_at(session, parent.id, parent.created_at, at, now=now)
    named = caller.sees(parent.village_code, parent.provider_id)
    return ParentState(
        parent.id,
        parent.code if named else None,
        parent.name if named else None,
        None if segment is None else segment.state,
        None if segment is None else segment.started_at,
    )


async def _counted(
    session: AsyncSession, site: Site, at: datetime, *, caller: Caller, now: datetime
) -> tuple[str, Cause | None, list[tuple[ContractName, ContractSlice]]]:
    """Return the second's kind, the cause that is recorded of it, and what the contracts count it as."""
    sites = [SiteRef(site.id, site.village_code, site.created_at)]
    history = (await site_history.load_histories(session, sites, at, at + SECOND, now=now))[site.id]
    names = await contract_names(session, history.contract_ids, provider_id=caller.provider_id)
    history = replace(history, policies=visible_policies(history.policies, names))
    (counted,) = cut_slices(history, [(to_slot(at), to_slot(at) + 1)])
    cause = None if counted.cause is None else Cause(counted.cause)
    return counted.kind, cause, [(names[slice_.policy.terms.contract_id], slice_) for slice_ in counted.contracts]
