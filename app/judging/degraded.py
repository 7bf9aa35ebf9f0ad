"""Where `degraded` begins and ends in a window of a site's last readings. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from statistics import median_high
from typing import NamedTuple

from app.core.clock import from_slot

WINDOW_READINGS = 10  # readings over which loss is pooled
PARTIAL = 2**31 - 1  # in place of a round trip
MEDIAN_OF = 3  # answered readings whose median round trip is judged


@dataclass(frozen=True, slots=True)
class DegradedThresholds:
    """Where `degraded` begins, for one technology.

    `lost_from`: how many vantages must lose a site for it to be out; 0: all that can see. `interval_s`: between looks.
    """

    loss_pct: float
    rtt_us: int
    lost_from: int = 0
    interval_s: int = 900


class WindowReading(NamedTuple):
    """One reading of the window that `degraded` is judged by, as it is stored: its slot in seconds since 1970.

    `rtt_us` is its median, 0 if nothing answered. One that a vantage lost while others had an answer is `is_partial`:
    that it was so counts alone, and no packet of it.
    """

    slot: int
    sent: int
    received: int
    rtt_us: int

    @property
    def is_partial(self) -> bool:
        return self.rtt_us == PARTIAL


@dataclass(frozen=True, slots=True)
class WindowMeasures:
    """What a window holds against its thresholds. `median_us`: of the last answered readings, None if too few."""

    sent: int
    received: int
    median_us: int | None
    is_lossy: bool
    is_slow: bool


def measure(window: Sequence[WindowReading], thresholds: DegradedThresholds) -> WindowMeasures:
    """Return what decides whether a window of at most WINDOW_READINGS is degraded."""
    answered = _last_answered(window)
    return WindowMeasures(
        sum(reading.sent for reading in window),
        sum(reading.received for reading in window),
        median_high(reading.rtt_us for reading in answered) if len(answered) == MEDIAN_OF else None,
        len(window) == WINDOW_READINGS and _is_lossy(window, thresholds.loss_pct),
        _is_slow(window, thresholds),
    )


def first_degraded(
    window: Sequence[WindowReading], thresholds: DegradedThresholds, *, after: datetime
) -> datetime | None:
    """Return the slot of the first reading later than `after` that lost packets or was slow.

    None unless the window as a whole is lossy or slow, or a vantage loses the site now.
    """
    slots: list[int] = []
    if window and window[-1].is_partial:
        slots += [reading.slot for reading in takewhile(lambda reading: reading.is_partial, reversed(window))]
    if all(_is_clean(reading, thresholds) for reading in window):
        return None
    if len(window) == WINDOW_READINGS and _is_lossy(window, thresholds.loss_pct):
        slots += [reading.slot for reading in window if reading.received < reading.sent]
    if _is_slow(window, thresholds):
        slots += [reading.slot for reading in _last_answered(window) if reading.rtt_us > thresholds.rtt_us]
    return min((moment for moment in map(from_slot, slots) if moment > after), default=None)


def recovered_window(window: Sequence[WindowReading], thresholds: DegradedThresholds) -> tuple[WindowReading, ...]:
    """Return the clean readings at the window's end once loss is below half its threshold and round trips are normal.

    () until then. Once a vantage reaches the site again that lost it, what came before counts no more.
    """
    window = _after_partial(window)
    if _is_lossy(window, thresholds.loss_pct / 2) or _is_slow(window, thresholds):
        return ()
    return tuple(takewhile(lambda reading: _is_clean(reading, thresholds), reversed(window)))[::-1]


def _after_partial(window: Sequence[WindowReading]) -> Sequence[WindowReading]:
    """Return the readings after the last partial one, without the first if the site came back amid its packets."""
    partial = [place for place, reading in enumerate(window) if reading.is_partial]
    if not partial:
        return window
    after = window[partial[-1] + 1 :]
    return after[1:] if after and after[0].received < after[0].sent else after


def lost_in_part(window: Sequence[WindowReading], since: int) -> tuple[WindowReading, ...]:
    """Return the window with its readings since that slot as partial."""
    return tuple(reading if reading.slot < since else WindowReading(reading.slot, 0, 0, PARTIAL) for reading in window)


def _is_clean(reading: WindowReading, thresholds: DegradedThresholds) -> bool:
    return reading.received == reading.sent and reading.rtt_us <= thresholds.rtt_us


def _is_lossy(window: Sequence[WindowReading], loss_pct: float) -> bool:
    sent, received = sum(reading.sent for reading in window), sum(reading.received for reading in window)
    return sent > received and 100 * (sent - received) >= loss_pct * sent


def _is_slow(window: Sequence[WindowReading], thresholds: DegradedThresholds) -> bool:
    answered = _last_answered(window)
    return len(answered) == MEDIAN_OF and median_high(reading.rtt_us for reading in answered) > thresholds.rtt_us


def _last_answered(window: Sequence[WindowReading]) -> list[WindowReading]:
    return [reading for reading in window if reading.received][-MEDIAN_OF:]


def last_answer(window: Sequence[WindowReading], before: datetime) -> datetime | None:
    answers = (from_slot(reading.slot) for reading in window if reading.received)
    return max((slot for slot in answers if slot < before), default=None)
