"""What anybody who holds a certificate may read of it by its code."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.certificates.models import Certificate, CertificateStatus
from app.certificates.paper import read_certificate
from app.certificates.schemas import CertificateData
from app.reports.verification import CODE


@dataclass(frozen=True, slots=True)
class VerifiedCertificate:
    """One that is done. No name of a person is in it."""

    number: str
    sha256: str
    done_at: datetime
    data: CertificateData
    repeated_by: str | None  # number of the certificate that repeats it after a cure


async def find_certificate_by_code(session: AsyncSession, code: str) -> VerifiedCertificate | None:
    """Return what a code verifies; None for an unknown one, and for one that runs: nobody has its paper."""
    if not CODE.fullmatch(code):
        return None
    certificate = await session.scalar(
        select(Certificate).where(Certificate.verify_code == code, Certificate.status == CertificateStatus.DONE)
    )
    if certificate is None or certificate.number is None or certificate.sha256 is None or certificate.done_at is None:
        return None
    repeated_by = await session.scalar(
        select(Certificate.number)
        .where(Certificate.follows_id == certificate.id, Certificate.status == CertificateStatus.DONE)
        .order_by(Certificate.started_at)
        .limit(1)
    )
    data = read_certificate(certificate)
    return VerifiedCertificate(certificate.number, certificate.sha256, certificate.done_at, data, repeated_by)
