"""What a device reports of its stream's breaks beside a push: parsed and placed in time. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, NamedTuple

from app.core.clock import floor_second, from_micros
from app.core.validation import as_text
from app.push.value_parsers import MAX_UPTIME_S, RejectedValue, missing, not_a_number, parse_seq
from app.streams.break_bounds import Break, ReportedBreak, SeenBy

MAX_BREAKS = 100  # of one push
MAX_AGE = timedelta(days=7)
ON_ITS_WAY = timedelta(seconds=1)  # of the push by which moments are placed, where the device tells no epoch


class DeviceBreak(NamedTuple):
    """By the device's uptime. Last heard at `heard_s`; pings from `from_s` on unanswered, the last one at `lost_s`; at
    `to_s` it heard again."""

    seq: int
    heard_s: float
    from_s: float
    lost_s: float
    to_s: float


def parse_breaks(field: str, value: Any) -> list[DeviceBreak]:
    """Raises RejectedValue, whose field names the item, and rejects all of them: a later push may send them again."""
    if type(value) is not list:
        raise RejectedValue(field, "not_objects", given=as_text(value))
    if len(value) > MAX_BREAKS:
        raise RejectedValue(field, "out_of_range", given=f"{len(value)} items", max=MAX_BREAKS)
    return [_parse(f"{field}[{index}]", item) for index, item in enumerate(value)]


def place(
    site_id: int,
    boot: str,
    epoch_us: int,
    received_at: datetime,
    items: Sequence[DeviceBreak],
    *,
    is_exact: bool = False,
) -> list[ReportedBreak]:
    """Return those of the last days with their moments by our clock; of those that cannot be of one link, the first.

    `epoch_us`: when the boot's uptime was 0; `is_exact`: it is not too late by the time that the push was on its way.
    """
    early = timedelta() if is_exact else ON_ITS_WAY
    booted_at = from_micros(epoch_us)
    placed = [ReportedBreak(site_id, boot, item.seq, _bounds(item, booted_at, received_at, early)) for item in items]
    oldest, latest = received_at - MAX_AGE, received_at + ON_ITS_WAY
    placed.sort(key=lambda one: one.bounds.started_after)
    kept: list[ReportedBreak] = []
    for one in placed:
        is_in_time = oldest <= one.bounds.started_after and one.bounds.ended_after <= latest
        if is_in_time and not (kept and one.bounds.crowds(kept[-1].bounds)):
            kept.append(one)
    return kept


def _bounds(item: DeviceBreak, booted_at: datetime, received_at: datetime, early: timedelta) -> Break:
    def at(uptime_s: float) -> datetime:
        return booted_at + timedelta(seconds=uptime_s)

    return Break(
        started_after=floor_second(at(item.heard_s) - early),
        started_before=_ceil(at(item.from_s)),
        ended_after=floor_second(at(item.lost_s) - early),
        ended_before=_ceil(at(item.to_s)),
        seen_by=SeenBy.DEVICE,
        heard_at=received_at,
    )


def _parse(field: str, item: Any) -> DeviceBreak:
    if type(item) is not dict:
        raise RejectedValue(field, "not_objects", given=as_text(item))
    seq = parse_seq(f"{field}.seq", item.get("seq"))
    heard_s, from_s, lost_s, to_s = (_uptime(field, item, name) for name in ("heard_s", "from_s", "lost_s", "to_s"))
    if not heard_s <= from_s <= to_s or not heard_s <= lost_s <= to_s:
        raise RejectedValue(field, "not_in_order")
    return DeviceBreak(seq, heard_s, from_s, lost_s, to_s)


def _uptime(field: str, item: dict[str, Any], name: str) -> float:
    value = item.get(name)
    if value is None:
        raise missing(f"{field}.{name}")
    if type(value) is not int and type(value) is not float:
        raise not_a_number(f"{field}.{name}", value)
    if not 0 <= value <= MAX_UPTIME_S:
        raise RejectedValue(f"{field}.{name}", "out_of_range", given=as_text(value), max=MAX_UPTIME_S)
    return float(value)


def _ceil(at: datetime) -> datetime:
    return datetime.fromtimestamp(ceil(at.timestamp()), UTC)
