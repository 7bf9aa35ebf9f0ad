"""What charts need to speak a language: the formats and words of pages."""

from datetime import date
from functools import cache, partial

from app.charts.words import ChartWords
from app.core.i18n import MONTHS
from app.pages import formats
from app.pages.texts import text
from app.pages.words import word


@cache
def chart_words(language: str) -> ChartWords:
    return ChartWords(
        text=partial(text, language=language),
        state=lambda state: word("state", state, language),
        moment=lambda moment: formats.moment(moment, language),
        clock=lambda moment: formats.clock(moment, language),
        day=lambda day: formats.day(day, language),
        short_day=lambda day: f"{day.day} {_short_month(day, language)}",
        short_month=lambda day: f"{_short_month(day, language)} {day:%y}",
        duration=lambda seconds: formats.duration(seconds, language),
        percent=lambda value: formats.percent(value, language),
        number=lambda value: short_number(value, language),
    )


def short_number(value: float | None, language: str) -> str:
    """Return about three digits: `612`, `17,4`, `0,25`, `20`."""
    if value is None:
        return formats.NOTHING
    places = 0 if value >= 100 else 1 if value >= 10 else 2
    places = next(fewer for fewer in range(places + 1) if round(value, fewer) == round(value, places))
    return formats.number(value, language, places)


def _short_month(day: date, language: str) -> str:
    return MONTHS[language][day.month - 1][:3]
