"""Parse numbers as people write them: decimal commas, thousands separators, and bandwidths with units."""

import re
from string import ascii_letters

from app.core.errors import Fault
from app.core.validation import MESSAGES, FaultError, as_text

NUMBERS = (  # each with its thousands separator
    (re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?"), "."),
    (re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?"), ","),
    (re.compile(r"[+-]?\d+([.,]\d+)?"), " "),
)
UNITS = dict.fromkeys(("", "mbps", "mb/s", "mbit/s", "mb", "m"), 1) | dict.fromkeys(("gbps", "gb/s", "gb", "g"), 1000)


def parse(field: str, text: str, *, decimal_mark: str | None = None) -> float:
    """Parse decimal commas and dotted thousands, and unambiguous English notation. Raises FaultError."""
    digits = text.replace(" ", "")
    if decimal_mark is not None and re.fullmatch(rf"[+-]?\d+[{decimal_mark}]\d+", digits):
        return float(digits.replace(decimal_mark, "."))
    if re.fullmatch(r"[1-9]\d{0,2},\d{3}", digits):
        raise FaultError(_ambiguous(field, digits, ","))
    for pattern, thousands in NUMBERS:
        if pattern.fullmatch(digits):
            return float(digits.replace(thousands, "").replace(",", "."))
    raise FaultError(Fault(field, "float_parsing", MESSAGES["float_parsing"], values={"given": as_text(text)}))


def mbps(field: str, text: str, decimal_mark: str | None) -> float:
    """Parse a bandwidth with or without its unit. Raises FaultError."""
    digits = text.rstrip(f"{ascii_letters}/ ")
    unit = text[len(digits) :].strip().lower()
    factor = UNITS.get(unit)
    looks_like_thousands = re.fullmatch(r"[1-9]\d{1,2}\.\d{3}", digits)  # of Mbps, which no village has
    if factor == 1 and decimal_mark != "." and looks_like_thousands:
        raise FaultError(_ambiguous(field, digits, "."))
    if factor is None:
        return parse(field, text)
    return parse(field, digits, decimal_mark=decimal_mark) * factor


def _ambiguous(field: str, digits: str, mark: str) -> Fault:
    decimal = digits.rstrip("0").rstrip(mark).replace(".", ",")
    return Fault(
        field,
        "ambiguous_number",
        "{given} is ambiguous: {thousands} or {decimal}",
        "Write {thousands}, or {decimal}",
        values={"given": digits, "thousands": digits.replace(mark, ""), "decimal": decimal},
    )
