"""Stream an export as CSV, GeoJSON or XLSX, in constant memory for CSV and GeoJSON, and through the disk for XLSX."""

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
from app.exporting.sites import SiteRow
from app.registry.spreadsheet_columns import Column
from app.registry.vocabulary import DICTIONARY_SHEET

Chunks = AsyncIterator[list[SiteRow]]

PIECE_BYTES = 256 * 1024


def header(columns: Sequence[Column], language: str) -> list[str]:
    """Return the template's headers, or the API's field names for English."""
    return [column.field if language == "en" else column.indonesian for column in columns]


async def csv(chunks: Chunks, columns: Sequence[Column], *, language: str, separator: Separator) -> AsyncIterator[str]:
    yield BOM + csv_text([header(columns, language)], separator)
    async for chunk in chunks:
        yield csv_text((_values(row, columns) for row in chunk), separator)


async def geojson(chunks: Chunks, columns: Sequence[Column]) -> AsyncIterator[bytes]:
    """Yield a FeatureCollection of the sites with a position; `without_position` counts the others."""
    separator, without_position = b"", 0
    yield b'{"type":"FeatureCollection","features":['
    async for chunk in chunks:
        positioned = [row for row in chunk if row["latitude"] is not None and row["longitude"] is not None]
        without_position += len(chunk) - len(positioned)
        if positioned:
            yield separator + b",".join(orjson.dumps(_feature(row, columns)) for row in positioned)
            separator = b","
    yield b'],"without_position":%d}' % without_position


def _feature(row: SiteRow, columns: Sequence[Column]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": row["code"],
        "geometry": {"type": "Point", "coordinates": [row["longitude"], row["latitude"]]},
        "properties": {column.field: row[column.field] for column in columns},
    }


async def xlsx(chunks: Chunks, columns: Sequence[Column], *, language: str) -> AsyncIterator[bytes]:
    """Yield a workbook with the data dictionary on a second sheet. It is built on disk, in threads."""
    workbook = Workbook(write_only=True)
    with TemporaryFile() as file:
        try:
            title = "Sites" if language == "en" else "Titik akses"
            sheet = _sheet(workbook, title, header(columns, language), frozen="C2")
            async for chunk in chunks:
                await asyncio.to_thread(_append, sheet, [_values(row, columns) for row in chunk])
            _append(_sheet(workbook, DICTIONARY_SHEET[language], dictionary.HEADER), dictionary.rows(columns))
        finally:
            await asyncio.to_thread(workbook.save, file)  # also removes openpyxl's temporary files
        file.seek(0)
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
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


def _values(row: SiteRow, columns: Sequence[Column]) -> list[Cell]:
    return [row[column.field] for column in columns]
