"""Texts as a document's font can show them: a letter that it lacks must neither vanish nor stop the document."""

import re
from collections.abc import Mapping
from typing import Any
from unicodedata import normalize

# Letters of the font that typst carries: Latin, Greek, Cyrillic, punctuation, signs; no marks of direction.
SHOWN = (
    "\n -~\u00a0-\u00ac\u00ae-\u02ad\u0300-\u034e\u0391-\u03a1\u03a3-\u03ce\u0400-\u045f\u1e00-\u1eff\u2010-\u2027"
    "\u202f-\u2037\u2039-\u203e\u2070\u2071\u2074-\u208e\u20ac\u2116\u2122\u2190-\u2193\u2212\u221e\u2248\u2260\u2264\u2265"
)
NOT_SHOWN = re.compile(f"[^{SHOWN}]")
END_OF_LINE = re.compile(r"\r\n?|\u2028|\u2029|\u0085|\x0b|\x0c")


def printable(text: str) -> str:
    """Return the text with each letter that cannot be shown as its code, such as `[U+1F600]`."""
    lines = END_OF_LINE.sub("\n", normalize("NFC", text)).replace("\t", " ")
    return NOT_SHOWN.sub(lambda found: f"[U+{ord(found[0]):04X}]", lines)


def printable_values(values: Any) -> Any:
    """Return the same mappings and lists with every text printable."""
    if isinstance(values, str):
        return printable(values)
    if isinstance(values, Mapping):
        return {name: printable_values(value) for name, value in values.items()}
    return [printable_values(value) for value in values] if isinstance(values, list | tuple) else values
