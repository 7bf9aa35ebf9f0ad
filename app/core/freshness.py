"""How long evidence supports a site's state, and how late a push may come: what is stale is never shown as fresh.

A reading is valid for `valid_s` seconds, its interval. The state it supports holds for HOLD_INTERVALS of them; if no
other reading has come by then, the state is unknown from one interval after the reading's slot (`lapses_at`).
"""

from datetime import datetime, timedelta

HOLD_INTERVALS = 2.5
LATE_SHARE = 0.4  # of an interval: devices keep their own pace, so a push this much after it was due is still in time
SETTLES_WITHIN_S = 3 * 3600  # longer than judgement reaches back: ten readings of the longest interval in use, and rest
CLOCK_TOLERANCE = timedelta(seconds=5)  # evidence further in the future comes from a clock that was wrong


def hold_s(valid_s: int) -> int:
    return int(HOLD_INTERVALS * valid_s)


def hold_sql(valid_s: str) -> str:
    """`hold_s` as an SQL interval; `valid_s` names the column."""
    return f"make_interval(secs => floor({HOLD_INTERVALS} * {valid_s}))"


def holds_until(evidence_at: datetime, valid_s: int) -> datetime:
    return evidence_at + timedelta(seconds=hold_s(valid_s))


def holds(evidence_at: datetime, valid_s: int, at: datetime) -> bool:
    """Whether evidence still supports its site's state at `at`."""
    return evidence_at - CLOCK_TOLERANCE <= at <= holds_until(evidence_at, valid_s)


def lapses_at(evidence_at: datetime, valid_s: int) -> datetime:
    return evidence_at + timedelta(seconds=valid_s)


def overdue_after(interval: timedelta) -> timedelta:
    """How long after the last push the next one counts as missed: its interval, and the tolerated delay."""
    return interval + late_by(interval)


def overdue_after_s(interval_s: int) -> int:
    """`overdue_after` in whole seconds."""
    return int((1 + LATE_SHARE) * interval_s)


def overdue_after_sql(interval_s: str) -> str:
    """`overdue_after` as an SQL interval; `interval_s` names the column of seconds."""
    return f"make_interval(secs => (1 + {LATE_SHARE}) * {interval_s})"


def late_by(interval: timedelta) -> timedelta:
    """How long after its due time a push is still in time."""
    return interval * LATE_SHARE
