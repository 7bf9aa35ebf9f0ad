"""What a device's look at gateway, terminal and carrier speaks for, while no anchor beyond them answers. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from app.measurements.near import Near, NearAccount
from app.registry.models import Cause


class NearCause(NamedTuple):
    started_at: datetime
    cause: Cause


def cause_of(near: Near, before: Near) -> Cause | None:
    """Return unplugged, device or link, or None if the look does not tell them apart.

    What did not answer in the last answered look either (`before`) never does, and its silence tells nothing.
    """
    if near.carrier is False and (near.lan or near.terminal):
        return None  # one contradicts the other
    if near.carrier is False and before.carrier:
        return Cause.UNPLUGGED
    if near.terminal:
        return Cause.LINK  # the way to it leads through the gateway
    if near.lan is False and before.lan:
        return Cause.DEVICE
    if near.terminal is False and before.terminal:
        return Cause.DEVICE
    return Cause.LINK if near.lan else None


def causes_of(account: NearAccount) -> tuple[NearCause, ...]:
    """Return what the stretches speak for, in order of time, those in a row for the same cause as one."""
    return tuple(_causes(account))


def _causes(account: NearAccount) -> Iterator[NearCause]:
    last: Cause | None = None
    for stretch in account.stretches:
        cause = cause_of(stretch.near, account.before)
        if cause is not None and cause is not last:
            yield NearCause(stretch.started_at, cause)
            last = cause
