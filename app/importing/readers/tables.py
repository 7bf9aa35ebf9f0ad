"""A file's tables as rows of cells, numbered as its reader sees them. Whatever is not a table is refused here."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.core.errors import Fault, Invalid
from app.importing.cells import Cell
from app.importing.readers import csv_reader, xlsx_reader

DECIMALS = {",": ".", ";": ","}  # by delimiter
Line = tuple[int, list[Cell]]


@dataclass(frozen=True, slots=True)
class Grid:
    """`lines` can be gone through once; blank lines are left out."""

    name: str | None  # the sheet's
    lines: Iterator[Line]
    decimal: str | None = None  # the decimal mark, where that is sure: who writes decimal commas delimits otherwise


def read(data: bytes) -> Iterator[Grid]:
    """The sheets of a workbook; of a delimited file, what each delimiter makes of it. Raises Invalid."""
    if not data.strip():
        raise Invalid(Fault("file", "empty_file", "The file is empty", "Choose the file again"))
    if data.startswith(xlsx_reader.SIGNATURE):
        return (Grid(name, lines) for name, lines in xlsx_reader.read(data))
    if data.startswith(xlsx_reader.OLD_SIGNATURE):
        raise Invalid(
            Fault(
                "file",
                "old_workbook",
                "This is an old or password-protected Excel file",
                "Save it as .xlsx (Excel workbook) without a password",
            )
        )
    return (Grid(None, lines, DECIMALS.get(delimiter)) for delimiter, lines in csv_reader.read(data))
