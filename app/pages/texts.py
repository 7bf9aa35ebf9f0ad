"""Texts of the catalogue, with numbers as the language writes them."""

from typing import Any

from app.core.i18n import translate
from app.pages import formats


def text(template: str, *, language: str, **values: Any) -> str:
    """Return the text in a language; `n` and other numbers are written as the language does."""
    shown = {
        name: formats.number(value, language) if isinstance(value, int) else value for name, value in values.items()
    }
    return translate(template, shown, language=language)
