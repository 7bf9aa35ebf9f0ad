"""What a link's terminal, its router or its provider's system says of the link at one moment.

Each reader returns `Telemetry`. It keeps figures of the link alone: no position, no address, no name of a person.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

MAX_ALERTS = 20
MAX_WORD = 60  # characters of an alert or a cause


class LinkState(StrEnum):
    """What it says of its link: `up`, `down`, or `unknown`: it answered, and says neither."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Telemetry:
    """`device`: its name at the provider; `cause`: why it is down, in the device's own words."""

    device: str
    at: datetime
    state: LinkState
    cause: str | None = None
    alerts: tuple[str, ...] = ()
    drop_rate: float | None = None  # 0 to 1, of the device's own pings to its provider
    latency_ms: float | None = None
    obstruction: float | None = None  # 0 to 1, of the sky or of the time
    uptime_s: int | None = None
    octets_in: int | None = None  # counters since the device's start
    octets_out: int | None = None
    speed_mbps: int | None = None  # of the interface

    def figures(self) -> dict[str, Any]:
        """Return the figures that it has, without what says who, when and how."""
        others = {"device", "at", "state", "alerts"}
        return {name: value for name, value in asdict(self).items() if name not in others and value is not None}


def fraction(value: Any) -> float | None:
    """Return a number from 0 to 1, None for anything else."""
    if type(value) not in {int, float} or not 0 <= value <= 1:  # NaN is no number from 0 to 1
        return None
    return round(float(value), 4)


def whole(value: Any, most: int = 2**63 - 1) -> int | None:
    if type(value) not in {int, float} or not 0 <= value <= most:
        return None
    return int(value)


def milliseconds(value: Any) -> float | None:
    if type(value) not in {int, float} or not 0 < value <= 60_000:
        return None
    return round(float(value), 1)


def word(value: Any) -> str:
    """Return what may be shown of a name that a device or provider gives: lower case, ASCII, short."""
    text = "".join(
        each if each.isascii() and (each.isalnum() or each in "_-") else "_" for each in str(value)[:MAX_WORD]
    )
    return text.lower()


def named(codes: Any, names: Mapping[str, Any]) -> tuple[str, ...]:
    """Return alerts by their names; a code without one stays a code."""
    listed = codes if isinstance(codes, list) else []
    return tuple(dict.fromkeys(word(names.get(str(code), code)) for code in listed[:MAX_ALERTS]))
