"""Tells of packs whose bytes are not what was written: each once a process, in the log and as a count."""

from datetime import datetime

import structlog

from probes.reading_block import SOURCES

log = structlog.get_logger()

MOST_TOLD = 10_000

_told: set[tuple[int, int, datetime]] = set()


def tell(site_id: int, source: int, hour: datetime) -> None:
    """`source`: index into SOURCES."""
    key = (site_id, source, hour)
    if key not in _told and len(_told) < MOST_TOLD:
        _told.add(key)
        log.error(
            "corrupt_pack", site=site_id, source=SOURCES[source], hour=str(hour), what="its readings cannot be read"
        )


def count() -> int:
    """Return how many this process has met."""
    return len(_told)
