"""Durable queue of pushes between the API, which acknowledges them, and the worker, which judges them.

What devices report afterwards of a time in which nobody heard them (`is_backlog`) comes after all else: when thousands
come back at once, how each site is now must not wait for what was hours ago.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.postgres.work_signals import Work, announce
from probes.contract import AGENT, Outcome, Reading

INSERT = text("""
    INSERT INTO push_inbox (site_id, received_at, rows, address, boot, is_backlog)
    SELECT * FROM unnest(cast(:site_ids AS int[]), cast(:received AS timestamptz[]), cast(:rows AS bytea[]),
        cast(:addresses AS text[]), cast(:boots AS text[]), cast(:backlog AS boolean[]))
""")
DELETE_OLDEST = """
    DELETE FROM push_inbox WHERE id IN (
        SELECT id FROM (
            SELECT id, sum(octet_length(rows)) OVER (ORDER BY is_backlog, id) - octet_length(rows) AS before FROM (
                SELECT id, rows, is_backlog FROM push_inbox WHERE refused_at IS NULL {among}
                ORDER BY is_backlog, id LIMIT :limit FOR UPDATE SKIP LOCKED
            ) oldest
        ) counted WHERE before < :max_bytes
    ) RETURNING id, site_id, received_at, rows AS payload, address, boot, is_backlog
"""
OF_SHARD = """(
    cast(:shard AS int) = 0 AND site_id IS NULL
    OR EXISTS (SELECT FROM site_status st WHERE st.site_id = push_inbox.site_id AND st.shard = cast(:shard AS int))
)"""
OLDEST_OF_ALL = text(DELETE_OLDEST.format(among=""))
OLDEST_OF_SHARD = text(DELETE_OLDEST.format(among=f"AND {OF_SHARD}"))
SET_ASIDE = text("UPDATE push_inbox SET refused_at = now() WHERE id = :id")
REQUEUE = text("UPDATE push_inbox SET refused_at = NULL WHERE refused_at IS NOT NULL")

NO_READINGS = b"[]"
API_START = orjson.dumps([(0, Outcome.FAULT, 0, (), 0, "begun")])


@dataclass(frozen=True, slots=True)
class Delivery:
    """The readings of one push. `site_id` None: the worker's own ingest heartbeat, or the start of an API process.

    `payload` is decoded only by `readings()`, so that one which cannot be decoded does not stop the others.
    """

    site_id: int | None
    received_at: datetime
    payload: bytes  # JSON: a list of [slot, outcome, sent, rtt_us, valid_s, reason]
    id: int = 0  # in the inbox
    address: str | None = None  # that the push came from
    boot: str | None = None
    is_backlog: bool = False

    @classmethod
    def of_site(
        cls,
        site_id: int,
        received_at: datetime,
        readings: Sequence[Reading],
        *,
        address: str | None = None,
        boot: str | None = None,
        is_backlog: bool = False,
    ) -> "Delivery":
        payload = orjson.dumps([_fields(reading) for reading in readings])
        return cls(site_id, received_at, payload, address=address, boot=boot, is_backlog=is_backlog)

    @classmethod
    def heartbeat(cls, received_at: datetime) -> "Delivery":
        return cls(None, received_at, NO_READINGS)

    @classmethod
    def api_start(cls, received_at: datetime) -> "Delivery":
        """The first delivery of an ingest process: pushes sent just before it may be lost."""
        return cls(None, received_at, API_START)

    @property
    def is_api_start(self) -> bool:
        return self.site_id is None and self.payload != NO_READINGS

    def readings(self) -> list[Reading]:
        """Fields that a newer API added are ignored. Raises ValueError or TypeError for a payload of another format."""
        assert self.site_id is not None
        return [_reading(self.site_id, *fields[:6]) for fields in orjson.loads(self.payload)]


def _fields(reading: Reading) -> tuple[int, Outcome, int, tuple[int, ...], int, str | None]:
    return reading.slot, reading.outcome, reading.sent, reading.rtt_us, reading.valid_s, reading.reason


def _reading(
    site_id: int, slot: int, outcome: str, sent: int, rtt_us: list[int], valid_s: int, reason: str | None
) -> Reading:
    return Reading(site_id, slot, Outcome(outcome), sent, tuple(rtt_us), valid_s, reason, AGENT)


async def enqueue(session: AsyncSession, deliveries: Sequence[Delivery]) -> None:
    """Queue them, and wake the worker at the commit."""
    await session.execute(
        INSERT,
        {
            "site_ids": [delivery.site_id for delivery in deliveries],
            "received": [delivery.received_at for delivery in deliveries],
            "rows": [delivery.payload for delivery in deliveries],
            "addresses": [delivery.address for delivery in deliveries],
            "boots": [delivery.boot for delivery in deliveries],
            "backlog": [delivery.is_backlog for delivery in deliveries],
        },
    )
    await announce(session, Work.INBOX)


async def dequeue(
    session: AsyncSession, *, limit: int, max_bytes: int = 2**62, shard: int | None = None
) -> list[Delivery]:
    """Delete and return the oldest deliveries in their order, the backlog last. `shard`: those of its sites.

    They are gone once the caller's transaction commits.
    """
    params = {"limit": limit, "max_bytes": max_bytes}
    if shard is None:
        rows = await session.execute(OLDEST_OF_ALL, params)
    else:
        rows = await session.execute(OLDEST_OF_SHARD, {**params, "shard": shard})
    deliveries = [
        Delivery(row.site_id, row.received_at, row.payload, row.id, row.address, row.boot, row.is_backlog)
        for row in rows
    ]
    return sorted(deliveries, key=attrgetter("is_backlog", "id"))


async def set_aside(session: AsyncSession, delivery_id: int) -> None:
    """Keep a delivery that cannot be processed, but do not dequeue it."""
    await session.execute(SET_ASIDE, {"id": delivery_id})


async def requeue_set_aside(session: AsyncSession) -> None:
    """Make what was set aside due again, in its old position."""
    await session.execute(REQUEUE)
