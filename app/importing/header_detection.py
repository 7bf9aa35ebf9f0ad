"""Find a table's header row and the field of each column, by any known name of the registry's columns."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, zip_longest

from openpyxl.utils import get_column_letter

from app.core.errors import Fault, Invalid
from app.importing.cells import Cell
from app.importing.tables import NumberedRow
from app.registry.spreadsheet_columns import REGION_NAMES, SITE_COLUMNS, SheetColumn
from app.registry.vocabulary import MAX_NAME, fold

SEARCHED_ROWS, MIN_COLUMNS = 20, 2  # rows searched for the header; known columns that make one

IMPORT_COLUMNS = (
    *REGION_NAMES,
    SheetColumn(
        "position",
        "Titik koordinat",
        "latitude and longitude in one cell",
        "lintang dan bujur dalam satu sel",
        aliases=(
            *("koordinat", "koordinat gps", "lintang bujur", "lat long", "latlong", "lat lon", "lat lng", "latlon"),
            *("latitude longitude", "koordinat lokasi", "lokasi koordinat", "titik gps", "gps", "titik lokasi"),
        ),
    ),
)
COLUMNS = {column.field: column for column in (*SITE_COLUMNS, *IMPORT_COLUMNS)}
IGNORED_SILENTLY = frozenset(
    {"", "no", "no urut", "nomor", "nomor urut", "hasil", "saran", "result", "suggestion", "provinsi", "province"}
)
SOUTHERN = frozenset({"ls", "lintang selatan"})
# Columns that a field is read from, where it is not the one of its own name; the first has precedence.
SOURCES = {
    "village_code": ("village_code", "village"),
    "parent_id": ("parent",),
    "contract_id": ("contract",),
    "latitude": ("latitude", "position"),
    "longitude": ("longitude", "position"),
}
REQUIRED = ("technology", "provider")


@dataclass(frozen=True, slots=True)
class Header:
    number: int  # row number as Excel shows it
    fields: dict[int, str]  # by column index from 0
    texts: dict[str, str]  # as written in the file, by field
    ignored: list[Fault]  # one warning for each unknown column
    south: bool  # the header marks all latitudes as southern

    def letter(self, field: str) -> str:
        """Return the column's letter in Excel."""
        return get_column_letter(next(index for index, name in self.fields.items() if name == field) + 1)


@dataclass(frozen=True, slots=True)
class FoundHeader:
    header: Header
    titles: list[list[Cell]]  # the rows above
    rest: Sequence[NumberedRow]  # those of the table's first rows that are below


def find(top: Sequence[NumberedRow]) -> FoundHeader | None:
    """Return the header with what is above and below it, or None if no row has enough known columns.

    `top`: the table's first rows. Raises Invalid for missing or repeated columns.
    """
    single = [cells for _, cells in top]
    over_two = [_joined(upper, lower) for upper, lower in pairwise(single)]  # each ends a row below its index
    candidates = [*((at, cells) for at, cells in enumerate(single)), *enumerate(over_two, 1)]
    at, cells = max(candidates, key=lambda candidate: len(set(_fields(candidate[1]).values())), default=(0, []))
    if len(set(_fields(cells).values())) < MIN_COLUMNS:
        return None
    first = at if cells is single[at] else at - 1
    while at + 1 < len(top) and _fields(single[at + 1]) == _fields(cells):
        at += 1  # a header merged over two rows
    return FoundHeader(_header(top[at][0], cells), single[:first], top[at + 1 :])


def _joined(upper: Sequence[Cell], lower: Sequence[Cell]) -> list[Cell]:
    """Return one header of a row and its subheadings, like No HP under PIC; no cells if the lower row has none.

    A cell over several columns stands in the first of them. Subheadings are texts, at least two of them known columns.
    """
    joined: list[str] = []
    known, above = 0, ""
    for over, under in zip_longest(upper, lower):
        heading, text = _heading(over), _heading(under)
        if under is not None and not isinstance(under, str):
            return []
        above = heading or (above if text else "")
        if text and text != above:
            names = (f"{above} {text}", f"{text} {above}", text)
            joined.append(next(filter(field_of, names), text))
            known += field_of(joined[-1]) is not None
        else:
            joined.append(above)
    return list[Cell](joined) if known > 1 else []


def _heading(cell: Cell) -> str:
    return " ".join(cell.split())[:MAX_NAME] if isinstance(cell, str) else ""


@cache
def by_name() -> dict[str, str]:
    """Return each field by every folded name of its column."""
    return {
        fold(name): column.field
        for column in COLUMNS.values()
        for name in (column.field, column.indonesian, *column.aliases)
    }


def _fields(cells: Sequence[Cell]) -> dict[int, str]:
    named_fields = ((index, field_of(cell)) for index, cell in enumerate(cells) if isinstance(cell, str))
    return {index: field for index, field in named_fields if field is not None}


def field_of(text: str) -> str | None:
    """Match the whole text, else the part before a bracket."""
    names = by_name()
    return names.get(fold(text)) or names.get(fold(text.partition("(")[0]))


def _header(number: int, cells: Sequence[Cell]) -> Header:
    fields = _fields(cells)
    repeated = sorted({field for field in fields.values() if list(fields.values()).count(field) > 1})
    faults = [
        Fault(
            field,
            "column_twice",
            "More than one column for {field}: {columns}",
            "Keep one, or rename the other",
            row=number,
            values={
                "field": label(field),
                "columns": ", ".join(str(cells[index]).strip() for index, name in fields.items() if name == field),
            },
        )
        for field in repeated
    ]
    ignored = [
        _unknown(cell, number)
        for index, cell in enumerate(cells)
        if index not in fields and isinstance(cell, str) and fold(cell) not in IGNORED_SILENTLY
    ]
    if faults := faults + _missing(set(fields.values()), number):
        raise Invalid(*faults, *ignored)
    return Header(
        number,
        fields,
        {field: str(cells[index]).strip() for index, field in fields.items()},
        ignored,
        any(field == "latitude" and fold(str(cells[index])) in SOUTHERN for index, field in fields.items()),
    )


def _missing(fields: set[str], number: int) -> list[Fault]:
    """A table without site codes may register new sites, so it needs the columns that a new site needs."""
    if "code" in fields:
        return []
    missing = [field for field in REQUIRED if field not in fields]
    if not {"village_code", "village"} & fields:
        missing.insert(0, "village_code")
    return [
        Fault(
            field,
            "missing_column",
            "Column {field} is missing",
            "Add it as in the template",
            row=number,
            values={"field": label(field)},
        )
        for field in missing
    ]


def _unknown(text: str, number: int) -> Fault:
    near = difflib.get_close_matches(fold(text)[:MAX_NAME], by_name(), 1, cutoff=0.75)
    return Fault(
        "file",
        "unknown_column",
        "Column {given} is unknown and was ignored",
        "Did you mean {near}?" if near else None,
        row=number,
        values={"given": text.strip()[:60], "near": label(by_name()[near[0]]) if near else None},
    )


def label(field: str) -> str:
    """Return a column's name in both languages: Cara ukur (probe)."""
    return f"{COLUMNS[field].indonesian} ({field})"
