"""Parse a cell into a value of the API: decimal commas, degrees and minutes, codes without dots, Indonesian words.

Each parser takes a cell that is not blank and raises FaultError. The schemas validate the value later.
"""

import difflib
import re
from collections.abc import Callable
from datetime import date, datetime, time
from enum import Enum
from functools import lru_cache
from typing import Any

from app.core.errors import Fault
from app.core.tabular import unguard_formulas
from app.core.validation import MESSAGES, FaultError, as_text
from app.importing import dates, numbers
from app.importing.cell_words import BLANK, NO, NO_HOST, YES, expected, listed
from app.importing.positions import degrees
from app.registry import regions, vantage_lists
from app.registry.models import Venue
from app.registry.vocabulary import CHOICES, MAX_NAME, choices, fold


class CellError(Enum):
    """A workbook cell without a usable value."""

    NO_RESULT = "a formula without a stored result"
    EXCEL_ERROR = "one of Excel's errors"


Cell = str | int | float | bool | datetime | date | time | CellError | None

LAST_COLUMN = 100  # columns further right are ignored
MAX_TEXT = 32_767  # characters of a cell, as in Excel
MAX_EXACT = 10**15  # Excel keeps 15 digits of a number
MAX_VENUE_WORDS = 3  # of the longest known venue
CODE = re.compile(r"(\d{2})[. -]?(\d{2})[. -]?(\d{2})[. -]?(\d{4})(-\d{2,})?")
FREE_TEXT = frozenset({"notes", "public_hours", "power_hours"})  # a date or a time is plausible here


def read(field: str, cell: Cell, *, south: bool = False, decimal_mark: str | None = None) -> Any:
    """Return the value, or None for a blank cell. Raises FaultError, also for a text longer than a cell holds.

    `south`: the header marks all latitudes as southern. `decimal_mark`: the file's own, where known.
    """
    if isinstance(cell, str) and len(cell) > MAX_TEXT:
        raise FaultError(Fault(field, "string_too_long", MESSAGES["string_too_long"], values={"max_length": MAX_TEXT}))
    if field in dates.FIELDS and isinstance(cell, datetime | date):
        return cell.date() if isinstance(cell, datetime) else cell
    if isinstance(cell, bool):
        cell = "ya" if cell else "tidak"
    text = "" if cell is None else text_of(field, cell)
    if field == "power_source" and fold(text) in choices(field):  # "tidak ada" is a value here, elsewhere a blank
        return choices(field)[fold(text)]
    if len(text) < MAX_NAME and fold(text) in (NO_HOST if field == "host" else BLANK):
        return None
    if field in {"latitude", "longitude"}:
        southern = south and field == "latitude"
        if isinstance(cell, str):
            return degrees(field, text, south=southern)
        return -abs(float(text)) if southern else cell
    if field in {"bandwidth_down_mbps", "bandwidth_up_mbps"}:
        return numbers.mbps(field, text, decimal_mark) if isinstance(cell, str) else cell
    return PARSERS.get(field, _text)(field, text, cell)


def text_of(field: str, cell: Cell) -> str:
    """Return the text as Excel shows it. Raises FaultError where the original value is lost."""
    if isinstance(cell, CellError):
        raise FaultError(_cell_error(field, cell))
    if isinstance(cell, datetime | date | time):
        return _date_text(field, cell)
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if isinstance(cell, int) and abs(cell) >= MAX_EXACT:
        raise FaultError(_rounded(field, str(cell)))
    if isinstance(cell, float):
        cell = f"{cell:.10f}".rstrip("0")
    text = re.sub(r"[\0\u200b\ufeff]", "", str(cell)).replace("\u00a0", " ").strip()
    return unguard_formulas(text)


def _cell_error(field: str, error: CellError) -> Fault:
    if error is CellError.EXCEL_ERROR:
        return Fault(field, "excel_error", "The cell contains an Excel error", "Fix the formula, or type the value")
    return Fault(
        field,
        "uncomputed",
        "The cell holds a formula without a stored result",
        "Open the file in Excel and save it again, or type the value",
    )


def _rounded(field: str, digits: str) -> Fault:
    return Fault(
        field,
        "rounded",
        "{given}: Excel rounded this number and lost its last digits",
        "Format the column as text and type it again",
        values={"given": as_text(digits)},
    )


def _date_text(field: str, cell: datetime | date | time) -> str:
    if field not in FREE_TEXT:
        raise FaultError(
            Fault(
                field,
                "became_date",
                "{given}: Excel turned this value into a date",
                "Format the column as text and type it again",
                values={"given": cell.isoformat()},
            )
        )
    if isinstance(cell, time):
        return f"{cell:%H.%M}"
    return f"{cell:%d/%m/%Y}" if not isinstance(cell, datetime) or not cell.hour else f"{cell:%d/%m/%Y %H.%M}"


def _text(field: str, text: str, cell: Cell) -> str:
    return text


def _number_text(field: str, text: str, cell: Cell) -> str:
    """For identifiers made of digits: a spreadsheet saved as CSV writes long ones as 4,7E+12."""
    if re.fullmatch(r"\d([.,]\d+)?E\+?\d+", text, re.IGNORECASE):
        raise FaultError(_rounded(field, text))
    return text


def _phone(field: str, text: str, cell: Cell) -> str:
    """Restore the leading zero that Excel drops from a number, also where the file was saved as CSV since."""
    text = _number_text(field, text, cell)
    return f"0{text}" if re.fullmatch(r"8\d{8,11}", text) else text


def _code(field: str, text: str, cell: Cell) -> str:
    """Add dots only if the result is a known village: BPS codes have as many digits."""
    match = CODE.fullmatch(text)
    dotted = ".".join(match.groups()[:4]) if match else ""
    return dotted + (match[5] or "") if match and dotted in regions.names() else text


def _choice(field: str, text: str, cell: Cell) -> str:
    values = choices(field)
    if (folded := fold(text)) in values:
        return values[folded]
    if field == "technology" and folded in {"satelit", "satellite"}:
        raise FaultError(
            Fault(
                field,
                "enum",
                MESSAGES["enum"],
                "Which one: low orbit (Starlink), or GEO (VSAT)?",
                values={"given": as_text(text), "expected": expected(field)},
            )
        )
    near = _near_choices(field, folded[:MAX_NAME])
    raise FaultError(
        Fault(
            field,
            "enum",
            MESSAGES["enum"],
            "Did you mean {near}?" if near else None,
            values={
                "given": as_text(text),
                "expected": expected(field),
                "near": listed(near),
            },
        )
    )


@lru_cache(10_000)
def _near_choices(field: str, folded: str) -> list[str]:
    """Return the words of the values with words like this one; of a venue that is like none, the one for all others."""
    words = difflib.get_close_matches(folded, choices(field), 3, cutoff=0.7)
    near = list(dict.fromkeys(choices(field)[word] for word in words))
    near = near or ([Venue.LAINNYA.value] if field == "venue" else [])
    words_of = {value.value: word for value, word in CHOICES[field].items()}
    return [words_of[value] for value in near]


def _venue(field: str, text: str, cell: Cell) -> str:
    """Read a venue by its first words, too: Kantor Desa Bila Talang, SDN 003 Tabang."""
    words = fold(text).split()[:MAX_VENUE_WORDS]
    starts = [" ".join(words[:count]) for count in range(len(words), 0, -1)]
    known = [choices(field)[start] for start in starts if start in choices(field)]
    return known[0] if known else _choice(field, text, cell)


def _yes_or_no(field: str, text: str, cell: Cell) -> bool:
    if (folded := fold(text)) in YES | NO:
        return folded in YES
    raise FaultError(
        Fault(
            field,
            "bool_parsing",
            "{given} is neither ya nor tidak",
            "Write ya or tidak",
            values={"given": as_text(text)},
        )
    )


def _number(field: str, text: str, cell: Cell) -> float:
    return numbers.parse(field, text) if isinstance(cell, str) else float(text)


def _host(field: str, text: str, cell: Cell) -> str:
    """Refuse what is often written instead of an address, or what Excel makes of one."""
    web = re.match(r"https?://", text, re.IGNORECASE)
    network = re.search(r"[\d:]/\d{1,3}$", text)
    undotted = isinstance(cell, int | float) or re.fullmatch(r"\d{1,3}(,\d{1,3}){3}|\d{4,12}", text)
    if web or network or undotted:
        raise FaultError(
            Fault(
                field,
                "bad_host",
                "{given} is neither an IP address nor a DNS name",
                "Write it without http://"
                if web
                else "Write a single address, without /…"
                if network
                else "Excel changed its dots: format the column as text and type it again",
                values={"given": as_text(text)},
            )
        )
    return text


PARSERS: dict[str, Callable[[str, str, Cell], Any]] = {
    **dict.fromkeys(("kind", "technology", "link_role", "presence", "power_source", "probe", "lifecycle"), _choice),
    **dict.fromkeys(("code", "village_code", "parent"), _code),
    "host_static": _yes_or_no,
    **dict.fromkeys(("port", "speed_budget_mb"), _number),
    "service_no": _number_text,
    "contact_phone": _phone,
    "host": _host,
    "venue": _venue,
    "vantages": lambda field, text, cell: vantage_lists.parse(field, text),
    **dict.fromkeys(dates.FIELDS, lambda field, text, cell: dates.parse(field, text)),
}
