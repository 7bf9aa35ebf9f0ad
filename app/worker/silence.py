"""What it says that a site's push did not come, while we know that it could have come.

Nothing is inferred from silence alone: ingest must be proven alive from when the push was due until now, and others
must have been heard meanwhile. Then it is a reading like any: two of them make an outage.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import to_slot
from app.evidence import LATE
from app.ledger.store import Item
from app.profiles import Profile, Technology
from app.worker.proof import Proof
from probes.contract import SILENCE, Outcome, Reading

OTHERS = 2  # whom we heard meanwhile
REASON = "not heard"

# Since when a site is waited for: its last reading or push, the last one before that it was silent on, or its service.
AWAITED = text("""
    SELECT * FROM (
        SELECT s.id, s.addressed_at, p.send_every_s, greatest(st.seen_at, d.heard_at, s.addressed_at, (
            SELECT max(c.ended_at) FROM site_configuration c WHERE c.site_id = s.id AND c.lifecycle <> 'active'
        )) AS heard_at
        FROM site s JOIN site_status st ON st.site_id = s.id LEFT JOIN device d ON d.site_id = s.id
            JOIN unnest(cast(:technologies AS text[]), cast(:every AS int[])) AS p(technology, send_every_s)
                ON p.technology = s.technology
        WHERE s.probe = 'push' AND s.lifecycle = 'active'
            AND st.last_ok_at >= date_trunc('second', s.addressed_at)
    ) awaited
    WHERE heard_at <= cast(:now AS timestamptz) - send_every_s * (1 + cast(:late AS float8)) * interval '1 second'
    ORDER BY id
""")
NEWEST = text("SELECT site_id, heard_at FROM device ORDER BY heard_at DESC LIMIT :most")


@dataclass(frozen=True, slots=True)
class Awaited:
    """A site whose push is overdue."""

    site_id: int
    addressed_at: datetime
    send_every_s: int
    heard_at: datetime  # a push would be due so long after it


@dataclass(frozen=True, slots=True)
class Heard:
    site_id: int
    at: datetime


async def list_due(
    session: AsyncSession, proof: Proof, now: datetime, *, profiles: Mapping[Technology, Profile]
) -> list[Item]:
    """The silences that are certain by now. What has been recorded moves on what is awaited, so none comes twice."""
    every = {technology.value: profile.send_every_s for technology, profile in profiles.items()}
    given = {"technologies": list(every), "every": list(every.values()), "now": now, "late": LATE}
    awaited = [Awaited(*row) for row in await session.execute(AWAITED, given)]
    if not awaited:
        return []
    newest = [Heard(*row) for row in await session.execute(NEWEST, {"most": OTHERS + 1})]
    return [(reading, one.addressed_at) for one in awaited for reading in silences(one, proof, newest, now)]


def silences(one: Awaited, proof: Proof, newest: Sequence[Heard], now: datetime) -> Iterator[Reading]:
    """Pure. `newest`: the sites that were heard last; among them must be others, since the push before was due."""
    every, late = timedelta(seconds=one.send_every_s), timedelta(seconds=LATE * one.send_every_s)
    others = sorted((other.at for other in newest if other.site_id != one.site_id), reverse=True)[:OTHERS]
    due = one.heard_at + every
    if proof.since is not None and due < proof.since:
        due = proof.since + every  # it may have tried in vain, and has its turn first
    while due + late <= now and proof.covers(due, now):
        if len(others) == OTHERS and others[-1] >= due - every:
            yield Reading(one.site_id, to_slot(due), Outcome.TIMEOUT, 0, (), one.send_every_s, REASON, SILENCE)
        due += every
