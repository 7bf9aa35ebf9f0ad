"""What it says that a site's push did not come, while we know that it could have come.

Nothing is inferred from silence alone: ingest must be proven alive from when the push was due until now, and others
must have come through about then. Then it is a reading like any: two of them make an outage.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.agents.silence_rule import DEVICE_IS_ADMITTED, HEARD_AT_ADDRESS, PUSHES
from app.core.clock import to_slot
from app.core.freshness import LATE_SHARE, late_by
from app.judging.ingest import AddressedReading
from app.profiles import Profile, Technology
from app.worker.ingest_heartbeat import Proof
from app.worker.peer_quorum import Crowd
from probes.contract import SILENCE, Outcome, Reading

REASON = "not heard, as {others} were"  # their codes: whom we heard about then, which is what makes it evidence

# Since when a site is waited for: its last reading or push, the last one before that it was silent on, or its service.
# It goes by the pace that it was told last. A device that did not come with a token that is good now may be trying with
# one that is over: that it is refused says nothing of its link. A moment ahead of us is of a clock that was wrong.
AWAITED = text(f"""
    SELECT * FROM (
        SELECT s.id, s.addressed_at, greatest(p.send_every_s, st.valid_s) AS send_every_s, greatest(
            st.seen_at, s.addressed_at,
            CASE WHEN d.heard_at < cast(:now AS timestamptz) + interval '1 minute' THEN d.heard_at END,
            (SELECT max(c.ended_at) FROM site_configuration c WHERE c.site_id = s.id AND c.lifecycle <> 'active')
        ) AS heard_at
        FROM site s JOIN site_status st ON st.site_id = s.id
            JOIN device d ON d.site_id = s.id
            JOIN unnest(cast(:technologies AS text[]), cast(:every AS int[])) AS p(technology, send_every_s)
                ON p.technology = s.technology
        WHERE {PUSHES} AND {HEARD_AT_ADDRESS} AND {DEVICE_IS_ADMITTED}
    ) awaited
    WHERE heard_at <= cast(:now AS timestamptz) - send_every_s * (1 + {LATE_SHARE}) * interval '1 second'
    ORDER BY id
""")


CODES = text("SELECT id, code FROM site WHERE id = ANY(cast(:ids AS int[]))")
HEARD = text("SELECT site_id, heard_at FROM device WHERE heard_at > :after ORDER BY heard_at")


@dataclass(frozen=True, slots=True)
class Awaited:
    """A site whose push is overdue."""

    site_id: int
    addressed_at: datetime
    send_every_s: int
    heard_at: datetime  # a push would be due so long after it


class Silence(NamedTuple):
    """A push that did not come when it was due, while others did."""

    due: datetime
    others: tuple[int, ...]


async def list_due(
    session: AsyncSession, proof: Proof, crowd: Crowd, now: datetime, *, profiles: Mapping[Technology, Profile]
) -> list[AddressedReading]:
    """The silences that are certain by now. What has been recorded moves on what is awaited, so none comes twice."""
    every = {technology.value: profile.send_every_s for technology, profile in profiles.items()}
    given = {"technologies": list(every), "every": list(every.values()), "now": now}
    awaited = [Awaited(*row) for row in await session.execute(AWAITED, given)]
    found = [(one, silence) for one in awaited for silence in silences(one, proof, crowd, now)]
    if not found:
        return []
    heard = {site_id for _, silence in found for site_id in silence.others}
    codes = {row.id: row.code for row in await session.execute(CODES, {"ids": sorted(heard)})}
    return [(_reading(one, silence, codes), one.addressed_at) for one, silence in found]


def _reading(one: Awaited, silence: Silence, codes: Mapping[int, str]) -> Reading:
    others = " and ".join(sorted(codes[site_id] for site_id in silence.others))
    reason = REASON.format(others=others)
    return Reading(one.site_id, to_slot(silence.due), Outcome.TIMEOUT, 0, (), one.send_every_s, reason, SILENCE)


async def heard_since(session: AsyncSession, after: datetime) -> list[tuple[int, datetime]]:
    return [(site_id, heard_at) for site_id, heard_at in await session.execute(HEARD, {"after": after})]


def silences(one: Awaited, proof: Proof, crowd: Crowd, now: datetime) -> Iterator[Silence]:
    """Pure."""
    every = timedelta(seconds=one.send_every_s)
    due = one.heard_at + every
    if proof.since is not None and due < proof.since:
        due = proof.since + every  # it may have tried in vain, and has its turn first
    if crowd.since is not None and due < crowd.since:
        due += (crowd.since - due) // every * every  # nobody can vouch for what lies before
    while due + late_by(every) <= now and proof.covers(due, now):
        if others := crowd.came_through(due, every, but=one.site_id):
            yield Silence(due, others)
        due += every
