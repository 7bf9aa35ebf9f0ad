"""Lists of vantages, by their numbers, as spreadsheets and forms write them: 0; 2. Pure."""

import re
from collections.abc import Iterable

from app.core.errors import Fault
from app.core.validation import FaultError, as_text
from probes.contract import VANTAGES

CENTRAL_VANTAGE = 0
MOST_VANTAGES = len(VANTAGES)
NAMES = {"pusat": CENTRAL_VANTAGE, "central": CENTRAL_VANTAGE}


def written(numbers: Iterable[int]) -> str:
    return "; ".join(map(str, numbers))


def parse(field: str, text: str) -> list[int]:
    """Return the numbers in their order. Raises FaultError; that they are in range and distinct is the schema's."""
    words = [word for word in re.split(r"[;,+/\s]+|\bdan\b", text.lower()[:100]) if word]
    if all(word in NAMES or re.fullmatch(r"[0-9]{1,2}", word) for word in words) and words:
        return [NAMES[word] if word in NAMES else int(word) for word in words]
    raise FaultError(
        Fault(
            field,
            "bad_vantages",
            "{given} is no list of vantages",
            "Write their numbers, the primary first, like 0; 2",
            values={"given": as_text(text)},
        )
    )
