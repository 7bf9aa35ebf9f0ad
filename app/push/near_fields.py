"""Parses what a device saw near itself: `lan`, `terminal` and `carrier` of a row, `rx_bps` and `tx_bps` of a push.

All are optional and its own account. One that cannot be used is left out and reported; it costs no reading.
"""

from collections.abc import Callable
from typing import Any

from app.core.errors import Fault
from app.core.validation import as_text
from app.measurements.near import Near
from app.push import rejections

MAX_BPS = 10**12
RATES = ("rx_bps", "tx_bps")


def parse_near(get: Callable[[str], Any]) -> tuple[Near | None, list[Fault]]:
    """Return the fields of a row, or None if it has none of them, and the faults of those that cannot be used."""
    faults: list[Fault] = []
    values: list[bool | None] = []
    for name in Near._fields:
        value = get(name)
        if value is None:
            values.append(None)
        elif value in (0, 1) and type(value) in (int, bool):
            values.append(bool(value))
        else:
            values.append(None)
            faults.append(rejections.fault(name, "not_a_flag", given=as_text(value)))
    near = Near(*values)
    return (None if near == Near() else near), faults


def parse_rates(body: dict[str, Any]) -> tuple[dict[str, int], list[Fault]]:
    """Return the rates beside a batch by their names, and the faults of those that cannot be used."""
    rates: dict[str, int] = {}
    faults: list[Fault] = []
    for name in RATES:
        value = body.get(name)
        if value is None:
            continue
        if type(value) is int and 0 <= value <= MAX_BPS:
            rates[name] = value
        else:
            code = "out_of_range" if type(value) is int else "not_whole"
            faults.append(rejections.fault(name, code, given=as_text(value), max=MAX_BPS))
    return rates, faults
