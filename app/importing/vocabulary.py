"""The words that districts write for what the API names in English."""

from collections.abc import Iterable
from functools import cache

from app.registry.vocabulary import CHOICES, fold

LISTED = 5  # candidates that a message names

BLANK = frozenset({"", "n a", "na", "tidak ada", "none", "null", "nihil", "kosong", "belum ada"})  # folded

YES = frozenset({"ya", "y", "yes", "true", "benar", "1", "ada", "tetap", "statis", "static"})
NO = frozenset({"tidak", "tdk", "t", "n", "no", "false", "salah", "0", "bukan", "dinamis", "dynamic"})


@cache
def expected(field: str) -> str:
    """The choices as a message lists them: serat optik (fiber), radio, …"""
    named = ((word, value.value) for value, word in CHOICES[field].items())
    return ", ".join(word if fold(word) == fold(value) else f"{word} ({value})" for word, value in named)


def listed(candidates: Iterable[str]) -> str:
    every = list(candidates)
    return "; ".join(every[:LISTED]) + ("; …" if len(every) > LISTED else "")
