"""Parse coordinates as people write them: 0°30'12" LS, 117,4391 BT, 0 30 12 S."""

import re
from typing import Any

from app.core.errors import Fault
from app.core.validation import FaultError, as_text

# Axis and sign of each word for a direction.
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
PAIRS = (  # 0°21'42,5" LS 117°26'21,5" BT; -1.0123, 117.1234; -1,01 117,12
    re.compile(r"(.{1,60}(?<![a-z])(?:LS|LU|[SN]))(?![a-z])[\s,;/|]*(.{1,60})", re.IGNORECASE),
    re.compile(r"([^;/|]{1,60}?)[,;/|]\s+(.{1,60})"),
    re.compile(r"([^;/|]{1,60})[;/|](.{1,60})"),
    re.compile(r"([^,]{1,60}),([^,]{1,60})"),
    re.compile(r"(\S{1,30})\s+(\S{1,30})"),
)
MINUS = str.maketrans({"−": "-", "–": "-", "—": "-"})


def degrees(field: str, text: str, *, south: bool = False) -> float:
    """Return decimal degrees. `south`: the header marks all latitudes as southern. Raises FaultError."""
    plain = text.translate(MINUS).strip()
    words = " ".join(re.findall(r"[a-z]+", plain.lower()))
    axis, sign = DIRECTIONS.get(words, (field, -1 if south else 1))
    if axis != field:
        raise FaultError(
            Fault(
                field,
                "other_axis",
                "{given} is not a latitude: the columns may be swapped"
                if field == "latitude"
                else "{given} is not a longitude: the columns may be swapped",
                "Swap latitude and longitude",
                values={"given": as_text(text)},
            )
        )
    rest = re.sub(r"[A-Za-z]+", " ", plain).strip()
    negative = rest.startswith("-")
    parts = [float(number.replace(",", ".")) for number in NUMBER.findall(rest)]
    rest_is_marks = MARKS.fullmatch(NUMBER.sub(" ", rest.lstrip("+-")))
    if (words and words not in DIRECTIONS) or not rest_is_marks or not _is_angle(parts):
        raise FaultError(
            Fault(
                field,
                "bad_coordinate",
                "{given} is not a coordinate",
                "Write it like -0,3617, or like 0°21'42\" LS",
                values={"given": as_text(text)},
            )
        )
    value: float = sum(part / 60.0**power for power, part in enumerate(parts))
    value = round(value, 9) if len(parts) > 1 else value
    return -value if negative else sign * value


def split(cell: Any) -> dict[str, Any]:
    """Split a cell with both coordinates. One that cannot be split becomes the latitude, and is refused as such."""
    for match in filter(None, (pattern.fullmatch(str(cell).strip()) for pattern in PAIRS)):
        if all(NUMBER.search(part) for part in match.groups()):
            return {"latitude": match[1], "longitude": match[2]}
    return {"latitude": cell}


def _is_angle(parts: list[float]) -> bool:
    """Whether these are degrees, with minutes and seconds below 60 and decimals only in the last part."""
    whole = all(part.is_integer() for part in parts[:-1])
    return 1 <= len(parts) <= 3 and whole and all(part < 60 for part in parts[1:])
