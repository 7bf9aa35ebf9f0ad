"""Timeouts for pushes that were not received although they could have been.

Nothing is inferred from silence alone: ingest must be proven alive from when the push was due until now, and other
sites must have been heard from around then. After a stop or a refusal of ours a device may pause, and its silence
counts only after the longest pause. Two such timeouts make an outage, as any two do.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.agents.silence_rule import (
    DEVICE_IS_ADMITTED,
    HEARD_AT_ADDRESS,
    IS_ALWAYS_PRESENT,
    LONGEST_PAUSE,
    PUSHES,
    longest_pause,
)
from app.core.clock import to_slot
from app.core.freshness import late_by, overdue_after_sql
from app.judging.addressed_block import AddressedReading
from app.profiles import Profile, Technology
from app.worker.ingest_proof import IngestProof
from app.worker.peer_quorum import PeerQuorum
from probes.contract import SILENCE, Outcome, Reading

REASON = "not heard, as {others} were"  # their codes: they are what makes the missed push evidence

# A push is due an interval after the latest of: the site's last reading, push or missed push, and since when it is in
# service and always present. The interval is the one that the device was sent last. A device whose last token is
# revoked may still be pushing with that one: that it is refused is no evidence about its link. A moment in our future
# is of a wrong clock.
PUSHING = f"""
    FROM (
        SELECT s.id, s.addressed_at, d.agent, greatest(p.send_every_s, st.valid_s) AS send_every_s, greatest(
            st.seen_at, s.addressed_at,
            CASE WHEN d.heard_at < cast(:now AS timestamptz) + interval '1 minute' THEN d.heard_at END,
            (SELECT max(c.ended_at) FROM site_configuration c
                WHERE c.site_id = s.id AND (c.lifecycle <> 'active' OR c.presence <> 'always'))
        ) AS heard_at
        FROM site s JOIN site_status st ON st.site_id = s.id
            JOIN device d ON d.site_id = s.id
            JOIN unnest(cast(:technologies AS text[]), cast(:every AS int[])) AS p(technology, send_every_s)
                ON p.technology = s.technology
        WHERE {PUSHES} AND st.shard = 0 AND {IS_ALWAYS_PRESENT} AND {HEARD_AT_ADDRESS} AND {DEVICE_IS_ADMITTED}
    ) pushing
"""
OVERDUE = text(f"""
    SELECT id, addressed_at, send_every_s, heard_at, agent {PUSHING}
    WHERE heard_at <= cast(:now AS timestamptz) - {overdue_after_sql("send_every_s")}
    ORDER BY id
""")
NEXT_OVERDUE = text(f"""
    SELECT min(heard_at + {overdue_after_sql("send_every_s")}) {PUSHING}
    WHERE heard_at > cast(:now AS timestamptz) - {overdue_after_sql("send_every_s")}
""")
CODES = text("SELECT id, code FROM site WHERE id = ANY(cast(:ids AS int[]))")
ARRIVALS = text("SELECT site_id, heard_at FROM device WHERE heard_at > :after ORDER BY heard_at")


@dataclass(frozen=True, slots=True)
class OverdueSite:
    site_id: int
    addressed_at: datetime
    send_every_s: int
    heard_at: datetime  # a push is due `send_every_s` after it
    longest_pause: timedelta = LONGEST_PAUSE  # of its device, after a refusal of ours


@dataclass(frozen=True, slots=True)
class OverdueSites:
    """Those at `read_at`, and when the next one may be: pushes only put it off."""

    sites: tuple[OverdueSite, ...]
    next_at: datetime | None
    read_at: datetime

    def may_miss(self, proof: IngestProof, peers: PeerQuorum, now: datetime) -> bool:
        """Whether a push may be certainly missed by now."""
        if self.next_at is not None and now >= self.next_at:
            return True
        return any(next(missed_by(site, proof, peers, now), None) is not None for site in self.sites)


class MissedPush(NamedTuple):
    due: datetime
    peers: tuple[int, ...]  # other sites that were heard from around then


async def list_overdue(session: AsyncSession, now: datetime, *, profiles: Mapping[Technology, Profile]) -> OverdueSites:
    every = {technology.value: profile.send_every_s for technology, profile in profiles.items()}
    params = {"technologies": list(every), "every": list(every.values()), "now": now}
    rows = await session.execute(OVERDUE, params)
    sites = tuple(
        OverdueSite(row.id, row.addressed_at, row.send_every_s, row.heard_at, longest_pause(row.agent)) for row in rows
    )
    return OverdueSites(sites, await session.scalar(NEXT_OVERDUE, params), now)


async def list_missed(
    session: AsyncSession, overdue: OverdueSites, proof: IngestProof, peers: PeerQuorum, now: datetime
) -> list[AddressedReading]:
    """Return a timeout for each push that is certainly missed by now; those recorded already are not among them."""
    missed = [(site, push) for site in overdue.sites for push in missed_by(site, proof, peers, now)]
    if not missed:
        return []
    peer_ids = {site_id for _, push in missed for site_id in push.peers}
    codes = {row.id: row.code for row in await session.execute(CODES, {"ids": sorted(peer_ids)})}
    return [(_reading(site, push, codes), site.addressed_at) for site, push in missed]


def _reading(site: OverdueSite, push: MissedPush, codes: Mapping[int, str]) -> Reading:
    reason = REASON.format(others=" and ".join(sorted(codes[site_id] for site_id in push.peers)))
    return Reading(site.site_id, to_slot(push.due), Outcome.TIMEOUT, 0, (), site.send_every_s, reason, SILENCE)


async def list_arrivals(session: AsyncSession, after: datetime) -> list[tuple[int, datetime]]:
    """Return when each device was last heard from, the oldest first."""
    return [(site_id, heard_at) for site_id, heard_at in await session.execute(ARRIVALS, {"after": after})]


def missed_by(site: OverdueSite, proof: IngestProof, peers: PeerQuorum, now: datetime) -> Iterator[MissedPush]:
    """Yield the pushes that the site certainly missed by `now`. Pure."""
    every = timedelta(seconds=site.send_every_s)
    due = site.heard_at + every
    if proof.since is not None and site.heard_at < proof.since:  # a push sent before may have failed: it may pause
        due = max(due, proof.since + (max(every, site.longest_pause) if due < proof.since else site.longest_pause))
    if peers.since is not None and due < peers.since:
        due += (peers.since - due) // every * every  # no peer is known before
    while due + late_by(every) <= now and proof.covers(due, now):
        is_pausing = peers.may_pause(site.heard_at, due, every, site.longest_pause)
        if not is_pausing and (found := peers.find(due, every, exclude=site.site_id)):
            yield MissedPush(due, found)
        due += every
