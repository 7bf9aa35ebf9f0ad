"""What was pushed, between the api that acknowledged it and the worker that judges it: nothing of it is ever lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import NamedTuple

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from probes.contract import AGENT, Outcome, Reading

PUT = text("""
    INSERT INTO push_inbox (site_id, received_at, rows)
    SELECT * FROM unnest(cast(:site_ids AS int[]), cast(:received AS timestamptz[]), cast(:rows AS bytea[]))
""")
TAKE = text("""
    DELETE FROM push_inbox WHERE id IN (
        SELECT id FROM (
            SELECT id, sum(octet_length(rows)) OVER (ORDER BY id) - octet_length(rows) AS before FROM (
                SELECT id, rows FROM push_inbox WHERE refused_at IS NULL ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED
            ) oldest
        ) counted WHERE before < :most_bytes
    ) RETURNING id, site_id, received_at, rows
""")
SET_ASIDE = text("UPDATE push_inbox SET refused_at = now() WHERE id = :id")
BRING_BACK = text("UPDATE push_inbox SET refused_at = NULL WHERE refused_at IS NOT NULL")


class Row(NamedTuple):
    """One reading of a device, with its place in time: `slot` in seconds since 1970, `rtt_us` of what answered."""

    slot: int
    outcome: str
    sent: int
    rtt_us: tuple[int, ...] | list[int]
    valid_s: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one push brought. `site_id` None: our own beat, which proves that ingest is alive, or `begun`."""

    site_id: int | None
    received_at: datetime
    rows: Sequence[Row]
    id: int = 0  # in the inbox

    @property
    def is_begin(self) -> bool:
        return self.site_id is None and bool(self.rows)

    def readings(self) -> list[Reading]:
        assert self.site_id is not None
        return [
            Reading(
                self.site_id,
                row.slot,
                Outcome(row.outcome),
                row.sent,
                tuple(row.rtt_us),
                row.valid_s,
                row.reason,
                AGENT,
            )
            for row in self.rows
        ]


def begun(at: datetime) -> Delivery:
    """The first that a process of the api took in: whoever came right before may have come in vain."""
    return Delivery(None, at, [Row(0, Outcome.FAULT.value, 0, (), 0, "begun")])


async def put(session: AsyncSession, deliveries: Sequence[Delivery]) -> None:
    await session.execute(
        PUT,
        {
            "site_ids": [one.site_id for one in deliveries],
            "received": [one.received_at for one in deliveries],
            "rows": [orjson.dumps([tuple(row) for row in one.rows]) for one in deliveries],
        },
    )


async def take(session: AsyncSession, *, most: int, most_bytes: int = 2**62) -> list[Delivery]:
    """The oldest, in the order in which they came; they are gone with the commit of what was made of them."""
    taken = await session.execute(TAKE, {"most": most, "most_bytes": most_bytes})
    return [Delivery(row.site_id, row.received_at, _rows(row.rows), row.id) for row in sorted(taken, key=itemgetter(0))]


def _rows(stored: bytes) -> list[Row]:
    """What a newer api says beyond what is known here is left out."""
    return [Row(*values[: len(Row._fields)]) for values in orjson.loads(stored)]


async def set_aside(session: AsyncSession, delivery_id: int) -> None:
    """What cannot be taken in is kept, out of the way of what came after it."""
    await session.execute(SET_ASIDE, {"id": delivery_id})


async def bring_back(session: AsyncSession) -> None:
    """What was set aside is among the oldest again."""
    await session.execute(BRING_BACK)
