"""What stands in a cell, as a value of the API: decimal comma, degrees and minutes, codes without dots, our own words.

Each reader takes a cell that is not blank and raises FaultError. Whether the value will do is for the schemas to say.
"""

import difflib
import re
from collections.abc import Callable
from datetime import date, datetime, time
from enum import Enum
from string import ascii_letters
from typing import Any

from app.core.errors import Fault
from app.core.tabular import unguard_formulas
from app.core.validation import MESSAGES, FaultError, as_text
from app.importing.positions import degrees
from app.importing.vocabulary import BLANK, NO, YES, expected
from app.registry import regions
from app.registry.vocabulary import SHORT, choices, fold


class Flaw(Enum):
    """A cell of a workbook that has no value."""

    UNCOMPUTED = "a formula without a stored result"
    FAILED = "one of Excel's errors"


Cell = str | int | float | bool | datetime | date | time | Flaw | None

LAST_COLUMN = 100  # whatever stands further right is no column of ours
EXACT = 10**15  # Excel keeps no more digits than this of a number
CODE = re.compile(r"(\d{2})[. -]?(\d{2})[. -]?(\d{2})[. -]?(\d{4})(-\d{2,})?")
NUMBERS = (  # with what stands between its thousands
    (re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?"), "."),
    (re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?"), ","),
    (re.compile(r"[+-]?\d+([.,]\d+)?"), " "),
)
UNITS = dict.fromkeys(("", "mbps", "mb/s", "mbit/s", "mb", "m"), 1) | dict.fromkeys(("gbps", "gb/s", "gb", "g"), 1000)
PROSE = frozenset({"notes", "public_hours", "power_hours"})  # where a date or an hour may well stand


def read(field: str, cell: Cell, *, south: bool = False, decimal: str | None = None) -> Any:
    """None for a blank one. Raises FaultError.

    `south`: the header says that latitudes are southern ones. `decimal`: the file's decimal mark, where it is sure.
    """
    if isinstance(cell, bool):
        cell = "ya" if cell else "tidak"
    text = "" if cell is None else text_of(field, cell)
    if field == "power_source" and fold(text) in choices(field):  # there, that there is none says something
        return choices(field)[fold(text)]
    if len(text) < SHORT and fold(text) in BLANK:
        return None
    if field in {"latitude", "longitude"}:
        down = south and field == "latitude"
        return degrees(field, text, south=down) if isinstance(cell, str) else -abs(float(text)) if down else cell
    if field in {"bandwidth_down_mbps", "bandwidth_up_mbps"}:
        return _mbps(field, text, decimal) if isinstance(cell, str) else cell
    return READERS.get(field, _text)(field, text, cell)


def text_of(field: str, cell: Cell) -> str:
    """What a person sees in the cell. Raises FaultError where nobody can tell what was meant."""
    if isinstance(cell, Flaw):
        raise FaultError(_flaw(field, cell))
    if isinstance(cell, datetime | date | time):
        return _moment(field, cell)
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if isinstance(cell, int) and abs(cell) >= EXACT:
        raise FaultError(_rounded(field, str(cell)))
    if isinstance(cell, float):
        cell = f"{cell:.10f}".rstrip("0")
    text = re.sub(r"[\0\u200b\ufeff]", "", str(cell)).replace("\u00a0", " ").strip()
    return unguard_formulas(text)


def _flaw(field: str, flaw: Flaw) -> Fault:
    if flaw is Flaw.FAILED:
        return Fault(field, "excel_error", "The cell shows an error of Excel", "Mend its formula, or type the value")
    return Fault(
        field,
        "uncomputed",
        "The cell holds a formula without its result",
        "Open the file in Excel and save it again, or type the value",
    )


def _rounded(field: str, given: str) -> Fault:
    return Fault(
        field,
        "rounded",
        "{given}: Excel has rounded this number, its last digits are lost",
        "Format the column as text and type it again",
        values={"given": as_text(given)},
    )


def _moment(field: str, cell: datetime | date | time) -> str:
    if field not in PROSE:
        raise FaultError(
            Fault(
                field,
                "became_date",
                "{given}: Excel has made a date of what was typed here",
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
    """For numbers that are names: a spreadsheet saved as CSV writes long ones as 4,7E+12."""
    if re.fullmatch(r"\d([.,]\d+)?E\+?\d+", text, re.IGNORECASE):
        raise FaultError(_rounded(field, text))
    return text


def _phone(field: str, text: str, cell: Cell) -> str:
    """A number has lost the zero that it began with."""
    text = _number_text(field, text, cell)
    return f"0{text}" if isinstance(cell, int | float) and text.startswith("8") else text


def _code(field: str, text: str, cell: Cell) -> str:
    """With dots, where that makes a village of it: BPS's codes have as many digits."""
    found = CODE.fullmatch(text)
    dotted = ".".join(found.groups()[:4]) if found else ""
    return dotted + (found[5] or "") if found and dotted in regions.names() else text


def _choice(field: str, text: str, cell: Cell) -> str:
    known = choices(field)
    if (folded := fold(text)) in known:
        return known[folded]
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
    near = difflib.get_close_matches(folded[:SHORT], known, 1) or (["lainnya"] if field == "venue" else [])
    raise FaultError(
        Fault(
            field,
            "enum",
            MESSAGES["enum"],
            "Did you mean {near}?" if near else None,
            values={"given": as_text(text), "expected": expected(field), "near": near[0] if near else None},
        )
    )


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
    return number(field, text) if isinstance(cell, str) else float(text)


def _mbps(field: str, text: str, decimal: str | None) -> float:
    digits = text.rstrip(f"{ascii_letters}/ ")
    unit = text[len(digits) :].strip().lower()
    factor = UNITS.get(unit)
    if factor == 1 and decimal != "." and re.fullmatch(r"[1-9]\d{1,2}\.\d{3}", digits):  # no village has thousands
        raise FaultError(_ambiguous(field, digits, "."))
    return number(field, digits, decimal=decimal) * factor if factor else number(field, text)


def _ambiguous(field: str, digits: str, mark: str) -> Fault:
    decimal = digits.rstrip("0").rstrip(mark).replace(".", ",")
    return Fault(
        field,
        "ambiguous_number",
        "{given} can be read as {thousands} and as {decimal}",
        "Write {thousands}, or {decimal}",
        values={"given": digits, "thousands": digits.replace(mark, ""), "decimal": decimal},
    )


def _host(field: str, text: str, cell: Cell) -> str:
    """What is often written instead of one address, or made of it by Excel."""
    web = re.match(r"https?://", text, re.IGNORECASE)
    network = re.search(r"[\d:]/\d{1,3}$", text)
    undotted = isinstance(cell, int | float) or re.fullmatch(r"\d{1,3}(,\d{1,3}){3}|\d{4,12}", text)
    if web or network or undotted:
        raise FaultError(
            Fault(
                field,
                "bad_host",
                "{given} is neither an address nor a DNS name",
                "Write it without http://"
                if web
                else "Write one address alone, without /…"
                if network
                else "Excel has changed its dots: format the column as text and type it again",
                values={"given": as_text(text)},
            )
        )
    return text


def number(field: str, text: str, *, decimal: str | None = None) -> float:
    """Decimal comma, thousands with dots; also the English way, where it can only mean that."""
    digits = text.replace(" ", "")
    if decimal is not None and re.fullmatch(rf"[+-]?\d+[{decimal}]\d+", digits):
        return float(digits.replace(decimal, "."))
    if re.fullmatch(r"[1-9]\d{0,2},\d{3}", digits):
        raise FaultError(_ambiguous(field, digits, ","))
    for pattern, thousands in NUMBERS:
        if pattern.fullmatch(digits):
            return float(digits.replace(thousands, "").replace(",", "."))
    raise FaultError(Fault(field, "float_parsing", MESSAGES["float_parsing"], values={"given": as_text(text)}))


READERS: dict[str, Callable[[str, str, Cell], Any]] = {
    **dict.fromkeys(("kind", "technology", "link_role", "venue", "power_source", "probe", "lifecycle"), _choice),
    **dict.fromkeys(("code", "village_code", "parent"), _code),
    "host_static": _yes_or_no,
    **dict.fromkeys(("port", "speed_budget_mb"), _number),
    "service_no": _number_text,
    "contact_phone": _phone,
    "host": _host,
}
