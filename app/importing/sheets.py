"""A file as rows of the registry: each cell read by its column, or told what is wrong with it. Knows no database."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from app.core.errors import Fault, Invalid
from app.core.validation import FaultError
from app.importing import cells, headers, positions
from app.importing.cells import Cell
from app.importing.headers import SEARCHED, Header
from app.importing.readers import tables
from app.importing.readers.tables import Grid, Line
from app.registry.drafts import Draft
from app.registry.vocabulary import BESIDE, DICTIONARY, WARNINGS, fold

MAX_ROWS = 20_000
LISTED = 20  # row numbers that a message names
NO_DATA = frozenset(map(fold, (*BESIDE, *WARNINGS.values(), *DICTIONARY.values())))
SITE = frozenset({"village", "village_code", "code", "technology", "provider", "probe", "host"})  # one makes a row
# The columns that tell a field, where they are not called as it is; the first of them comes before the others.
SOURCES = {
    "village_code": ("village_code", "village"),
    "parent_id": ("parent",),
    "contract_id": ("contract",),
    "latitude": ("latitude", "position"),
    "longitude": ("longitude", "position"),
}


@dataclass(slots=True, eq=False)
class Row:
    """A row on its way to a verdict."""

    number: int  # as Excel shows it
    said: dict[str, Any]  # what its cells say, by field; blank ones say nothing
    raw: dict[str, str]  # what stands in its cells that say something, for those who have to find it
    header: Header
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    draft: Draft | None = None
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)  # before and after, by field
    repeats: "Row | None" = None  # the one that says the very same
    sheet: str | None = None  # its name, where rows stand on more than one

    @property
    def place(self) -> str:
        return str(self.number) if self.sheet is None else f"{self.sheet}!{self.number}"

    def blame(self, *faults: Fault) -> None:
        """One fault a field: what follows from a wrong cell is not told again."""
        for fault in faults:
            if all(fault.field != other.field for other in self.faults):
                self.faults.append(fault)

    def column(self, field: str) -> str | None:
        """The one that told a field, or should have."""
        there = [name for name in SOURCES.get(field, (field,)) if name in self.header.texts]
        return next((name for name in there if name in self.raw), there[0] if there else None)

    def value(self, field: str) -> str | None:
        return self.raw.get(self.column(field) or "") or None


@dataclass(frozen=True, slots=True)
class Sheet:
    name: str | None
    header: Header
    rows: list[Row]
    skipped: list[int]  # rows that name nothing of a site, like sums and signatures


@dataclass(frozen=True, slots=True)
class Unread:
    """A sheet with cells whose columns are not the registry's, or not enough of them."""

    name: str
    rows: int  # counted up to MAX_ROWS
    missing: str  # columns


@dataclass(frozen=True, slots=True)
class Book:
    """All tables of a file."""

    sheets: list[Sheet]
    unread: list[Unread]

    @property
    def rows(self) -> list[Row]:
        return [row for sheet in self.sheets for row in sheet.rows]

    @property
    def warnings(self) -> list[Fault]:
        """Of what is no column and no row, which nobody is to miss."""
        ignored = [fault for sheet in self.sheets for fault in sheet.header.ignored]
        return ignored + [_skipped(sheet) for sheet in self.sheets if sheet.skipped] + list(map(_unread, self.unread))


def read(data: bytes) -> Book:
    """Every table in the file that has the registry's columns. Raises Invalid when it has none."""
    book, refused = Book([], []), []
    for grid in tables.read(data):
        top = list(islice(grid.lines, SEARCHED))
        if not top or fold(grid.name or "") in NO_DATA:
            continue
        found, missing = None, ""
        try:
            found = headers.find(top)
        except Invalid as error:
            refused.append(error)
            missing = ", ".join(fault.values["field"] for fault in error.faults if "field" in fault.values)
        if found is not None:
            header, looked_at = found
            book.sheets.append(_sheet(grid, header, chain(looked_at, grid.lines), room=MAX_ROWS - len(book.rows)))
        elif grid.name is not None:
            rows = len(top) + sum(1 for _ in islice(grid.lines, MAX_ROWS - len(top)))
            book.unread.append(Unread(grid.name, rows, missing))
        if grid.name is None and book.sheets:
            break  # the other delimiters make nothing of it
    return _required(book, refused)


def _required(book: Book, refused: Sequence[Invalid]) -> Book:
    """With rows, that say which sheet they are on where there is a choice. Raises Invalid."""
    if not book.sheets:
        raise (
            refused[0]
            if refused
            else Invalid(
                Fault(
                    "file",
                    "no_header",
                    "No row of the file has the registry's columns for its header",
                    "Name the columns as the template does, above the first row",
                )
            )
        )
    if not book.rows:
        raise Invalid(Fault("file", "no_rows", "There are no rows below the header", "Fill in at least one"))
    book.sheets[:] = [sheet for sheet in book.sheets if sheet.rows or sheet.skipped]
    if len(book.sheets) > 1:
        for sheet in book.sheets:
            for row in sheet.rows:
                row.sheet = sheet.name
    return book


def _sheet(grid: Grid, header: Header, lines: Iterator[Line], *, room: int) -> Sheet:
    rows = [row for row in _rows(lines, header, grid.decimal, room) if row is not None]
    sites = [row for row in rows if SITE & (row.said.keys() | {fault.field for fault in row.faults})]
    return Sheet(grid.name, header, sites, sorted({row.number for row in rows} - {row.number for row in sites}))


def _skipped(sheet: Sheet) -> Fault:
    numbers = ", ".join(map(str, sheet.skipped[:LISTED])) + (", …" if len(sheet.skipped) > LISTED else "")
    return Fault(
        "file",
        "skipped_rows",
        "No rows of sites, skipped: {rows}",
        "If one is a site, fill in its village or code, technology, provider, probe and host",
        row=sheet.skipped[0],
        values={"rows": f"{sheet.name}: {numbers}" if sheet.name else numbers},
    )


def _unread(unread: Unread) -> Fault:
    return Fault(
        "file",
        "unread_sheet",
        "The sheet {sheet} is not read ({rows} rows): it lacks {missing}"
        if unread.missing
        else "The sheet {sheet} is not read ({rows} rows): it has no row with the registry's columns",
        "If it has sites, name its columns as the template does",
        values={"sheet": unread.name, "rows": unread.rows, "missing": unread.missing},
    )


def _rows(lines: Iterator[Line], header: Header, decimal: str | None, room: int) -> Iterator[Row | None]:
    for count, (number, line) in enumerate(lines):
        if count >= room:
            raise Invalid(
                Fault(
                    "file",
                    "too_many_rows",
                    "There are more than {most} rows",
                    "Split the file",
                    values={"most": MAX_ROWS},
                )
            )
        said = {name: line[at] for at, name in header.fields.items() if at < len(line)}
        if not _repeats_header(said, header) and not (count == 0 and _numbers_columns(line)):
            yield _row(number, said, header, decimal)


def _row(number: int, line: dict[str, Cell], header: Header, decimal: str | None) -> Row | None:
    """None for one that says nothing in any of the registry's columns."""
    row = Row(number, {}, {}, header)
    for name, cell in line.items():
        parts = positions.split(cell) if name == "position" else {name: cell}
        for told, part in parts.items():
            try:
                value = cells.read(told, part, south=header.south, decimal=decimal)
            except FaultError as error:
                row.blame(error.fault)
            else:
                if value is None:
                    continue
                row.said[told] = value
            row.raw[name] = "" if isinstance(cell, cells.Flaw) else str(cell).strip()
    if re.search(r"[^\W\d_]{2}", str(row.said.get("contact_phone", ""))):
        row.warnings.append(
            Fault(
                "contact_phone",
                "odd_phone",
                "The phone number has letters in it",
                "Write digits alone; a name has a column of its own",
            )
        )
    return row if row.said or row.faults else None


def _repeats_header(line: dict[str, Cell], header: Header) -> bool:
    """Printed lists have it on every page."""
    return all(isinstance(cell, str) and cell.strip() == header.texts[name] for name, cell in line.items())


def _numbers_columns(line: list[Cell]) -> bool:
    """The row of 1, 2, 3, … that official tables have below their header."""
    texts = [re.sub(r"[()\s]", "", str(cell)).removesuffix(".0") for cell in line if cell is not None]
    filled = [text for text in texts if text]
    return len(filled) > 2 and filled == [str(number) for number in range(1, len(filled) + 1)]
