"""Texts of the catalogue, with numbers as the language writes them, and what users typed kept by itself."""

from typing import Any
from unicodedata import bidirectional

from app.core.i18n import translate
from app.pages import formats

ISOLATE, END_OF_ISOLATE = "\u2068", "\u2069"
ISOLATORS = {"\u2066", "\u2067", ISOLATE, END_OF_ISOLATE}
DIRECTED = {"R", "AL", "RLE", "RLO", "LRE", "LRO", "RLI", "LRI", "FSI", "PDI", "PDF"}  # categories of Unicode


def text(template: str, *, language: str, **values: Any) -> str:
    """Return the text in a language; `n` and other numbers are written as the language does."""
    return translate(template, {name: _shown(value, language) for name, value in values.items()}, language=language)


def _shown(value: Any, language: str) -> Any:
    if isinstance(value, int):
        return formats.number(value, language)
    return isolated(value) if isinstance(value, str) else value


def isolated(value: str) -> str:
    """Return a value so that its letters' direction, or marks that change it, leave the sentence around it alone."""
    if not any(bidirectional(letter) in DIRECTED for letter in value):
        return value
    return f"{ISOLATE}{''.join(letter for letter in value if letter not in ISOLATORS)}{END_OF_ISOLATE}"
