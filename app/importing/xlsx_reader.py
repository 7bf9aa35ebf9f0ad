"""Read XLSX as data: a formula yields its stored result, a merged cell its value in each of its rows.

The file is untrusted: openpyxl opens it once it is unpacked within limits, and sheets are streamed, so that neither a
far-off cell nor a huge merge costs memory.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from itertools import count, repeat
from typing import Any

from openpyxl.packaging.manifest import Manifest
from openpyxl.reader.excel import ExcelReader
from openpyxl.utils import range_boundaries
from openpyxl.worksheet._read_only import ReadOnlyWorksheet
from openpyxl.xml.constants import ARC_CONTENT_TYPES, SHARED_STRINGS, XLSM, XLSX, XLTM, XLTX
from openpyxl.xml.functions import fromstring

from app.core.errors import Fault, Invalid
from app.importing import workbook_archive
from app.importing.cells import LAST_COLUMN, Cell, CellError
from app.importing.workbook_archive import PartContents, UnpackedWorkbook, broken, too_large

SIGNATURE, OLD_SIGNATURE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
MAX_CELLS = 1_000_000
MAX_STRINGS, MAX_TREES = 20_000_000, 2_000_000  # bytes of shared strings; of styles and other parts parsed as trees
LAST_ROW = 1_048_576
MAX_SCANNED = 4 * LAST_ROW  # of all sheets: scanning one whose only cell is in the last row takes a third of a second
STREAMED = re.compile(r"xl/(worksheets/[^/]+\.xml|[sS]haredStrings\.xml|media/[^/]+)")
MERGED = re.compile(r"[A-Z]{1,3}[0-9]{1,7}:[A-Z]{1,3}[0-9]{1,7}")
EXCEL_ERRORS = frozenset({"#REF!", "#N/A", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#SPILL!", "#CALC!"})

MAX_BLANK = 20_000  # consecutive blank rows after which a sheet counts as ended

Rows = Iterator[tuple[int, list[Cell]]]


class _Sheet(ReadOnlyWorksheet):
    def _get_size(self) -> None:
        """Do nothing: openpyxl would scan the whole of a sheet that does not declare its size."""


class _Reader(ExcelReader):
    """openpyxl's reader, for worksheets only."""

    def read_worksheets(self) -> None:
        book: Any = self.wb
        for sheet, part in self.parser.find_sheets():
            if part.target in self.valid_files and "chartsheet" not in part.Type:
                page: Any = _Sheet(book, sheet.name, part.target, self.shared_strings)
                page.sheet_state = sheet.state
                book._sheets.append(page)


def read(data: bytes) -> Iterator[tuple[str, Rows]]:
    """Yield name and numbered rows of each visible sheet, in order. Raises Invalid."""
    unpacked = unpack(data)
    try:
        values, formulas = (_open(unpacked.data, stored_results=stored) for stored in (True, False))
    except MemoryError:
        raise
    except Exception:  # defusedxml and openpyxl raise all kinds of errors on a damaged file
        raise broken() from None
    scanned = count()
    return (
        (sheet.title, _sheet_rows(sheet, other, unpacked.parts[sheet._worksheet_path], scanned))
        for sheet, other in zip(values.worksheets, formulas.worksheets, strict=True)
        if sheet.sheet_state == "visible"
    )


def unpack(data: bytes) -> UnpackedWorkbook:
    """Return the workbook with true sizes, and without macros or parts too large to parse. Raises Invalid."""
    unpacked = workbook_archive.unpack(data)
    names = {name.lower() for name in unpacked.parts}
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
    _require_small_trees(unpacked)
    return unpacked


def _open(data: bytes, *, stored_results: bool) -> Any:
    reader = _Reader(io.BytesIO(data), read_only=True, data_only=stored_results, keep_links=False)
    reader.read()
    return reader.wb


def _require_small_trees(unpacked: UnpackedWorkbook) -> None:
    """openpyxl streams sheets and shared strings; any other part becomes a tree, up to a thousand times its size."""
    sizes = {name: part.size for name, part in unpacked.parts.items()}
    if sizes.get(ARC_CONTENT_TYPES, 0) > MAX_TREES:
        raise too_large()
    try:
        with zipfile.ZipFile(io.BytesIO(unpacked.data)) as archive:
            root: Any = fromstring(archive.read(ARC_CONTENT_TYPES))
        manifest: Any = Manifest.from_tree(root)
        strings = {part.PartName[1:] for part in manifest.findall(SHARED_STRINGS)}
        books = {part.PartName[1:] for kind in (XLSX, XLTX, XLSM, XLTM) for part in manifest.findall(kind)}
    except MemoryError:
        raise
    except Exception:  # as above
        raise broken() from None
    trees = {name for name in sizes if not STREAMED.fullmatch(name)} | books
    if sum(sizes.get(name, 0) for name in strings) > MAX_STRINGS or sum(sizes.get(n, 0) for n in trees) > MAX_TREES:
        raise too_large()


def require_small(unpacked: UnpackedWorkbook) -> None:
    """Raises Invalid for a workbook too large to load whole: openpyxl makes a cell of each one a merge covers."""
    cells = 0
    for name, part in unpacked.parts.items():
        if name.startswith("xl/worksheets/"):
            cells += part.cells + 10 * part.others + sum(map(_area, part.merges))  # a pick list, a link: as ten cells
    if cells > MAX_CELLS:
        raise too_large()


def _area(merge: str) -> int:
    if not MERGED.fullmatch(merge):
        return 0
    left, top, right, bottom = (edge or 0 for edge in range_boundaries(merge))
    return (right - left + 1) * (bottom - top + 1)


def _sheet_rows(sheet: Any, formulas: Any, contents: PartContents, scanned: "count[int]") -> Rows:
    try:
        merges = _merges(contents.merges)
        formula_rows = _rows(formulas) if contents.formulas else repeat(())
        running: dict[int, tuple[int, Cell]] = {}  # by column: last row of the merge, and its value
        blank = 0
        for number, (values, formula) in enumerate(zip(_rows(sheet), formula_rows, strict=False), 1):
            if next(scanned) > MAX_SCANNED:
                raise too_large()
            if _blank(values) and _blank(formula):
                if (blank := blank + 1) > MAX_BLANK:
                    return
                continue
            cells = _cells(values, formula)
            for column, last in merges.get(number, ()):
                running[column] = last, cells[column]
            for column, (last, value) in running.items():
                if number <= last and cells[column] is None:
                    cells[column] = value
            yield number, cells
    except (Invalid, MemoryError):
        raise
    except Exception:  # as above: sheets are read while they are iterated
        raise broken() from None


def _merges(ranges: Iterable[str]) -> dict[int, list[tuple[int, int]]]:
    """Merges over several rows, by first row: (column from 0, last row) of each."""
    by_first_row: dict[int, list[tuple[int, int]]] = {}
    for merge in filter(MERGED.fullmatch, ranges):
        column, first, _, last = (edge or 0 for edge in range_boundaries(merge))
        if first < last and column <= LAST_COLUMN:
            by_first_row.setdefault(first, []).append((column - 1, last))
    return by_first_row


def _rows(sheet: Any) -> Iterator[tuple[Any, ...]]:
    sheet.reset_dimensions()  # the size a file declares is often wrong
    return sheet.iter_rows(max_row=LAST_ROW, max_col=LAST_COLUMN, values_only=True)  # type: ignore[no-any-return]


def _blank(row: tuple[Any, ...]) -> bool:
    """Whether all cells are empty or hold only spaces."""
    return row.count(None) == len(row) or all(
        cell is None or (isinstance(cell, str) and not cell.strip()) for cell in row
    )


def _cells(values: tuple[Any, ...], formulas: tuple[Any, ...]) -> list[Cell]:
    """A formula without a stored result is an error, not a blank cell."""
    cells = [CellError.EXCEL_ERROR if isinstance(cell, str) and cell in EXCEL_ERRORS else cell for cell in values]
    for column, formula in enumerate(formulas):
        if formula is not None and cells[column] is None:
            cells[column] = CellError.NO_RESULT
    return cells
