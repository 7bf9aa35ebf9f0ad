"""Separates the backlog of a device that came back from what its push says of its site now. Pure."""

from collections.abc import Sequence

from app.push.dedupe import ReceivedPush
from app.push.inbox import Delivery
from app.push.last_push import LastPush, heard_since
from app.push.timestamps import ARRIVAL
from probes.contract import Reading

LONG = 20  # rows of a push: what is shorter is judged as one


def deliveries_of(
    received: ReceivedPush, site_id: int, readings: Sequence[Reading], last: LastPush | None
) -> list[Delivery]:
    """Return a push as one delivery; the arrival of a long backlog as one of its own, which does not wait for it.

    Only where nothing of it was heard in time: elsewhere a claim may end with the next row, which must be beside it.
    """
    arrival = [reading for reading in readings if reading.reason == ARRIVAL]
    rest = [reading for reading in readings if reading.reason != ARRIVAL]
    timely_from = heard_since(last, received.received_at)
    is_backlog = bool(arrival) and len(rest) >= LONG and all(reading.slot < timely_from for reading in rest)
    parts = [(arrival, False), (rest, True)] if is_backlog else [(readings, False)]
    address, boot = received.address, received.push.boot
    return [
        Delivery.of_site(site_id, received.received_at, part, address=address, boot=boot, is_backlog=later)
        for part, later in parts
        if part
    ]
