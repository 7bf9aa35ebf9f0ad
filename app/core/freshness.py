"""How long a look at a site speaks for it: the rule that keeps stale from being shown as fresh.

A reading is valid for `valid_s` (its interval). The state it supports holds until 2.5 intervals after it; once that has
passed without another, nothing is known from one interval after it.
"""

from datetime import datetime, timedelta

HOLD = 2.5
LATE = 0.4  # of an interval: a device keeps its own pace, and what comes within so much of when it was due is in time
OTHERS = 2  # so many sites must have been heard about then for one's silence to say anything
AHEAD = timedelta(seconds=5)  # evidence from further in the future is of a clock that was wrong


def holds_until(evidence_at: datetime, valid_s: int) -> datetime:
    return evidence_at + timedelta(seconds=int(HOLD * valid_s))


def holds(evidence_at: datetime, valid_s: int, at: datetime) -> bool:
    """Whether evidence still speaks for its site."""
    return evidence_at - AHEAD <= at <= holds_until(evidence_at, valid_s)


def lapses_at(evidence_at: datetime, valid_s: int) -> datetime:
    return evidence_at + timedelta(seconds=valid_s)
