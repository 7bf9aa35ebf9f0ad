"""The judge states of steady sites as columns: those that are up, with nothing pending. Pure.

Any other state is a row of `site_status` alone. Moments are microseconds since 1970 (UTC); a window's readings stand at
its right end.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import MICROSECOND, from_micros, to_micros
from app.judging.dated_profiles import DatedThresholds
from app.judging.degraded import WINDOW_READINGS, WindowReading
from app.judging.judge import JudgeState
from app.profiles import Technology
from app.registry.models import State

WINDOW = np.dtype([("slot", "i8"), ("sent", "i2"), ("received", "i2"), ("rtt_us", "i4")])  # as WindowReading
CARRY = np.dtype(
    [
        ("site_id", "i4"),
        ("version", "i8"),  # of the row of `site_status` that this follows
        ("technology", "i1"),  # index into TECHNOLOGIES
        ("address", "i8"),  # since when the site has its address, NO_ADDRESS if the state is of a former one
        ("configured_at", "i8"),
        ("addressed_at", "i8"),
        ("since", "i8"),
        ("commissioned_at", "i8"),
        ("evidence_at", "i8"),
        ("seen_at", "i8"),
        ("last_ok_at", "i8"),
        ("valid_s", "i4"),
        ("rtt_us", "i4"),  # the last one, as it is shown; 0 for none
        ("loss_pct", "f4"),  # NaN for none
        ("was_lost", "?"),  # an outage may have ended right before `since`
        ("length", "i1"),  # of the window
        ("window", WINDOW, WINDOW_READINGS),
    ]
)
THRESHOLDS = np.dtype([("started_at", "i8"), ("loss_pct", "f8"), ("rtt_us", "f8")])

TECHNOLOGIES = tuple(Technology)
TECHNOLOGY_CODES = {technology: code for code, technology in enumerate(TECHNOLOGIES)}
RECENTLY = timedelta(minutes=10)
NO_ADDRESS = np.iinfo(np.int64).max
EVER = np.iinfo(np.int64).min
MOMENTS = ("addressed_at", "since", "commissioned_at", "evidence_at", "seen_at", "last_ok_at")

Carry = NDArray[np.void]  # of CARRY
Mask = NDArray[np.bool_]
Thresholds = NDArray[np.void]  # of THRESHOLDS, by technology


def is_steady(state: JudgeState) -> bool:
    """Whether a state can be kept as columns."""
    return (
        state.state is State.UP
        and not (state.timeouts or state.pending_behind or state.pending_valid_s)
        and state.pending_at is None
        and None not in (state.commissioned_at, state.evidence_at, state.seen_at, state.last_ok_at)
    )


def record_of(state: JudgeState, row: Any, *, version: int, rtt_us: int | None, loss_pct: float | None) -> Carry:
    """Return the one record of a steady state; `row`: of the site, with the configuration in force."""
    values = {name: getattr(state, name) for name in (*MOMENTS, "valid_s")}
    shown = {"version": version, "rtt_us": rtt_us, "loss_pct": loss_pct}
    site = {name: getattr(row, name) for name in ("site_id", "technology", "configured_at", "setup_at")}
    carry = records_of([SimpleNamespace(**values, **shown, **site)])
    readings = np.array(state.window, np.int64).reshape(-1, len(WindowReading._fields))
    fill_windows(carry, np.zeros(len(readings), np.int64), readings)
    return carry


def records_of(rows: Sequence[Any]) -> Carry:
    """Return the records of rows of `site_status` with the configuration in force, without their windows."""
    carry = np.zeros(len(rows), CARRY)
    for name in ("site_id", "version", "valid_s"):
        carry[name] = [getattr(row, name) for row in rows]
    for name in MOMENTS:
        carry[name] = [to_micros(getattr(row, name)) for row in rows]
    carry["technology"] = [TECHNOLOGY_CODES[row.technology] for row in rows]
    carry["configured_at"] = [to_micros(row.setup_at) for row in rows]
    address = np.array([to_micros(row.configured_at) for row in rows])
    carry["address"] = np.where(address == carry["addressed_at"], address, NO_ADDRESS)
    carry["rtt_us"] = [row.rtt_us or 0 for row in rows]
    carry["loss_pct"] = [np.nan if row.loss_pct is None else row.loss_pct for row in rows]
    return carry


def fill_windows(carry: Carry, places: NDArray[np.int64], readings: NDArray[np.int64]) -> None:
    """Set the windows to the last of these readings, rows of a WindowReading; `places`: of their sites in `carry`."""
    order = np.lexsort((readings[:, 0], places))
    places, readings = places[order], readings[order]
    counts = np.bincount(places, minlength=len(carry))
    nth = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = WINDOW_READINGS - counts[places] + nth
    kept = column >= 0
    for n, name in enumerate(WindowReading._fields):
        carry["window"][name][places[kept], column[kept]] = readings[kept, n]
    carry["length"] = np.minimum(counts, WINDOW_READINGS)


def lost_lately(carry: Carry) -> Mask:
    """Whether an outage ended so lately that its incident may depend on what becomes known of its parent."""
    lately: Mask = carry["was_lost"] & (carry["evidence_at"] - RECENTLY // MICROSECOND <= carry["since"])
    return lately


def state_of(record: Any) -> JudgeState:
    """Return the judge state of one record."""
    moments: dict[str, Any] = {name: from_micros(int(record[name])) for name in MOMENTS}
    window = record["window"][WINDOW_READINGS - int(record["length"]) :]
    readings = tuple(map(WindowReading._make, window.tolist()))
    return JudgeState(State.UP, None, valid_s=int(record["valid_s"]), window=readings, **moments)


def shown_of(record: Any) -> Mapping[str, float | None]:
    """Return the last round trip and loss as `site_status` shows them."""
    loss_pct = float(record["loss_pct"])
    return {"rtt_us": int(record["rtt_us"]) or None, "loss_pct": None if np.isnan(loss_pct) else loss_pct}


def newest_thresholds(dated: DatedThresholds) -> Thresholds:
    """Return the thresholds in force by technology, with since when; the first ones count for all before them too."""
    thresholds = np.zeros(len(TECHNOLOGIES), THRESHOLDS)
    for code, technology in enumerate(TECHNOLOGIES):
        versions = dated.dated[technology]
        started_at, limits = versions[-1]
        thresholds[code] = (to_micros(started_at) if versions[1:] else EVER, limits.loss_pct, limits.rtt_us)
    return thresholds
