"""By what a certificate judges its 24 hours: the published method's numbers for one line. Pure.

A change of any number is a new version; docs/certificates.md says it all.
"""

from datetime import timedelta
from typing import Any

from app.compliance.method import METODE_V1
from app.profiles import Technology

VERSION = "sertifikat-1"
LENGTH = timedelta(hours=24)
METHOD = METODE_V1
LEAST_COVERAGE_PCT = 90  # of its seconds that are known, below which nothing is proven
OTHERS_WITHIN = timedelta(days=30)  # of which a certificate says how many there are beside it


def method_fields(technology: Technology) -> dict[str, Any]:
    """Return the fields of a CertificateMethod."""
    return {
        "version": VERSION,
        "based_on": METHOD.version,
        "least_coverage_pct": LEAST_COVERAGE_PCT,
        "speed_of_contract_pct": METHOD.speed_of_contract_pct,
        "tests_pct": METHOD.tests_pct,
        "least_tests": METHOD.least_tests_of_site,
        "looks_pct": METHOD.looks_pct,
        "least_looks": METHOD.least_looks_of_site,
        "limit_ms": METHOD.limit_ms[technology],
    }
