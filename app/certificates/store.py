"""Certificates as rows, and who sees which: a provider those of its own lines, once they are done."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer, joinedload

from app.access.scope import Caller, in_region, visible_to
from app.certificates.method import OTHERS_WITHIN
from app.certificates.models import Certificate, CertificateStatus
from app.core.errors import NotFound

LOCK = text("SELECT pg_advisory_xact_lock(hashtext('sinyal certificates'))")


def _certificates(caller: Caller) -> Select[Certificate]:
    """Whoever knows beforehand which day is measured can make that day better: a provider does not."""
    query = select(Certificate).options(joinedload(Certificate.site)).where(visible_to(caller, Certificate))
    return query if caller.provider_id is None else query.where(Certificate.status == CertificateStatus.DONE)


async def lock(session: AsyncSession) -> None:
    """Let nobody else ask for a certificate until the transaction ends."""
    await session.execute(LOCK)


async def list_of_site(
    session: AsyncSession, site_id: int, *, caller: Caller, before: int | None, limit: int
) -> list[Certificate]:
    """Return a site's certificates without their data, those asked for last first."""
    query = _certificates(caller).options(defer(Certificate.data, raiseload=True))
    query = query.where(Certificate.site_id == site_id).order_by(Certificate.id.desc()).limit(limit)
    return list(await session.scalars(query if before is None else query.where(Certificate.id < before)))


async def get_certificate(session: AsyncSession, certificate_id: int, *, caller: Caller) -> Certificate:
    """Raises NotFound, alike for an unknown certificate and one out of scope."""
    certificate = await session.scalar(_certificates(caller).where(Certificate.id == certificate_id))
    if certificate is None:
        raise NotFound("There is no certificate {given} within your scope", values={"given": certificate_id})
    return certificate


async def find_overlapping(session: AsyncSession, site_id: int, start: datetime, end: datetime) -> Certificate | None:
    return await session.scalar(
        select(Certificate)
        .where(Certificate.site_id == site_id, Certificate.started_at < end, Certificate.ended_at > start)
        .order_by(Certificate.started_at)
        .limit(1)
    )


async def count_running(session: AsyncSession, district: str) -> int:
    query = select(func.count()).select_from(Certificate).where(Certificate.status == CertificateStatus.RUNNING)
    return int(await session.scalar(query.where(in_region(Certificate.village_code, district))) or 0)


async def count_before(session: AsyncSession, certificate: Certificate) -> int:
    """Return how many others of its site began within the days before it."""
    query = select(func.count()).where(
        Certificate.site_id == certificate.site_id,
        Certificate.started_at >= certificate.started_at - OTHERS_WITHIN,
        Certificate.started_at < certificate.started_at,
    )
    return int(await session.scalar(query) or 0)


async def find_certificate(session: AsyncSession, certificate_id: int) -> Certificate | None:
    return await session.scalar(select(Certificate).where(Certificate.id == certificate_id))


async def list_over(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[int]:
    """Return the ids of those that run although their 24 hours are over, the oldest first."""
    query = select(Certificate.id).where(Certificate.status == CertificateStatus.RUNNING, Certificate.ended_at <= now)
    return (await session.scalars(query.order_by(Certificate.ended_at).limit(limit))).all()


async def lock_running(session: AsyncSession, certificate_id: int) -> Certificate | None:
    """Return one that runs, locked; None if it is done meanwhile or somebody else is at it."""
    return await session.scalar(
        select(Certificate)
        .where(Certificate.id == certificate_id, Certificate.status == CertificateStatus.RUNNING)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )


def present(certificate: Certificate) -> dict[str, Any]:
    """Return the fields of a CertificateOut."""
    names = ("id", "status", "number", "follows_id", "verify_code", "sha256", "method", "results")
    return {name: getattr(certificate, name) for name in names} | {
        "site_id": certificate.site_id,
        "code": certificate.site.code,
        "name": certificate.site.name,
        "from": certificate.started_at,
        "to": certificate.ended_at,
        "requested_at": certificate.requested_at,
        "requested_by": certificate.requested_by,
        "done_at": certificate.done_at,
    }
