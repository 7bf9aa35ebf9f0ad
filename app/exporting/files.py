"""Stream an export as CSV, GeoJSON or XLSX, in constant memory for CSV and GeoJSON, and through the disk for XLSX."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from tempfile import TemporaryFile
from typing import Any

import orjson

from app.core import tables
from app.core.tables import Kind, Language, Table, Text
from app.core.tabular import BOM, Separator, csv_text
from app.core.workbook import TableWorkbook
from app.exporting.sites import SiteRow
from app.registry.spreadsheet_columns import SheetColumn

Chunks = AsyncIterator[list[SiteRow]]

PIECE_BYTES = 256 * 1024
SHEET = Text("Titik akses", "Sites")


def table(columns: Sequence[SheetColumn]) -> Table:
    """Return the empty table of an export; its English headers are the API's names, which an import reads."""
    return Table(None, [_column(column) for column in columns], (), sheet=SHEET)


def _column(column: SheetColumn) -> tables.Column:
    unit = Text(column.unit, column.unit) if column.unit else None
    return tables.Column(
        column.field,
        column.indonesian,
        column.field,
        Kind(unit, in_header=False),
        arti=column.arti,
        meaning=column.meaning,
        reference=column.reference or "",
    )


async def csv(
    chunks: Chunks, columns: Sequence[SheetColumn], *, language: Language, separator: Separator
) -> AsyncIterator[str]:
    head = table(columns)
    yield BOM + csv_text([head.header(language)], separator)
    async for chunk in chunks:
        yield csv_text(head.cells(chunk, Language.API), separator)


async def geojson(chunks: Chunks, columns: Sequence[SheetColumn]) -> AsyncIterator[bytes]:
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


def _feature(row: SiteRow, columns: Sequence[SheetColumn]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": row["code"],
        "geometry": {"type": "Point", "coordinates": [row["longitude"], row["latitude"]]},
        "properties": {column.field: row[column.field] for column in columns},
    }


async def xlsx(chunks: Chunks, columns: Sequence[SheetColumn], *, language: Language) -> AsyncIterator[bytes]:
    """Yield a workbook with the data dictionary on a second sheet. It is built on disk, in threads."""
    workbook = TableWorkbook(table(columns), language)
    with TemporaryFile() as file:
        try:
            async for chunk in chunks:
                await asyncio.to_thread(workbook.append, chunk)
        finally:
            await asyncio.to_thread(workbook.save, file)  # also removes openpyxl's temporary files
        file.seek(0)
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece
