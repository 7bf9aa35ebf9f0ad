"""Coordinates as people write them: 0°30'12" LS, 117,4391 BT, 0 30 12 S."""

import re
from typing import Any

from app.core.errors import Fault
from app.core.validation import FaultError, as_text

# What is said of a direction: to which axis it belongs, and its sign.
DIRECTIONS = {
    "ls": ("latitude", -1),
    "s": ("latitude", -1),
    "lintang selatan": ("latitude", -1),
    "selatan": ("latitude", -1),
    "lu": ("latitude", 1),
    "n": ("latitude", 1),
    "u": ("latitude", 1),
    "lintang utara": ("latitude", 1),
    "utara": ("latitude", 1),
    "bt": ("longitude", 1),
    "e": ("longitude", 1),
    "t": ("longitude", 1),
    "bujur timur": ("longitude", 1),
    "timur": ("longitude", 1),
    "bb": ("longitude", -1),
    "w": ("longitude", -1),
    "bujur barat": ("longitude", -1),
}
NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
MARKS = re.compile(r"[\s°º˚'’‘`´′\"”“″:]*")
BOTH = (  # -1.0123, 117.1234; -1,01 117,12; 0°21'42" LS 117°26'21" BT
    re.compile(r"([^;/|]{1,60}?)[,;/|]\s+(.{1,60})"),
    re.compile(r"([^;/|]{1,60})[;/|](.{1,60})"),
    re.compile(r"([^,]{1,60}),([^,]{1,60})"),
    re.compile(r"(\S{1,30})\s+(\S{1,30})"),
    re.compile(r"(.{1,60}(?<![a-z])(?:LS|LU|[SN]))(?![a-z])\s*(.{1,60})", re.IGNORECASE),
)
MINUS = str.maketrans({"−": "-", "–": "-", "—": "-"})


def degrees(field: str, text: str, *, south: bool = False) -> float:
    """Decimal degrees. `south`: the header says so of every latitude. Raises FaultError."""
    plain = text.translate(MINUS).strip()
    words = " ".join(re.findall(r"[a-z]+", plain.lower()))
    axis, sign = DIRECTIONS.get(words, (field, -1 if south else 1))
    if axis != field:
        raise FaultError(
            Fault(
                field,
                "other_axis",
                "{given} is not a {field}: the columns may be swapped",
                "Swap latitude and longitude",
                values={"given": as_text(text), "field": field},
            )
        )
    rest = re.sub(r"[A-Za-z]+", " ", plain).strip()
    negative = rest.startswith("-")
    found = [float(number.replace(",", ".")) for number in NUMBER.findall(rest)]
    left = MARKS.fullmatch(NUMBER.sub(" ", rest.lstrip("+-")))
    if (words and words not in DIRECTIONS) or left is None or not _is_angle(found):
        raise FaultError(
            Fault(
                field,
                "bad_coordinate",
                "{given} is not a coordinate",
                "Write it like -0,3617, or like 0°21'42\" LS",
                values={"given": as_text(text)},
            )
        )
    value: float = sum(part / 60.0**power for power, part in enumerate(found))
    value = round(value, 9) if len(found) > 1 else value
    return -value if negative else sign * value


def split(cell: Any) -> dict[str, Any]:
    """A cell that holds both coordinates; one that nobody can part is no latitude, which says so."""
    for found in filter(None, (pattern.fullmatch(str(cell).strip()) for pattern in BOTH)):
        if all(NUMBER.search(part) for part in found.groups()):
            return {"latitude": found[1], "longitude": found[2]}
    return {"latitude": cell}


def _is_angle(parts: list[float]) -> bool:
    """Degrees; minutes and seconds below 60, and only the last of them with decimals."""
    whole = all(part.is_integer() for part in parts[:-1])
    return 1 <= len(parts) <= 3 and whole and all(part < 60 for part in parts[1:])
