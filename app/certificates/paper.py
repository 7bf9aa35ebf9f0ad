"""A certificate as a PDF with its files inside: the same bytes each time."""

from app.certificates.certificate_files import certificate_files
from app.certificates.models import Certificate
from app.certificates.paper_values import CertificateHeading, paper_values
from app.certificates.schemas import CertificateData
from app.core.errors import Conflict, Fault
from app.documents.qr import qr_svg
from app.documents.typesetting import AttachedFile, typeset
from app.reports.paper_of_report import VERIFICATION, HashDiffers
from app.reports.report_files import data_hash

DESCRIPTIONS = {
    "hours.csv": ("text/csv", "Hasil setiap jam"),
    "tests.csv": ("text/csv", "Setiap uji kecepatan, juga yang dilewati, dengan alasannya"),
    "certificate.json": ("application/json", "Titik akses, kontrak, metode, jumlah dan hasil"),
}


def read_certificate(certificate: Certificate) -> CertificateData:
    """Return the data set of a certificate. Raises Conflict while it runs."""
    if certificate.data is None:
        raise Conflict(
            faults=[
                Fault(
                    "status",
                    "running",
                    "This certificate is not done yet",
                    "Read it again once its 24 hours are over and settled: GET /certificates/{id}",
                    values={"id": certificate.id},
                )
            ]
        )
    return CertificateData.model_validate_json(certificate.data)


async def certificate_pdf(certificate: Certificate, public_base: str | None) -> bytes:
    """Return the PDF. Raises Conflict while it runs, HashDiffers, TypesettingFailed.

    `public_base`: the address of the service. A request's own is not taken: whoever asks could choose it.
    """
    data = read_certificate(certificate)
    assert certificate.number is not None
    assert certificate.sha256 is not None
    assert certificate.done_at is not None
    files = certificate_files(data)
    if (sha256 := data_hash(files)) != certificate.sha256:
        raise HashDiffers(f"{certificate.number}: {sha256}, done with {certificate.sha256}")
    url = public_base and f"{public_base}{VERIFICATION}{certificate.verify_code}"
    heading = CertificateHeading(certificate.number, sha256, certificate.verify_code, url)
    values = paper_values(data, heading) | {"qr": url and qr_svg(url)}
    attached = [AttachedFile(name, content, *DESCRIPTIONS[name]) for name, content in sorted(files.items())]
    return await typeset("certificate.typ", values, attached, made_at=certificate.done_at)
