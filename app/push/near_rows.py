"""Chooses what is kept of the looks of a push at what lies near its device. Pure.

Kept are the looks in which no anchor answered, those that differ from the one before, and one a day: so what was so
before an outage is known, however long nothing changed.
"""

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from app.core.clock import from_slot, to_slot
from app.measurements.near import Near
from app.push.timestamps import TimedRow
from probes.contract import Reading

DAY_S = 86_400


class NearState(NamedTuple):
    """The newest look of a device, and its slot."""

    slot: int
    near: Near


def known_state(
    near_at: datetime | None, lan: bool | None, terminal: bool | None, carrier: bool | None
) -> NearState | None:
    return None if near_at is None else NearState(to_slot(near_at), Near(lan, terminal, carrier))


def choose_looks(
    site_id: int, rows: Sequence[TimedRow], readings: Sequence[Reading], newest: NearState | None
) -> tuple[list[dict[str, Any]], NearState | None]:
    """Return the looks to keep, as rows of `near_look`, and the newest state. `readings`: those that are new."""
    new = {reading.slot for reading in readings}
    looks: list[dict[str, Any]] = []
    before = newest
    for slot, near, lost in sorted(_looks(rows, new), key=itemgetter(0)):
        if lost or before is None or before.near != near or before.slot // DAY_S != slot // DAY_S:
            looks.append({"site_id": site_id, "slot": from_slot(slot), "lost": lost, **near._asdict()})
        before = NearState(slot, near)
        if newest is None or slot >= newest.slot:
            newest = before
    return looks, newest


def _looks(rows: Sequence[TimedRow], new: set[int]) -> list[tuple[int, Near, bool]]:
    return [
        (timed.reading.slot, timed.row.near, not timed.row.rtt_us)
        for timed in rows
        if timed.reading is not None and timed.reading.slot in new and timed.row.near is not None and timed.row.sent
    ]
