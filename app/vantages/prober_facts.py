"""What is known of each vantage and of each prober that runs by itself: for findings, metrics and the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.vantages.live_probers import LEASE_S

MOST = 1_000  # probers

VANTAGES = text("SELECT number, name FROM vantage ORDER BY number")
# A beat lies in the future only where the database's clock was set back since.
PROBERS = text("""
    SELECT p.id, p.name, p.vantage, v.name AS vantage_name, p.blind_since, p.clock_offset_ms,
        abs(extract(epoch FROM now() - p.seen_at))::float AS silent_s, coalesce(p.spooled_readings, 0) AS spooled,
        CASE WHEN p.spooled_readings > 0 THEN extract(epoch FROM now() - p.spool_oldest_at) END::float AS spool_age_s,
        p.figures, p.readings, p.rejected_readings, p.last_rejection,
        extract(epoch FROM now() - p.last_rejected_at)::float AS rejected_s,
        p.superseded, extract(epoch FROM now() - p.superseded_at)::float AS superseded_s
    FROM prober p JOIN vantage v ON v.number = p.vantage
    WHERE p.revoked_at IS NULL ORDER BY p.id LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class ProberFacts:
    """Of one that is not revoked. Ages are in seconds; None: it never was so, or never said so."""

    id: int
    name: str
    vantage: int
    vantage_name: str
    silent_s: float | None = None
    blind_since: datetime | None = None
    clock_offset_ms: int | None = None
    spooled: int = 0
    spool_age_s: float | None = None  # of the oldest reading that is not delivered
    spool_lost: int = 0  # readings dropped because the spool was full, as it counts them
    is_durable: bool = True  # what it reads is on its disk before it is delivered
    readings: int = 0  # acknowledged since it was created
    rejected: int = 0
    rejected_s: float | None = None  # since the last one
    last_rejection: str | None = None
    superseded: int = 0  # processes with its token that another one replaced
    superseded_s: float | None = None
    sites: int = 0  # assigned to it

    @property
    def is_live(self) -> bool:
        return self.silent_s is not None and self.silent_s <= LEASE_S


@dataclass(frozen=True, slots=True)
class VantageFacts:
    number: int
    name: str
    sites: int  # looked at from there, as far as by probers that run by themselves
    probers: Sequence[ProberFacts] = ()


async def read_vantages(session: AsyncSession, figures: Mapping[str, Any]) -> list[VantageFacts]:
    """Return every vantage with its probers. `figures`: what the worker last said of itself."""
    sites, of_vantages = figures.get("prober_sites", {}), figures.get("vantage_sites", {})
    probers = [_facts(row, sites) for row in await session.execute(PROBERS, {"most": MOST})]
    return [
        VantageFacts(
            row.number,
            row.name,
            of_vantages.get(str(row.number), 0),
            [prober for prober in probers if prober.vantage == row.number],
        )
        for row in await session.execute(VANTAGES)
    ]


def _facts(row: Any, sites: Mapping[str, int]) -> ProberFacts:
    return ProberFacts(
        row.id,
        row.name,
        row.vantage,
        row.vantage_name,
        row.silent_s,
        row.blind_since,
        row.clock_offset_ms,
        row.spooled,
        row.spool_age_s,
        _lost((row.figures or {}).get("spool_lost")),
        (row.figures or {}).get("spool_durable") != 0,
        row.readings,
        row.rejected_readings,
        row.rejected_s,
        row.last_rejection,
        row.superseded,
        row.superseded_s,
        sites.get(str(row.id), 0),
    )


def _lost(said: Any) -> int:
    """Its own word, which may be anything."""
    return said if isinstance(said, int) and said >= 0 else 0
