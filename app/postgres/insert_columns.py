"""Insert many rows by statements that bind one array a column: no parameter, plan or round trip is of one row."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, Final

import orjson
from sqlalchemy import Column, Table, text
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
    values = ", ".join(f'"{name}"::jsonb' if _is_json(table.c[name]) else f'"{name}"' for name in names)
    back = "" if returning is None else f" RETURNING {returning}"
    return text(  # of names in our own models, never of what a caller sent
        f"INSERT INTO {table.name} ({columns}) SELECT {values} FROM unnest({arrays}) AS rows({columns}){back}"
    )


def _columns(table: Table, rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {
        name: [_json(row[name]) for row in rows] if _is_json(table.c[name]) else [row[name] for row in rows]
        for name in rows[0]
    }


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _is_json(column: Column[Any]) -> bool:
    return isinstance(column.type, JSONB)


def _array_type(column: Column[Any]) -> str:
    return "text" if _is_json(column) else column.type.compile(DIALECT)
