"""Asks for the certificate of a site's 24 hours: ahead, or over and still known reading by reading."""

import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import Caller, require_writer
from app.availability import site_history
from app.availability.site_history import DatedConfigurations
from app.certificates import request_faults, store
from app.certificates.freezing import freeze_if_settled
from app.certificates.input_schemas import CertificateIn
from app.certificates.line import has_changed, line_of, was_in_service
from app.certificates.method import LENGTH
from app.certificates.models import Certificate, CertificateStatus
from app.core.clock import floor_second
from app.core.errors import Fault, Invalid
from app.core.periods import Period
from app.latency.rollup_tiers import Tier, ceil, floor
from app.measurements import partitions
from app.registry import store as registry
from app.registry.models import Site, SiteKind

MOST_RUNNING = 10  # of a district: each tests its line's speed hourly
FURTHEST = timedelta(days=7)
DISTRICT = len("64.02")


async def request_certificate(
    session: AsyncSession, ident: str, body: CertificateIn, *, caller: Caller, now: datetime
) -> Certificate:
    """Record it, and freeze it at once if its hours are over and settled.

    Raises Invalid for hours that cannot be certified, Conflict beside another, NotFound and NotAllowed out of scope.
    """
    site, _ = await registry.get_site(session, ident, caller=caller)
    require_writer(caller, site.village_code)
    start = body.from_ or ceil(floor_second(now) + timedelta(seconds=1), Tier.HOUR)
    period = Period(start, start + LENGTH)
    _require(*_hour_faults(site, period, now))
    await store.lock(session)
    dated = (await site_history.load_configurations(session, [site.id]))[site.id]
    known = period if period.end <= now else Period(floor_second(now), period.end)  # as it is now it goes on
    _require(
        *_line_faults(dated, known),
        await _gone(session, known.start),
        await _follows_fault(session, site, body.follows, start),
    )
    if (other := await store.find_overlapping(session, site.id, period.start, period.end)) is not None:
        raise request_faults.overlaps(other)
    line = line_of(dated, known)
    if known != period:
        await _require_few(session, line.village_code[:DISTRICT])
    certificate = Certificate(
        site_id=site.id,
        village_code=line.village_code,
        provider_id=line.provider_id,
        started_at=period.start,
        ended_at=period.end,
        status=CertificateStatus.RUNNING,
        follows_id=body.follows,
        requested_at=now,
        requested_by=caller.who,
        verify_code=secrets.token_urlsafe(12),
    )
    session.add(certificate)
    await session.flush()
    hours = {"site": site.code, "from": start.isoformat(), "follows": body.follows}
    await audit.record(
        session, caller, "create", "certificate", certificate.id, region_code=line.village_code, after=hours
    )
    await freeze_if_settled(session, certificate, now=now)
    return await store.get_certificate(session, certificate.id, caller=caller)


def _require(*faults: Fault | None) -> None:
    """Raises Invalid with those that there are."""
    if found := [fault for fault in faults if fault is not None]:
        raise Invalid(*found)


def _hour_faults(site: Site, period: Period, now: datetime) -> Iterator[Fault]:
    if site.kind is not SiteKind.ACCESS_POINT:
        yield request_faults.not_an_access_point()
    if floor(period.start, Tier.HOUR) != period.start:
        yield request_faults.not_full_hour(period.start)
    if period.start > now + FURTHEST:
        yield request_faults.too_far_ahead(FURTHEST.days)
    if period.start < now < period.end:
        yield request_faults.under_way(period.end)


def _line_faults(dated: DatedConfigurations, period: Period) -> Iterator[Fault]:
    if not was_in_service(dated, period):
        yield request_faults.not_in_service()
    if has_changed(dated, period):
        yield request_faults.line_changed()


async def _gone(session: AsyncSession, start: datetime) -> Fault | None:
    oldest = await partitions.oldest_reading_at(session)
    return None if oldest is not None and oldest <= start else request_faults.readings_gone(oldest)


async def _follows_fault(session: AsyncSession, site: Site, follows: int | None, start: datetime) -> Fault | None:
    if follows is None:
        return None
    before = await store.find_certificate(session, follows)
    fits = before is not None and before.site_id == site.id and before.status is CertificateStatus.DONE
    return None if fits and before is not None and before.ended_at <= start else request_faults.bad_follows(site.code)


async def _require_few(session: AsyncSession, district: str) -> None:
    if await store.count_running(session, district) >= MOST_RUNNING:
        raise request_faults.too_many_running(district, MOST_RUNNING)
