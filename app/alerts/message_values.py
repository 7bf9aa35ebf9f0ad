"""How messages write values. What users typed stays text: in one line, without links and marks of its own."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from app.core.clock import WITA
from app.core.i18n import MONTHS
from app.pages import formats

LONGEST_NAME = 80  # characters
LONGEST_BRIEF_NAME = 32
ABBREVIATED = {"Kabupaten ": "Kab. "}
UNSEEN = {"Cc", "Cf", "Co", "Cs", "Cn"}  # categories of Unicode: what no name needs, such as marks of direction
ACTIVE = re.compile(r"(?<=\w)\.(?=[^\W\d])|:(?=//)|[@\uff20<](?=\S)|\](?=\()")  # links and calls break after these


@dataclass(frozen=True, slots=True)
class Links:
    """Where a message leads; None: the service has no public address."""

    details: str | None = None
    acknowledge: str | None = None


NO_LINKS = Links()


def one_line(text: str, longest: int) -> str:
    """Return the text on one line, shortened to whole words, where its first is not too long itself."""
    words = "".join(" " if letter.isspace() else letter for letter in text if letter.isspace() or _is_seen(letter))
    line = " ".join(words.split())
    return line if len(line) <= longest else line[: longest + 1].rpartition(" ")[0] or line[:longest]


def name(typed: str | None, longest: int = LONGEST_NAME) -> str:
    """Return what a user typed, so that no chat or mailbox makes a link or a call of it.

    `evil.example/x` becomes `evil. example/x`, `[x](y)` `[x] (y)`, `@everyone` `@ everyone`, `<!here>` `< !here>`.
    """
    text = one_line(typed or "", 2 * longest)  # first, as what it leaves out may stand between
    return one_line(ACTIVE.sub(lambda found: f"{found[0]} ", text), longest)


def region_name(typed: str, *, brief: bool) -> str:
    """Return `Kab. Kutai Kartanegara`, in brief without `Kab.`: the villages of a city say so."""
    for whole, short in ABBREVIATED.items():
        if typed.startswith(whole):
            return name(
                ("" if brief else short) + typed.removeprefix(whole), LONGEST_BRIEF_NAME if brief else LONGEST_NAME
            )
    return name(typed, LONGEST_BRIEF_NAME if brief else LONGEST_NAME)


def short_moment(moment: datetime, language: str) -> str:
    """Return `28 Nov 14.05 WITA`."""
    local = moment.astimezone(WITA)
    return f"{local.day} {MONTHS[language][local.month - 1][:3]} {formats.clock(moment, language)} WITA"


def period(start: datetime, end: datetime, language: str) -> str:
    """Return `28 Nov 14.05–14.35 WITA`, or with both days where they differ."""
    first, last = short_moment(start, language).removesuffix(" WITA"), short_moment(end, language)
    is_one_day = start.astimezone(WITA).date() == end.astimezone(WITA).date()
    return f"{first}–{formats.clock(end, language)} WITA" if is_one_day else f"{first} – {last}"


def fact(key: str, value: Any, language: str) -> str:
    """Return a fact of a condition, or a figure of a digest, by what its name ends in; "" for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _fact_text(key, value, language)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return name(str(value))
    if key.endswith("_pct"):
        return formats.percent(value, language, 3)
    if key.endswith("_s"):
        return formats.duration(value, language)
    return formats.number(value, language, 0 if float(value).is_integer() else 1)


def _fact_text(key: str, value: str, language: str) -> str:
    try:
        if key.endswith("_at"):
            return short_moment(datetime.fromisoformat(value), language)
        if key.endswith("_on"):
            return formats.day(date.fromisoformat(value), language)
        if key == "month":
            return formats.month(value, language)
    except (ValueError, OverflowError):
        pass
    return name(value)


def _is_seen(letter: str) -> bool:
    return unicodedata.category(letter) not in UNSEEN
