"""What a held stream proves while its site's push is overdue: the device was heard, so its silence is none."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.networks import canonical
from app.push import inbox, source_addresses
from app.push.inbox import Delivery
from app.push.source_addresses import STORED_EVERY, Sighting
from app.push.timestamps import STREAM
from app.streams.held import moment
from app.streams.recorder import Heard
from probes.contract import AGENT, Outcome, Reading

KEPT_S = 7200  # longer than any interval of pushes
GRACE_S = 5  # a push that is due may be on its way
# A push that was heard later than the stream needs no other proof.
OVERDUE = text("""
    SELECT d.site_id, d.address, d.address_at, d.heard_at FROM device d
        JOIN site s ON s.id = d.site_id AND s.lifecycle = 'active' AND s.probe = 'push'
        JOIN unnest(cast(:sites AS int[]), cast(:every AS int[]), cast(:heard AS timestamptz[]))
            AS n(site_id, every_s, at) ON n.site_id = d.site_id
    WHERE d.heard_at < n.at - make_interval(secs => n.every_s + :grace)
""")


class StreamArrivals:
    """Queues at most one arrival a site and interval of its pushes."""

    def __init__(self) -> None:
        self._queued: dict[int, float] = {}  # when its last arrival was

    async def queue(self, session: AsyncSession, heard: Sequence[Heard]) -> None:
        """In the caller's transaction."""
        due = [one for one in heard if one.heard_at >= self._queued.get(one.site_id, 0.0) + 0.8 * one.send_every_s]
        if not due:
            return
        rows = await session.execute(
            OVERDUE,
            {
                "sites": [one.site_id for one in due],
                "every": [one.send_every_s for one in due],
                "heard": [moment(one.heard_at) for one in due],
                "grace": GRACE_S,
            },
        )
        overdue = {row.site_id: row for row in rows}
        if late := [one for one in due if one.site_id in overdue]:
            await inbox.enqueue(session, [_arrival(one) for one in late])
            sightings = [_sighting(one, overdue[one.site_id]) for one in late]
            await source_addresses.record(session, [each for each in sightings if each is not None])
        oldest = due[0].heard_at - KEPT_S
        self._queued = {site_id: at for site_id, at in self._queued.items() if at > oldest} | {
            one.site_id: one.heard_at for one in due if one.site_id in overdue
        }


def _arrival(one: Heard) -> Delivery:
    reading = Reading(one.site_id, int(one.heard_at), Outcome.OK, 0, (), one.send_every_s, STREAM, AGENT)
    return Delivery.of_site(one.site_id, moment(one.heard_at), [reading], address=canonical(one.address))


def _sighting(one: Heard, device: Any) -> Sighting | None:
    """Return where the arrival came from, as it is stored of pushes: whoever has the token could hold it elsewhere."""
    address, at = canonical(one.address), moment(one.heard_at)
    if address is None or (address == device.address and at - device.address_at < STORED_EVERY):
        return None
    return Sighting(one.site_id, address, at, device.address, device.heard_at if device.address is not None else None)
