"""The files that an export comes as, written piece by piece: a hundred thousand sites do not fill the memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from tempfile import TemporaryFile
from typing import Any

import orjson
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from app.core.tabular import BOM, Cell, Separator, csv_text, xlsx_row
from app.exporting import dictionary
from app.exporting.sites import Row
from app.registry.columns import Column
from app.registry.vocabulary import DICTIONARY

Rows = AsyncIterator[list[Row]]

PIECE = 256 * 1024


def header(columns: Sequence[Column], language: str) -> list[str]:
    """As the template has it, or the API's own names."""
    return [column.field if language == "en" else column.indonesian for column in columns]


async def csv(rows: Rows, columns: Sequence[Column], *, language: str, separator: Separator) -> AsyncIterator[str]:
    yield BOM + csv_text([header(columns, language)], separator)
    async for chunk in rows:
        yield csv_text((_values(row, columns) for row in chunk), separator)


async def geojson(rows: Rows, columns: Sequence[Column]) -> AsyncIterator[bytes]:
    """Only sites with a position are features; `without_position` counts the others."""
    separator, without = b"", 0
    yield b'{"type":"FeatureCollection","features":['
    async for chunk in rows:
        placed = [row for row in chunk if row["latitude"] is not None and row["longitude"] is not None]
        without += len(chunk) - len(placed)
        if placed:
            yield separator + b",".join(orjson.dumps(_feature(row, columns)) for row in placed)
            separator = b","
    yield b'],"without_position":%d}' % without


def _feature(row: Row, columns: Sequence[Column]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": row["code"],
        "geometry": {"type": "Point", "coordinates": [row["longitude"], row["latitude"]]},
        "properties": {column.field: row[column.field] for column in columns},
    }


async def xlsx(rows: Rows, columns: Sequence[Column], *, language: str) -> AsyncIterator[bytes]:
    """With the data dictionary on a second sheet. It is put together on disk, beside the event loop."""
    workbook = Workbook(write_only=True)
    with TemporaryFile() as file:
        try:
            title = "Sites" if language == "en" else "Titik akses"
            sheet = _sheet(workbook, title, header(columns, language), frozen="C2")
            async for chunk in rows:
                await asyncio.to_thread(_append, sheet, [_values(row, columns) for row in chunk])
            _append(
                _sheet(workbook, DICTIONARY[language], dictionary.HEADER),
                dictionary.rows(columns),
            )
        finally:
            await asyncio.to_thread(workbook.save, file)  # it takes openpyxl's own temporary files away, too
        file.seek(0)
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


def _sheet(workbook: Workbook, title: str, names: Sequence[str], *, frozen: str = "A2") -> Any:
    sheet: Any = workbook.create_sheet(title)
    sheet.freeze_panes = frozen
    for number, name in enumerate(names, 1):
        sheet.column_dimensions[get_column_letter(number)].width = max(14, len(name) + 2)
    sheet.append([_bold(sheet, name) for name in names])
    return sheet


def _bold(sheet: Any, name: str) -> Any:
    cell = WriteOnlyCell(sheet, name)
    cell.font = Font(bold=True)
    return cell


def _append(sheet: Any, rows: Sequence[Sequence[Cell]]) -> None:
    for row in rows:
        sheet.append(xlsx_row(sheet, row))


def _values(row: Row, columns: Sequence[Column]) -> list[Cell]:
    return [row[column.field] for column in columns]
