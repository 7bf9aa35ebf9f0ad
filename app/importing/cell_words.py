"""Indonesian words that stand for blank, yes and no in a cell, and how messages list choices."""

from collections.abc import Iterable
from functools import cache

from app.registry.vocabulary import CHOICES, fold

MAX_LISTED = 5  # candidates named in one message

# All folded.
BLANK = frozenset({"", "n a", "na", "tidak ada", "none", "null", "nihil", "kosong", "belum ada"})
NO_HOST = BLANK | {"dinamis", "ip dinamis", "dynamic", "dynamic ip", "dhcp", "cgnat", "nat", "private", "ip private"}
YES = frozenset({"ya", "y", "yes", "true", "benar", "1", "ada", "tetap", "statis", "static"})
NO = frozenset({"tidak", "tdk", "t", "n", "no", "false", "salah", "0", "bukan", "dinamis", "dynamic"})


@cache
def expected(field: str) -> str:
    """Return a field's choices as one text: serat optik (fiber), radio, …"""
    pairs = ((word, value.value) for value, word in CHOICES[field].items())
    return ", ".join(word if fold(word) == fold(value) else f"{word} ({value})" for word, value in pairs)


def listed(candidates: Iterable[str]) -> str:
    """Join the first candidates, with … for the rest."""
    texts = list(candidates)
    return "; ".join(texts[:MAX_LISTED]) + ("; …" if len(texts) > MAX_LISTED else "")
