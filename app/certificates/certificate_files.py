"""The files of a certificate's data set, byte for byte the same for the same data. Pure."""

from collections.abc import Sequence

import orjson

from app.availability.tally import KINDS
from app.certificates.schemas import CertificateData
from app.core.tabular import Cell, csv_text

HOURS, TESTS, CERTIFICATE = "hours.csv", "tests.csv", "certificate.json"
FIGURES = (
    *("uptime_pct", "coverage_pct", "worst_pct", "best_pct"),
    *("looks", "within", "lost", "left_out", "within_pct"),
    *("samples", "loss_pct", "p50_ms", "p95_ms", "max_ms"),
)
TEST = ("planned_at", "started_at", "mode", "status", "reason", "for_certificate")
RATES = ("down_mbps", "up_mbps", "contract_down_mbps", "contract_up_mbps")


def certificate_files(data: CertificateData) -> dict[str, bytes]:
    """Return the files by name: a row an hour, a row a speed test, and all else."""
    return {HOURS: _hours(data), TESTS: _tests(data), CERTIFICATE: _rest(data)}


def canonical(data: CertificateData) -> str:
    """Return the data set as JSON, the same for the same data."""
    return orjson.dumps(data.model_dump(mode="json", by_alias=True)).decode()


def _hours(data: CertificateData) -> bytes:
    rows: list[Sequence[Cell]] = [("from", "to", *(f"{kind}_s" for kind in KINDS), "claimed_s", *FIGURES)]
    rows += [
        (
            *(hour.from_, hour.to),
            *(getattr(hour.seconds, kind) for kind in (*KINDS, "claimed")),
            *(getattr(hour, name) for name in FIGURES),
        )
        for hour in data.hours
    ]
    return csv_text(rows).encode()


def _tests(data: CertificateData) -> bytes:
    rows: list[Sequence[Cell]] = [(*TEST, *RATES)]
    rows += [
        (
            *(test.planned_at, test.started_at, test.mode.value, test.status.value, test.reason, test.for_certificate),
            *(getattr(test, name) for name in RATES),
        )
        for test in data.tests
    ]
    return csv_text(rows).encode()


def _rest(data: CertificateData) -> bytes:
    fields = data.model_dump(mode="json", by_alias=True, exclude={"hours", "tests"})
    return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
