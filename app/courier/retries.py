"""What an answer means for a notification and its channel. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.alerts.models import NotificationState
from app.courier.contract import Answer, DeliveryOutcome

FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 900.0
LONGEST_RETRY_AFTER_S = 3600.0
JITTER = 0.2
BREAKS_AFTER = 5  # failures in a row: then the channel's fallback gets notifications at once
HANDED_OVER_AFTER = 3  # failed attempts of a notification
HANDED_OVER_AFTER_S = 120
GIVEN_UP_AFTER = timedelta(hours=24)
TEST_GIVEN_UP_AFTER = timedelta(hours=1)
SUSPECT_AFTER = 8  # failed attempts: perhaps it is this notification that the receiver cannot take
STEPS_ASIDE_FOR = timedelta(minutes=5)


STATES = {
    DeliveryOutcome.ACCEPTED: NotificationState.ACCEPTED,
    DeliveryOutcome.REFUSED: NotificationState.BOUNCED,
    DeliveryOutcome.FAILED: NotificationState.QUEUED,
}


@dataclass(frozen=True, slots=True)
class Settlement:
    """`failures` and `retry_at` are the channel's, `next_attempt_at` the notification's own."""

    state: NotificationState
    failures: int
    retry_at: datetime | None
    next_attempt_at: datetime


def settle(answer: Answer, *, failures: int, attempts: int, now: datetime, jitter: float) -> Settlement:
    """Return what follows an attempt; `attempts` counts it, `failures` those of the channel before it.

    One that failed often steps aside while others are accepted, so that it holds them up no longer.
    """
    if answer.outcome is DeliveryOutcome.ACCEPTED:
        return Settlement(NotificationState.ACCEPTED, 0, None, now)
    if answer.outcome is DeliveryOutcome.REFUSED:
        return Settlement(NotificationState.BOUNCED, failures + 1, None, now)
    steps_aside = attempts >= SUSPECT_AFTER and failures == 0
    wait = timedelta(seconds=wait_s(failures + 1, answer.retry_after_s, jitter))
    return Settlement(NotificationState.QUEUED, failures + 1, now + wait, now + STEPS_ASIDE_FOR if steps_aside else now)


def wait_s(failures: int, retry_after_s: float | None, jitter: float) -> float:
    """Return the seconds until the channel is tried again; `jitter` is drawn from 0 to 1."""
    doubled = FIRST_WAIT_S * 2.0 ** min(failures - 1, 16)
    own = min(doubled, LONGEST_WAIT_S) * (1 + JITTER * (2 * jitter - 1))
    return max(own, min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S))


def tries_second(failures: int) -> bool:
    """Whether the second oldest is tried: the receiver may take that one, and not the oldest."""
    return failures >= SUSPECT_AFTER and failures % 4 == 3
