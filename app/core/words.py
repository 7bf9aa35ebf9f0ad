"""Sentences that an answer gives in both languages at once: what a letter or a screen needs, whoever asked."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.core.i18n import MONTHS, translate, write_moment

LANGUAGES = ("id", "en")
DAYS = "{n} days"
UNITS = ((DAYS, 86_400), ("{n} h", 3_600), ("{n} min", 60), ("{n} s", 1))

Bilingual = dict[str, str]  # by language


class Words(BaseModel):
    """The same in both languages."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "Tercapai", "en": "Met"}]})

    id: str = Field(description="in Bahasa Indonesia", examples=["Tercapai"])
    en: str = Field(description="in English", examples=["Met"])


def in_words(template: str, **values: Any) -> Bilingual:
    """Return the template in both languages; a value that is bilingual itself appears in that language."""
    return {
        language: translate(
            template,
            {name: value[language] if isinstance(value, dict) else value for name, value in values.items()},
            language=language,
        )
        for language in LANGUAGES
    }


def joined(parts: Iterable[Bilingual], separator: str = " ") -> Bilingual:
    parts = list(parts)
    return {language: separator.join(part[language] for part in parts) for language in LANGUAGES}


def number_in_words(number: float | Decimal) -> Bilingual:
    """Return the number with up to three decimals, after a point or, in Bahasa Indonesia, a comma."""
    text = f"{number:.3f}".rstrip("0").rstrip(".")
    return {"id": text.replace(".", ","), "en": text}


def day_in_words(day: date) -> Bilingual:
    """Return the day, like `24 November 2026`."""
    return {language: f"{day.day} {MONTHS[language][day.month - 1]} {day.year}" for language in LANGUAGES}


def moment_in_words(moment: datetime) -> Bilingual:
    """Return the moment in WITA, like `24 November 2026 14:05:00 WITA`; in Bahasa Indonesia, with points."""
    return {language: write_moment(moment, language=language) for language in LANGUAGES}


def duration_in_words(seconds: int) -> Bilingual:
    """Return the duration to the second, like `2 h 5 min`; without the units of which there is none."""
    parts = []
    for unit, length in UNITS:
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(in_words("1 day") if (unit, count) == (DAYS, 1) else in_words(unit, n=count))
    return joined(parts or [in_words("{n} s", n=0)])
