"""What a reader of the month's list has to know beside its figures, in both languages. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from app.core.clock import WITA, midnight, month_of
from app.core.periods import Period, first_of_next_month
from app.core.words import Bilingual, in_words, moment_in_words
from app.judging.invalidation import CLOSES_AFTER_DAYS


def notes(period: Period, settled: datetime, now: datetime, *, corrected: int = 0) -> Iterator[Bilingual]:
    """Yield why figures of the period may still change, or differ from those of a berita acara."""
    if _is_part_of_running_month(period, now):
        yield in_words(
            "The month is not over: figures reach up to {until}, and may still change.",
            until=moment_in_words(period.end),
        )
    if period.month is None and period.start < midnight(month_of(now)):
        yield in_words("These are the figures as known now: only a whole month is told as it was closed.")
    closes = period.end + timedelta(days=CLOSES_AFTER_DAYS)
    if period.month is not None and period.end <= now < closes:
        yield in_words(
            "The month closes on {closes}: until then causes, maintenance and contracts may change its figures.",
            closes=moment_in_words(closes),
        )
    if corrected:
        yield in_words(
            "{count} rows are corrected since. Totals and counts are those of the month as it was closed; corrections "
            "stand at their sites, and a berita "
            "acara counts by the corrections: the two may differ.",
            count=corrected,
        )
    if settled < period.end:
        yield in_words("From {settled} on the figures are still being judged.", settled=moment_in_words(settled))


def _is_part_of_running_month(period: Period, now: datetime) -> bool:
    month = period.end.astimezone(WITA).date().replace(day=1)
    return midnight(month) < period.end and now < midnight(first_of_next_month(month))
