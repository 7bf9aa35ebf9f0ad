"""Find vantages by number, name or label, in any case, as people write them: telkom; 2; Kantor Dinas Kominfo. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.core.errors import Fault
from app.core.validation import as_text
from app.registry.vantage_lists import NAMES, NUMBER, SEPARATORS
from app.registry.vocabulary import fold


class KnownVantage(NamedTuple):
    number: int
    name: str
    label: str


def find(given: Sequence[int | str], known: Sequence[KnownVantage]) -> tuple[list[int], list[Fault]]:
    """Return the numbers in their order, and a fault for the first that nobody named. A name goes before a label."""
    numbers = {number for number, _, _ in known}
    words = NAMES | _by_label(known) | {fold(vantage.name): vantage.number for vantage in known}
    found: list[int] = []
    for each in given:
        for part in [each] if isinstance(each, int) else _parts(each, words):
            number = part if isinstance(part, int) else words.get(fold(part), -1)
            if number not in numbers:
                return [], [_unknown(part, known)]
            found.append(number)
    return found, []


def _parts(text: str, words: Iterable[str]) -> list[int | str]:
    """Divide a text only where it is no name itself: a label may hold a comma, or a space."""
    for separators in (None, SEPARATORS, rf"{SEPARATORS}|\s+dan\s+", rf"{SEPARATORS}|\s+dan\s+|\s+"):
        parts = [text] if separators is None else [part for part in re.split(separators, text) if part.strip()]
        if parts and all(fold(part) in words or re.fullmatch(NUMBER, part.strip()) for part in parts):
            break
    else:
        parts = [part for part in re.split(SEPARATORS, text) if part.strip()] or [text]
    return [int(part) if re.fullmatch(NUMBER, part.strip()) else part.strip() for part in parts]


def _by_label(known: Iterable[KnownVantage]) -> dict[str, int]:
    """Leave out labels that two have."""
    labels: dict[str, list[int]] = {}
    for vantage in known:
        labels.setdefault(fold(vantage.label), []).append(vantage.number)
    return {label: numbers[0] for label, numbers in labels.items() if len(numbers) == 1}


def _unknown(given: int | str, known: Iterable[KnownVantage]) -> Fault:
    names = ", ".join(f"{vantage.number} {vantage.name} ({vantage.label})" for vantage in known)
    return Fault(
        "vantages",
        "unknown_vantage",
        "There is no vantage {given}",
        "Known vantages: {known}",
        values={"given": as_text(given) if isinstance(given, str) else given, "known": names},
    )
