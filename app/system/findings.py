"""What may be wrong with the service itself, what that is judged from, and whether measuring still works. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from app.core.words import Bilingual, in_words
from app.vantages.prober_facts import VantageFacts


class SystemCheck(StrEnum):
    """What may be wrong: `worker_silent` (nothing is written), `blind` (no canary answers), `ingest_unproven` (our own
    heartbeat does not arrive as devices' pushes do), `inbox_late` (pushes wait), `counting_late`, `buffer_filling`
    (readings wait for the database), `readings_lost`, `pushes_refused` (set aside), `canary_silent`, `few_canaries`,
    `sites_not_shown` (their status cannot be read), `courier_silent` (no alert is delivered), `packs_corrupt` (packed
    readings that are damaged), `packing_late`, `vantage_unwatched` (none of its probers is heard), `prober_silent`,
    `prober_blind`, `prober_clock` (its clock is off), `prober_late` (readings wait in its spool), `prober_lost` (its
    spool was full), `prober_disk` (its disk takes nothing), `prober_rejected` (readings it delivered were refused),
    `prober_token_copied` (two use one token), `blocks_late` (what probers delivered waits to be judged),
    `blocks_refused` (set aside).
    """

    WORKER_SILENT = "worker_silent"
    BLIND = "blind"
    INGEST_UNPROVEN = "ingest_unproven"
    INBOX_LATE = "inbox_late"
    COUNTING_LATE = "counting_late"
    BUFFER_FILLING = "buffer_filling"
    READINGS_LOST = "readings_lost"
    PUSHES_REFUSED = "pushes_refused"
    CANARY_SILENT = "canary_silent"
    FEW_CANARIES = "few_canaries"
    SITES_NOT_SHOWN = "sites_not_shown"
    COURIER_SILENT = "courier_silent"
    PACKS_CORRUPT = "packs_corrupt"
    PACKING_LATE = "packing_late"
    VANTAGE_UNWATCHED = "vantage_unwatched"
    PROBER_SILENT = "prober_silent"
    PROBER_BLIND = "prober_blind"
    PROBER_CLOCK = "prober_clock"
    PROBER_LATE = "prober_late"
    PROBER_LOST = "prober_lost"
    PROBER_DISK = "prober_disk"
    PROBER_REJECTED = "prober_rejected"
    PROBER_TOKEN_COPIED = "prober_token_copied"  # noqa: S105  # no secret
    BLOCKS_LATE = "blocks_late"
    BLOCKS_REFUSED = "blocks_refused"


class FindingSeverity(StrEnum):
    """`critical`: some sites are not measured now, or what was measured is not shown; `warning`: it may come so."""

    CRITICAL = "critical"
    WARNING = "warning"


class Health(StrEnum):
    """`working`: nothing was found; `attention`: warnings alone; `impaired`: something critical."""

    WORKING = "working"
    ATTENTION = "attention"
    IMPAIRED = "impaired"


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """What the processes recorded about themselves. Counts of losses are since the worker's start."""

    now: datetime
    beat_at: datetime | None
    blind_since: datetime | None = None
    deaf_since: datetime | None = None
    has_pushing_sites: bool = False
    canaries: Mapping[str, bool] = field(default_factory=dict)  # by address: whether it answered last
    lag_s: Mapping[str, float] = field(default_factory=dict)  # by stage of counting
    inbox_age_s: float = 0
    refused_pushes: int = 0
    blocks_age_s: float = 0  # of what probers delivered
    refused_blocks: int = 0
    buffered: int = 0
    buffer_limit: int = 0
    lost: int = 0
    rejected_sites: int = 0
    channels: int = 0
    courier_age_s: float | None = None  # of its last beat; None: none has run
    corrupt_packs: int = 0  # at least
    corrupt_since: datetime | None = None
    packing_lag: timedelta = timedelta()
    unpacked_bytes: int = 0
    vantages: Sequence[VantageFacts] = ()


@dataclass(frozen=True, slots=True)
class SystemFinding:
    check: SystemCheck
    severity: FindingSeverity
    message: Bilingual
    suggestion: Bilingual


def critical(check: SystemCheck, message: Bilingual, suggestion: Bilingual) -> SystemFinding:
    return SystemFinding(check, FindingSeverity.CRITICAL, message, suggestion)


def warning(check: SystemCheck, message: Bilingual, suggestion: Bilingual) -> SystemFinding:
    return SystemFinding(check, FindingSeverity.WARNING, message, suggestion)


def health_of(findings: list[SystemFinding]) -> Health:
    if not findings:
        return Health.WORKING
    critical = any(finding.severity is FindingSeverity.CRITICAL for finding in findings)
    return Health.IMPAIRED if critical else Health.ATTENTION


def summarize(findings: list[SystemFinding]) -> Bilingual:
    """Return one sentence: whether monitoring itself works, and if not, the first reason."""
    match health_of(findings):
        case Health.WORKING:
            return in_words("Monitoring itself works: sites are measured, and what is measured is counted.")
        case Health.ATTENTION:
            return in_words("Monitoring itself works; points that need attention: {n}.", n=len(findings))
        case Health.IMPAIRED:
            return in_words("Monitoring itself is impaired: {why}.", why=findings[0].message)
