"""A file as rows of the registry: each cell read by its column, or told what is wrong with it. Knows no database."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from app.errors import Fault, Invalid
from app.importing import cells, grids, headers
from app.importing.cells import Cell
from app.importing.headers import Header
from app.registry.drafts import Draft
from app.validation import FaultError

MAX_ROWS = 20_000
# What the words of a row become.
TARGETS = {"village": "village_code", "parent": "parent_id", "contract": "contract_id"}


@dataclass(slots=True, eq=False)
class Row:
    """A row on its way to a verdict."""

    number: int  # as Excel shows it
    said: dict[str, Any]  # what its cells say, by field; blank ones say nothing
    raw: dict[str, str]  # what stands in its cells, for those who have to find it
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    draft: Draft | None = None
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)  # before and after, by field
    repeats: int | None = None  # the row that says the very same

    def blame(self, *faults: Fault) -> None:
        """One fault a field: what follows from a wrong cell is not told again."""
        for fault in faults:
            if all(fault.field != other.field for other in self.faults):
                self.faults.append(fault)

    def value(self, name: str) -> str | None:
        return next((self.raw[one] for one in self.raw if name in {one, TARGETS.get(one)}), None)


@dataclass(frozen=True, slots=True)
class Sheet:
    name: str | None
    header: Header
    rows: list[Row]


def read(data: bytes) -> Sheet:
    """The first table in the file that has the registry's columns. Raises Invalid when it has none."""
    for grid in grids.read(data):
        if (found := headers.find(grid.lines)) is not None:
            header, looked_at = found
            rows = [row for row in _rows(chain(looked_at, grid.lines), header, grid.decimal) if row is not None]
            if not rows:
                raise Invalid(Fault("file", "no_rows", "There are no rows below the header", "Fill in at least one"))
            return Sheet(grid.name, header, rows)
    raise Invalid(Fault("file", "no_header", "No row of the file has the registry's columns for its header",
                        "Name the columns as the template does, above the first row"))  # fmt: skip


def _rows(lines: Iterator[tuple[int, list[Cell]]], header: Header, decimal: str | None) -> Iterator[Row | None]:
    for count, (number, line) in enumerate(lines):
        if count >= MAX_ROWS:
            raise Invalid(Fault("file", "too_many_rows", "There are more than {most} rows", "Split the file",
                                values={"most": MAX_ROWS}))  # fmt: skip
        said = {name: line[at] for at, name in header.fields.items() if at < len(line)}
        if not _repeats_header(said, header) and not (count == 0 and _numbers_columns(line)):
            yield _row(number, said, header, decimal)


def _row(number: int, line: dict[str, Cell], header: Header, decimal: str | None) -> Row | None:
    """None for one that says nothing in any of the registry's columns."""
    row = Row(number, {}, {})
    for name, cell in line.items():
        try:
            value = cells.read(name, cell, south=header.south, decimal=decimal)
        except FaultError as error:
            value = None
            row.blame(error.fault)
        if value is not None:
            row.said[name] = value
        if cell is not None and not isinstance(cell, cells.Flaw):
            row.raw[name] = str(cell).strip()
    return row if row.said or row.faults else None


def _repeats_header(line: dict[str, Cell], header: Header) -> bool:
    """Printed lists have it on every page."""
    return all(isinstance(cell, str) and cell.strip() == header.texts[name] for name, cell in line.items())


def _numbers_columns(line: list[Cell]) -> bool:
    """The row of 1, 2, 3, … that official tables have below their header."""
    texts = [re.sub(r"[()\s]", "", str(cell)).removesuffix(".0") for cell in line if cell is not None]
    filled = [text for text in texts if text]
    return len(filled) > 2 and filled == [str(number) for number in range(1, len(filled) + 1)]
