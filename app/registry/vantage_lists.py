"""Lists of vantages, by numbers or names, as spreadsheets and forms write them: 0; 2, or central; telkom. Pure."""

import re
from collections.abc import Iterable, Mapping

from app.core.errors import Fault
from app.core.validation import FaultError, as_text
from probes.contract import VANTAGES

CENTRAL_VANTAGE = 0
MOST_VANTAGES = len(VANTAGES)
NAMES = {"pusat": CENTRAL_VANTAGE, "central": CENTRAL_VANTAGE}
MAX_TEXT = 500  # characters of names in one text
NUMBER, SEPARATORS = r"[0-9]{1,2}", r"[;,+/\n]"


def written(numbers: Iterable[int], names: Mapping[int, str] | None = None) -> str:
    return "; ".join((names or {}).get(number, str(number)) for number in numbers)


def parse(field: str, text: str) -> list[int | str]:
    """Return the numbers in their order; of a text with names the text itself, which `vantage_names` reads.

    Raises FaultError. That they are known, in range and distinct is checked later.
    """
    words = [word for word in re.split(rf"{SEPARATORS}|\s|\bdan\b", text.lower()[:MAX_TEXT]) if word]
    if words and all(word in NAMES or re.fullmatch(NUMBER, word) for word in words):
        return [NAMES[word] if word in NAMES else int(word) for word in words]
    if words and len(text) <= MAX_TEXT:
        return [text]
    raise FaultError(
        Fault(
            field,
            "bad_vantages",
            "{given} is no list of vantages",
            "Write their names, the primary first, separated by semicolons",
            values={"given": as_text(text)},
        )
    )
