"""What could not be measured, site by site, with the reason: attested, never dropped. Pure."""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from app.compliance.line import Line, SpeedCounts
from app.compliance.row import ComplianceUnit


class MethodPart(StrEnum):
    """A part of the method: `availability`, `download`, `upload`, `latency`."""

    AVAILABILITY = "availability"
    DOWNLOAD = "download"
    UPLOAD = "upload"
    LATENCY = "latency"


class Attested(NamedTuple):
    """Why a part of a site was not measured enough; `amount`: of tests, looks, days or seconds, as the reason says."""

    site_id: int
    part: MethodPart
    reason: str
    amount: int


# Reasons beside those of tests (`skipped_over_budget`, `failed_timeout`, …), which docs/throughput.md lists.
NO_CONTRACT, UNKNOWN_TIME = "no_contract", "unknown_time"  # sites; seconds
NEVER_PLANNED, ONE_DIRECTION, NO_CONTRACT_SPEED = "never_planned", "one_direction", "no_contract_speed"  # tests
TOO_FEW_TESTS = "too_few_tests"
TOO_FEW_LOOKS, LEFT_OUT, DAYS_NOT_COUNTED = "too_few_looks", "left_out", "days_not_counted"


def attest(unit: ComplianceUnit, days: int) -> Iterator[Attested]:
    """Yield what the period, so many days long, lacks of each site of the row; tests without a result always."""
    for site_id, line in sorted(unit.lines.items()):
        reasons = [
            *((MethodPart.AVAILABILITY, *each) for each in _availability(line)),
            *((MethodPart.DOWNLOAD, *each) for each in _speed(unit, line, line.down, unit.tier.down_mbps)),
            *((MethodPart.UPLOAD, *each) for each in _upload(unit, line)),
            *((MethodPart.LATENCY, *each) for each in _latency(unit, line, days)),
        ]
        yield from (Attested(site_id, *each) for each in reasons)


def _availability(line: Line) -> Iterator[tuple[str, int]]:
    under_contract = [row for row in line.verdicts if row.contract_id is not None]
    if not under_contract:
        yield NO_CONTRACT, 1
    if unknown_s := sum(row.tally.unknown_s for row in under_contract):
        yield UNKNOWN_TIME, unknown_s


def _speed(unit: ComplianceUnit, line: Line, counts: SpeedCounts, promised: float | None) -> Iterator[tuple[str, int]]:
    if counts.unpromised or promised is None:
        yield NO_CONTRACT_SPEED, counts.unpromised
    if not line.planned:
        yield NEVER_PLANNED, 0
    elif counts.share.counted < unit.method.least_tests_of_site:
        yield TOO_FEW_TESTS, counts.share.counted
    yield from sorted(line.not_made.items())


def _upload(unit: ComplianceUnit, line: Line) -> Iterator[tuple[str, int]]:
    """A download from the centre says nothing of the other direction."""
    if line.planned and not line.pushes:
        yield ONE_DIRECTION, 0
    elif unit.tier.up_mbps is not None:
        yield from _speed(unit, line, line.up, unit.tier.up_mbps)


def _latency(unit: ComplianceUnit, line: Line, days: int) -> Iterator[tuple[str, int]]:
    if line.looks.share.counted < unit.method.least_looks_of_site:
        yield TOO_FEW_LOOKS, line.looks.share.counted
    if line.looks.left_out:
        yield LEFT_OUT, line.looks.left_out
    if line.looks.days < days:
        yield DAYS_NOT_COUNTED, days - line.looks.days
