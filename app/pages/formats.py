"""Numbers and times as pages write them: in Bahasa Indonesia with a decimal comma, points, and WITA."""

from datetime import date, datetime
from decimal import ROUND_DOWN, Decimal

from app.core.clock import WITA, utc_now
from app.core.i18n import MONTHS, WEEKDAYS, translate, write_moment
from app.core.words import duration_in_words

NOTHING = "–"
UNITS = ((86_400, "{n} days ago"), (3_600, "{n} h ago"), (60, "{n} min ago"))  # the largest of which there are two


def as_moment(value: datetime | str) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def number(value: float | None, language: str, places: int = 0) -> str:
    """Return `12.345,6` (English `12,345.6`); a dash for None."""
    if value is None:
        return NOTHING
    text = f"{value:,.{places}f}"
    return text.translate(str.maketrans(",.", ".,")) if language == "id" else text


def percent(value: float | None, language: str, places: int = 2) -> str:
    """Return `99,87%`, cut and never rounded up: 99,999 is not all."""
    if value is None:
        return NOTHING
    cut = Decimal(str(value)).quantize(Decimal(1).scaleb(-places), ROUND_DOWN)
    text = f"{cut:f}".rstrip("0").rstrip(".") if places else f"{cut:f}"
    return f"{text.replace('.', ',') if language == 'id' else text}%"


def moment(value: datetime | str | None, language: str, *, seconds: bool = False) -> str:
    """Return `24 November 2026 14.05 WITA`."""
    return NOTHING if value is None else write_moment(as_moment(value), language=language, seconds=seconds)


def clock(value: datetime | str | None, language: str, *, seconds: bool = False) -> str:
    """Return `14.05`."""
    if value is None:
        return NOTHING
    local, mark = as_moment(value).astimezone(WITA), "." if language == "id" else ":"
    return local.strftime(mark.join(["%H", "%M", "%S"] if seconds else ["%H", "%M"]))


def time_of_day(value: str, language: str) -> str:
    """Return `22.00` of the API's `22:00`."""
    return value.replace(":", ".") if language == "id" else value


def day(value: date | datetime | str | None, language: str, *, weekday: bool = False) -> str:
    """Return `24 November 2026`, after `Selasa, ` with `weekday`; of a moment its day in WITA."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        value = date.fromisoformat(value) if len(value) == 10 else as_moment(value)
    local = value.astimezone(WITA).date() if isinstance(value, datetime) else value
    text = f"{local.day} {MONTHS[language][local.month - 1]} {local.year}"
    return f"{WEEKDAYS[language][local.weekday()]}, {text}" if weekday else text


def month(value: date | datetime | str, language: str) -> str:
    """Return `November 2026`."""
    if isinstance(value, str):
        value = date.fromisoformat(f"{value}-01") if len(value) == 7 else as_moment(value)
    local = value.astimezone(WITA).date() if isinstance(value, datetime) else value
    return f"{MONTHS[language][local.month - 1]} {local.year}"


def duration(seconds: float | None, language: str) -> str:
    """Return the two largest units, like `2 jam 5 menit`; a dash for None."""
    if seconds is None:
        return NOTHING
    rest, unit = int(seconds), 86_400 if seconds >= 86_400 else 3_600 if seconds >= 3_600 else 60
    small = {86_400: 3_600, 3_600: 60, 60: 1}[unit]
    return duration_in_words(rest - rest % small)[language]


def ago(value: datetime | str | None, language: str) -> str:
    """Return `3 menit lalu`; a dash for None."""
    if value is None:
        return NOTHING
    seconds = max(0, int((utc_now() - as_moment(value)).total_seconds()))
    for unit_s, template in UNITS:
        if seconds >= 2 * unit_s:
            return translate(template, {"n": seconds // unit_s}, language=language)
    return translate("{n} s ago", {"n": seconds}, language=language)
