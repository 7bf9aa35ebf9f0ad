"""Read a file as tables of cells, from XLSX or CSV by its signature; anything else is refused."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.core.errors import Fault, Invalid
from app.importing import csv_reader, xlsx_reader
from app.importing.cells import Cell

DECIMAL_MARKS = {",": ".", ";": ","}  # by delimiter: programs that write decimal commas delimit with semicolons
NumberedRow = tuple[int, list[Cell]]  # the number as Excel shows it


@dataclass(frozen=True, slots=True)
class CellTable:
    """`rows` can be iterated once and leaves blank rows out."""

    sheet: str | None  # name; None for CSV
    rows: Iterator[NumberedRow]
    decimal_mark: str | None = None  # None where the file does not tell


def read(data: bytes) -> Iterator[CellTable]:
    """Yield the visible sheets of a workbook, or one candidate table for each delimiter of a CSV. Raises Invalid."""
    if not data.strip():
        raise Invalid(Fault("file", "empty_file", "The file is empty", "Choose the file again"))
    if data.startswith(xlsx_reader.SIGNATURE):
        return (CellTable(sheet, rows) for sheet, rows in xlsx_reader.read(data))
    if data.startswith(xlsx_reader.OLD_SIGNATURE):
        raise Invalid(
            Fault(
                "file",
                "old_workbook",
                "This is an old or password-protected Excel file",
                "Save it as .xlsx (Excel workbook) without a password",
            )
        )
    return (CellTable(None, rows, DECIMAL_MARKS.get(delimiter)) for delimiter, rows in csv_reader.read(data))
