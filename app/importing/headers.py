"""Which row is the header, and which field each column holds: the registry's columns by any of their names."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from openpyxl.utils import get_column_letter

from app.core.errors import Fault, Invalid
from app.importing.cells import Cell
from app.registry.columns import SITE_COLUMNS, Column
from app.registry.vocabulary import SHORT, fold

SEARCHED, ENOUGH = 20, 2  # rows that may come before the header; columns that make one

PLACES = (
    Column(
        "village",
        "Desa/Kelurahan",
        "the village's name",
        "nama desa atau kelurahan",
        aliases=("desa", "kelurahan", "nama desa", "nama kelurahan", "nama desa/kelurahan", "village name"),
    ),
    Column("subdistrict", "Kecamatan", "the subdistrict's name", "nama kecamatan", aliases=("nama kecamatan", "kec")),
    Column(
        "district",
        "Kabupaten/Kota",
        "the district's name",
        "nama kabupaten atau kota",
        aliases=("kabupaten", "kota", "kab/kota", "nama kabupaten", "kab"),
    ),
    Column(
        "position",
        "Titik koordinat",
        "latitude and longitude in one cell",
        "lintang dan bujur dalam satu sel",
        aliases=("koordinat", "koordinat gps", "lintang bujur", "lat long", "latlong"),
    ),
)
COLUMNS = {column.field: column for column in (*SITE_COLUMNS, *PLACES)}
PASSED_OVER = frozenset(
    {"", "no", "no urut", "nomor", "nomor urut", "hasil", "saran", "result", "suggestion", "provinsi", "province"}
)
SOUTHERN = frozenset({"ls", "lintang selatan"})
REQUIRED = ("technology", "provider", "probe")


@dataclass(frozen=True, slots=True)
class Header:
    number: int  # its row
    fields: dict[int, str]  # by column, from 0
    texts: dict[str, str]  # the header as it stands in the file, by field
    ignored: list[Fault]  # a column each that is nobody's, as a warning
    south: bool  # the header says of its latitudes that they are southern ones

    def letter(self, field: str) -> str:
        """As Excel calls the column."""
        return get_column_letter(next(at for at, name in self.fields.items() if name == field) + 1)


def find(top: Sequence[tuple[int, list[Cell]]]) -> tuple[Header, Sequence[tuple[int, list[Cell]]]] | None:
    """The header, and the lines after it. `top`: the first lines. Raises Invalid for a header that lacks something or
    contradicts itself."""
    known = [len(set(_fields(cells).values())) for _, cells in top]
    best = max(known, default=0)
    if best < ENOUGH:
        return None
    at = known.index(best)
    while at + 1 < len(top) and _fields(top[at + 1][1]) == _fields(top[at][1]):
        at += 1  # one that was merged over two rows
    return _header(*top[at]), top[at + 1 :]


@cache
def by_name() -> dict[str, str]:
    """Fields by every name of theirs, folded."""
    return {
        fold(name): column.field
        for column in COLUMNS.values()
        for name in (column.field, column.indonesian, *column.aliases)
    }


def _fields(cells: Sequence[Cell]) -> dict[int, str]:
    found = ((place, _field(cell)) for place, cell in enumerate(cells) if isinstance(cell, str))
    return {place: field for place, field in found if field is not None}


def _field(text: str) -> str | None:
    """By the whole text, else by what stands outside its brackets."""
    names = by_name()
    return names.get(fold(text)) or names.get(fold(text.partition("(")[0]))


def _header(number: int, cells: Sequence[Cell]) -> Header:
    fields = _fields(cells)
    twice = sorted({field for field in fields.values() if list(fields.values()).count(field) > 1})
    faults = [
        Fault(
            field,
            "column_twice",
            "More than one column holds {field}: {columns}",
            "Keep one of them, or give the other another header",
            row=number,
            values={
                "field": named(field),
                "columns": ", ".join(str(cells[at]).strip() for at, one in fields.items() if one == field),
            },
        )
        for field in twice
    ]
    ignored = [
        _unknown(cell, number)
        for at, cell in enumerate(cells)
        if at not in fields and isinstance(cell, str) and fold(cell) not in PASSED_OVER
    ]
    if faults := faults + _missing(set(fields.values()), number):
        raise Invalid(*faults, *ignored)
    return Header(
        number,
        fields,
        {field: str(cells[at]).strip() for at, field in fields.items()},
        ignored,
        any(field == "latitude" and fold(str(cells[at])) in SOUTHERN for at, field in fields.items()),
    )


def _missing(fields: set[str], number: int) -> list[Fault]:
    """A table without codes may register sites, so it needs what a new one needs."""
    if "code" in fields:
        return []
    wanted = [field for field in REQUIRED if field not in fields]
    if not {"village_code", "village"} & fields:
        wanted.insert(0, "village_code")
    return [
        Fault(
            field,
            "missing_column",
            "There is no column {field}",
            "Add it: the template has it",
            row=number,
            values={"field": named(field)},
        )
        for field in wanted
    ]


def _unknown(text: str, number: int) -> Fault:
    near = difflib.get_close_matches(fold(text)[:SHORT], by_name(), 1, cutoff=0.75)
    return Fault(
        "file",
        "unknown_column",
        "The column {given} is not one of the registry's: it is ignored",
        "Did you mean {near}?" if near else None,
        row=number,
        values={"given": text.strip()[:60], "near": named(by_name()[near[0]]) if near else None},
    )


def named(field: str) -> str:
    """A column in both languages: Cara ukur (probe)."""
    return f"{COLUMNS[field].indonesian} ({field})"
