"""Insert many rows by statements that bind one array a column: no parameter, plan or round trip is of one row."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, Final

import orjson
from sqlalchemy import ARRAY, Column, Table, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]
CHUNK_ROWS: Final = 1_000  # between two statements other tasks of the event loop run

Row = Mapping[str, Any]


async def insert_rows(
    session: AsyncSession, table: Any, rows: Iterable[Row], *, returning: str | None = None
) -> list[Any]:
    """Insert rows with the same columns into a mapped table; return what `returning` lists, in no particular order."""
    returned: list[Any] = []
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK_ROWS)):
        statement = _statement(table.__table__, tuple(chunk[0]), returning)
        result = await session.execute(statement, _columns(table.__table__, chunk))
        if returning is not None:
            returned += result.all()
        await asyncio.sleep(0)
    return returned


@cache
def _statement(table: Table, names: tuple[str, ...], returning: str | None) -> Any:
    arrays = ", ".join(f"CAST(:{name} AS {_array_type(table.c[name])}[])" for name in names)
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(f'"{name}"{_cast(table.c[name])}' for name in names)
    back = "" if returning is None else f" RETURNING {returning}"
    return text(  # of names in our own models, never of what a caller sent
        f"INSERT INTO {table.name} ({columns}) SELECT {values} FROM unnest({arrays}) AS rows({columns}){back}"
    )


def _columns(table: Table, rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {
        name: [row[name] for row in rows]
        if (as_text := _as_text(table.c[name])) is None
        else [None if row[name] is None else as_text(row[name]) for row in rows]
        for name in rows[0]
    }


def _as_text(column: Column[Any]) -> Callable[[Any], str] | None:
    """Return how a value is written that an array cannot hold as it is: an object, or an array of its own."""
    if isinstance(column.type, JSONB):
        return lambda value: orjson.dumps(value).decode()
    return (lambda value: "{" + ",".join(map(str, value)) + "}") if isinstance(column.type, ARRAY) else None


def _cast(column: Column[Any]) -> str:
    return "" if _as_text(column) is None else f"::{column.type.compile(DIALECT)}"


def _array_type(column: Column[Any]) -> str:
    return column.type.compile(DIALECT) if _as_text(column) is None else "text"
