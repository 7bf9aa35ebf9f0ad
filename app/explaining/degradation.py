"""Finds the looks that made a site degraded. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.clock import to_slot
from app.explaining.judged_reading import JudgedReading
from app.judging.degraded import WINDOW_READINGS, DegradedThresholds, WindowMeasures, WindowReading, measure
from app.profiles import Profile


@dataclass(frozen=True, slots=True)
class DegradedBy:
    """What the window up to the look at `until` holds."""

    until: datetime
    measures: WindowMeasures


def degraded_by(readings: Sequence[JudgedReading], started_at: datetime, limits: Profile) -> DegradedBy | None:
    """Return the first window, ending no sooner than `started_at`, that is lossy or slow; None without one."""
    thresholds = DegradedThresholds(limits.loss_pct, limits.rtt_ms * 1000)
    window = [_window_reading(reading) for reading in readings]
    for end, reading in enumerate(readings, 1):
        measures = measure(window[max(0, end - WINDOW_READINGS) : end], thresholds)
        if reading.at >= started_at and (measures.is_lossy or measures.is_slow):
            return DegradedBy(reading.at, measures)
    return None


def _window_reading(reading: JudgedReading) -> WindowReading:
    observation = reading.observation
    return WindowReading(to_slot(observation.slot), observation.sent, observation.received, observation.rtt_us)
