"""XLSX, read as data alone: a formula is its stored result, a merged cell stands in each of its rows.

A workbook is a zip of XML from anybody: its size, its parts and its macros are looked at before openpyxl sees it,
and it is streamed, so that neither a far-off cell nor a huge merge costs memory.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from itertools import count, repeat
from typing import Any

from openpyxl.packaging.manifest import Manifest
from openpyxl.reader.excel import ExcelReader
from openpyxl.utils import range_boundaries
from openpyxl.worksheet._read_only import ReadOnlyWorksheet
from openpyxl.xml.constants import ARC_CONTENT_TYPES, SHARED_STRINGS, XLSM, XLSX, XLTM, XLTX
from openpyxl.xml.functions import fromstring

from app.core.errors import Fault, Invalid
from app.importing.cells import LAST_COLUMN, Cell, Flaw

SIGNATURE, OLD_SIGNATURE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
MAX_PARTS, MAX_UNPACKED, MAX_CELLS = 2_000, 80_000_000, 1_000_000
MAX_STRINGS, MAX_TREES = 20_000_000, 2_000_000  # bytes: of the shared strings, and of styles and whatever is no table
LAST_ROW = 1_048_576
MAX_WALKED = 4 * LAST_ROW  # of all sheets together: a sheet with one cell in its last row takes a third of a second
STREAMED = re.compile(r"xl/(worksheets/[^/]+\.xml|[sS]haredStrings\.xml|media/[^/]+)")
MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z]{1,3}[0-9]{1,7}:[A-Z]{1,3}[0-9]{1,7})"')
CELL = re.compile(rb"<(?:\w+:)?c[\s/>]")
RULE = re.compile(rb"<(?!/|(?:\w+:)?(?:row|c|v|f|is|t|mergeCell)[\s/>])")  # pick lists, links: larger in memory
FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
ERRORS = frozenset({"#REF!", "#N/A", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#SPILL!", "#CALC!"})

MAX_BLANK = 20_000  # rows; what stands below so many is not looked for

Lines = Iterator[tuple[int, list[Cell]]]


class _Sheet(ReadOnlyWorksheet):
    def _get_size(self) -> None:
        """Not looked for: openpyxl goes through all of a sheet that does not tell it."""


class _Reader(ExcelReader):
    """openpyxl's, for sheets of cells alone."""

    def read_worksheets(self) -> None:
        book: Any = self.wb
        for sheet, part in self.parser.find_sheets():
            if part.target in self.valid_files and "chartsheet" not in part.Type:
                page: Any = _Sheet(book, sheet.name, part.target, self.shared_strings)
                page.sheet_state = sheet.state
                book._sheets.append(page)


def read(data: bytes) -> Iterator[tuple[str, Lines]]:
    """Sheets that are not hidden, in their order. Raises Invalid."""
    try:
        _require_harmless(zipfile.ZipFile(io.BytesIO(data)))
        values, formulas = (_open(data, results=results) for results in (True, False))
    except Invalid:
        raise
    except Exception:  # whatever a broken file makes of zipfile, defusedxml and openpyxl, it is the file that is wrong
        raise _broken() from None
    walked = count()
    return (
        (sheet.title, _lines(sheet, other, walked))
        for sheet, other in zip(values.worksheets, formulas.worksheets, strict=True)
        if sheet.sheet_state == "visible"
    )


def _open(data: bytes, *, results: bool) -> Any:
    reader = _Reader(io.BytesIO(data), read_only=True, data_only=results, keep_links=False)
    reader.read()
    return reader.wb


def _require_harmless(archive: zipfile.ZipFile) -> None:
    """zipfile never unpacks more of a part than is announced, so what is announced can be counted on."""
    parts = archive.infolist()
    names = {part.filename.lower() for part in parts}
    if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise _too_much()
    if any("vbaproject" in name or "/macrosheets/" in name for name in names):
        raise Invalid(Fault("file", "macros", "The workbook contains macros", "Save it as .xlsx (Excel workbook)"))
    if "xl/workbook.xml" not in names:
        raise Invalid(
            Fault(
                "file",
                "not_a_table",
                "The file is neither an Excel workbook (.xlsx) nor a CSV file",
                "Open it in Excel and save it as .xlsx",
            )
        )
    _require_small_trees(archive)


def _require_small_trees(archive: zipfile.ZipFile) -> None:
    """openpyxl streams tables and shared strings; of any other part it makes a tree, a thousand times its size."""
    sizes = {part.filename: part.file_size for part in archive.infolist()}
    if sizes[ARC_CONTENT_TYPES] > MAX_TREES:
        raise _too_much()
    root: Any = fromstring(archive.read(ARC_CONTENT_TYPES))
    said: Any = Manifest.from_tree(root)
    strings = {part.PartName[1:] for part in said.findall(SHARED_STRINGS)}
    books = {part.PartName[1:] for kind in (XLSX, XLTX, XLSM, XLTM) for part in said.findall(kind)}
    trees = {name for name in sizes if not STREAMED.fullmatch(name)} | books
    if sum(sizes.get(name, 0) for name in strings) > MAX_STRINGS or sum(sizes.get(n, 0) for n in trees) > MAX_TREES:
        raise _too_much()


def require_small(archive: zipfile.ZipFile) -> None:
    """For a workbook that is to be held whole: openpyxl makes a cell of each that a merge covers. Raises Invalid."""
    cells = 0
    for part in archive.namelist():
        if not part.startswith("xl/worksheets/"):
            continue
        xml = archive.read(part)
        cells += sum(1 for _ in CELL.finditer(xml)) + 10 * sum(1 for _ in RULE.finditer(xml))
        for found in MERGED.finditer(xml):
            left, top, right, bottom = (edge or 0 for edge in range_boundaries(found[1].decode()))
            cells += (right - left + 1) * (bottom - top + 1)
    if cells > MAX_CELLS:
        raise _too_much()


def _too_much() -> Invalid:
    return Invalid(
        Fault(
            "file",
            "too_much_inside",
            "The workbook holds far more than a registry does",
            "Copy the table alone into a new workbook",
        )
    )


def _broken() -> Invalid:
    return Invalid(
        Fault(
            "file",
            "broken_workbook",
            "The workbook cannot be read: it is damaged",
            "Open it in Excel and save it again as .xlsx",
        )
    )


def _lines(sheet: Any, formulas: Any, walked: "count[int]") -> Lines:
    try:
        with sheet._get_source() as source:  # openpyxl tells merged cells only of sheets that it holds in memory
            xml = source.read()
        begin = _merges(xml)
        written = _rows(formulas) if FORMULA.search(xml) else repeat(())
        running: dict[int, tuple[int, Cell]] = {}  # by column: the last row of a merge, and its value
        blank = 0
        for number, (values, formula) in enumerate(zip(_rows(sheet), written, strict=False), 1):
            if next(walked) > MAX_WALKED:
                raise _too_much()
            if _blank(values) and _blank(formula):
                if (blank := blank + 1) > MAX_BLANK:
                    return
                continue
            cells = _cells(values, formula)
            for column, last in begin.get(number, ()):
                running[column] = last, cells[column]
            for column, (last, value) in running.items():
                if number <= last and cells[column] is None:
                    cells[column] = value
            yield number, cells
    except Invalid:
        raise
    except Exception:  # as above: sheets are read while they are gone through
        raise _broken() from None


def _merges(xml: bytes) -> dict[int, list[tuple[int, int]]]:
    """Of merges over several rows, by their first row: column (from 0), last row."""
    begin: dict[int, list[tuple[int, int]]] = {}
    for found in MERGED.finditer(xml):
        column, first, _, last = (edge or 0 for edge in range_boundaries(found[1].decode()))
        if first < last and column <= LAST_COLUMN:
            begin.setdefault(first, []).append((column - 1, last))
    return begin


def _rows(sheet: Any) -> Iterator[tuple[Any, ...]]:
    sheet.reset_dimensions()  # what a file says of its own extent is often wrong
    return sheet.iter_rows(max_row=LAST_ROW, max_col=LAST_COLUMN, values_only=True)  # type: ignore[no-any-return]


def _blank(row: tuple[Any, ...]) -> bool:
    """Also where somebody left spaces."""
    return row.count(None) == len(row) or all(
        cell is None or (isinstance(cell, str) and not cell.strip()) for cell in row
    )


def _cells(values: tuple[Any, ...], formulas: tuple[Any, ...]) -> list[Cell]:
    """A formula without a stored result is a flaw, not a blank."""
    cells = [Flaw.FAILED if isinstance(cell, str) and cell in ERRORS else cell for cell in values]
    for column, formula in enumerate(formulas):
        if formula is not None and cells[column] is None:
            cells[column] = Flaw.UNCOMPUTED
    return cells
