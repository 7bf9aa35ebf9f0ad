"""What is known of a device's previous push, and which rows of the next one are therefore heard in time. Pure."""

from datetime import datetime, timedelta
from typing import NamedTuple

from app.core.clock import to_slot
from app.core.freshness import overdue_after
from app.push.near_rows import NearState


class LastPush(NamedTuple):
    boot: str | None
    heard_at: datetime
    told_s: int  # the interval that its device was told
    address: str | None
    address_at: datetime | None  # when that address was last stored
    near: NearState | None = None  # what its newest look saw near the device


def heard_since(last: LastPush | None, received_at: datetime) -> int:
    """Return the second since which readings of a push were heard in time; those before it are claims.

    Where the push came before the next one was overdue, that is the time since the last push, else its receipt alone.
    """
    received = to_slot(received_at)
    if last is None or received_at - last.heard_at > overdue_after(timedelta(seconds=last.told_s)):
        return received
    return min(to_slot(last.heard_at) + 1, received)
