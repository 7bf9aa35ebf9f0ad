"""What was pushed, between the api that acknowledged it and the worker that judges it: nothing of it is ever lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
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
        SELECT id FROM push_inbox ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED
    ) RETURNING id, site_id, received_at, rows
""")


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
    """What one push brought. `site_id` None: our own beat, which proves that ingest is alive."""

    site_id: int | None
    received_at: datetime
    rows: Sequence[Row]

    def readings(self) -> list[Reading]:
        assert self.site_id is not None
        return [
            Reading(self.site_id, row.slot, Outcome(row.outcome), row.sent, tuple(row.rtt_us), row.valid_s, row.reason,
                    AGENT)
            for row in self.rows
        ]  # fmt: skip


async def put(session: AsyncSession, deliveries: Sequence[Delivery]) -> None:
    await session.execute(PUT, {
        "site_ids": [one.site_id for one in deliveries],
        "received": [one.received_at for one in deliveries],
        "rows": [orjson.dumps([tuple(row) for row in one.rows]) for one in deliveries],
    })  # fmt: skip


async def take(session: AsyncSession, *, most: int) -> list[Delivery]:
    """The oldest, in the order in which they came; they are gone with the commit of what was made of them."""
    taken = sorted(await session.execute(TAKE, {"most": most}))
    return [
        Delivery(row.site_id, row.received_at, [Row(*values) for values in orjson.loads(row.rows)]) for row in taken
    ]
