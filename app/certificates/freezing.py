"""Freezes certificates whose 24 hours are over and settled: figures, hash and number, never changed again."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.certificates.certificate_files import canonical, certificate_files
from app.certificates.data_set import certificate_data
from app.certificates.line_tests import has_open_tests
from app.certificates.models import Certificate, CertificateStatus
from app.core.clock import to_wita
from app.core.periods import Period
from app.judging.settled import sites_settled_until
from app.reports.issuing import NEXT_NUMBER
from app.reports.report_files import data_hash

log = structlog.get_logger()

LONGEST_WAIT = timedelta(hours=24)  # for what may never settle: it is frozen as it is known then, and says so
MOST_AT_ONCE = 100


async def freeze_if_settled(session: AsyncSession, certificate: Certificate, *, now: datetime) -> bool:
    """Freeze a certificate that runs; return False while what still arrives may change its figures."""
    if not await _is_settled(session, certificate, now):
        return False
    data = await certificate_data(session, certificate, now=now)
    series = f"SP-{to_wita(certificate.started_at):%Y-%m}"
    certificate.number = f"{series}-{await session.scalar(NEXT_NUMBER, {'series': series}):04}"
    certificate.data = canonical(data)
    certificate.sha256 = data_hash(certificate_files(data))
    certificate.method = data.method.version
    certificate.results = {name: result.value for name, result in data.results.items()}
    certificate.done_at, certificate.status = now, CertificateStatus.DONE
    await session.flush()
    log.info("certificate_done", number=certificate.number, sha256=certificate.sha256)
    return True


async def _is_settled(session: AsyncSession, certificate: Certificate, now: datetime) -> bool:
    if now < certificate.ended_at:
        return False
    if now >= certificate.ended_at + LONGEST_WAIT:
        return True
    period = Period(certificate.started_at, certificate.ended_at)
    if await has_open_tests(session, certificate.site_id, period):
        return False
    return await sites_settled_until(session, [certificate.site_id], period, now=now) >= period.end
