"""Moments in forms: `<input type="datetime-local">` holds a time without a zone, which is WITA's."""

from app.core.clock import to_wita
from app.pages.formats import as_moment

OFFSET = "+08:00"


def to_input(moment: str | None) -> str:
    """Return `2026-11-24T14:05` of a moment of the API; "" for none."""
    return "" if moment is None else f"{to_wita(as_moment(moment)):%Y-%m-%dT%H:%M}"


def from_input(typed: str) -> str | None:
    """Return what was typed as a moment of the API, which says what is wrong with it; None for nothing."""
    if not typed:
        return None
    return typed if typed.endswith(("Z", OFFSET)) else f"{typed}{OFFSET}"
