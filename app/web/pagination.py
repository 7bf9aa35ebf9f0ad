"""Keyset pagination: a page of rows, and the opaque cursor that holds the sort key of its last row."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel, Field

from app.core.clock import parse_moment
from app.core.errors import Fault, Invalid
from app.core.periods import Period
from app.web.params import row_id

SEPARATOR = "~"

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
T = TypeVar("T")
K = TypeVar("K")
Parser = Callable[[str], A]


class Page(BaseModel, Generic[T]):
    items: list[T]
    next_cursor: str | None = Field(None, description="null at the end")


class CursorCodec(Generic[K]):
    """Cursors over the sort key K: a value, or a tuple of values that are parsed one by one (`cursor_codec`)."""

    def __init__(self, *parsers: Callable[[str], Any]) -> None:
        self._parsers = parsers

    def read(self, cursor: str | None) -> K | None:
        """Return the key, or None without a cursor. Raises Invalid."""
        if cursor is None:
            return None
        try:
            text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
            if "\0" in text:
                raise ValueError(text)
            key: K = self._parse(text)
        except (binascii.Error, ValueError, OverflowError):
            raise Invalid(Fault("cursor", "bad_cursor", "Invalid cursor", "Start again without a cursor")) from None
        return key

    def _parse(self, text: str) -> Any:
        if len(self._parsers) == 1:
            return self._parsers[0](text)
        parts = text.split(SEPARATOR)
        return tuple(parse(part) for parse, part in zip(self._parsers, parts, strict=True))

    def write(self, key: K) -> str:
        parts = key if isinstance(key, tuple) else (key,)
        text = SEPARATOR.join(part.isoformat() if isinstance(part, datetime) else str(part) for part in parts)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def page(self, rows: Sequence[T], limit: int, key: Callable[[T], K]) -> tuple[Sequence[T], str | None]:
        """Split limit + 1 rows into those of this page and the cursor of the next, None at the end."""
        items = rows[:limit]
        return items, self.write(key(items[-1])) if len(rows) > limit else None


@overload
def cursor_codec(a: Parser[A], /) -> CursorCodec[A]: ...
@overload
def cursor_codec(a: Parser[A], b: Parser[B], /) -> CursorCodec[tuple[A, B]]: ...
@overload
def cursor_codec(a: Parser[A], b: Parser[B], c: Parser[C], /) -> CursorCodec[tuple[A, B, C]]: ...
@overload
def cursor_codec(a: Parser[A], b: Parser[B], c: Parser[C], d: Parser[D], /) -> CursorCodec[tuple[A, B, C, D]]: ...
def cursor_codec(*parsers: Callable[[str], Any]) -> CursorCodec[Any]:
    """A codec of one key part per parser; parsers raise ValueError."""
    return CursorCodec(*parsers)


class PeriodCursorCodec(CursorCodec[tuple[datetime, datetime, A]]):
    """Cursors that keep the first page's period: `period=24h` names another one by the time of the second page."""

    def __init__(self, parse: Parser[A]) -> None:
        super().__init__(parse_moment, parse_moment, parse)

    def _parse(self, text: str) -> tuple[datetime, datetime, A]:
        start, end, position = super()._parse(text)
        if end <= start:
            raise ValueError(text)
        return start, end, position

    def resume(self, cursor: str | None, period: Period, first: A) -> tuple[Period, A]:
        """Return the cursor's period and position, without a cursor `period` and `first`. Raises Invalid."""
        if (key := self.read(cursor)) is None:
            return period, first
        start, end, position = key
        return Period(start, end), position

    def write_within(self, period: Period, position: A) -> str:
        return self.write((period.start, period.end, position))


BY_ID = cursor_codec(row_id)
