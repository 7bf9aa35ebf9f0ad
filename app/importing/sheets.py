"""Parse a file into rows of sites, without the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice

from app.core.errors import Fault, Invalid
from app.core.workbook import DICTIONARY_SHEET
from app.importing import header_detection, non_site_rows, region_names, rows, tables
from app.importing.csv_reader import too_many_rows
from app.importing.header_detection import SEARCHED_ROWS, FoundHeader, Header
from app.importing.rows import SheetRow
from app.importing.tables import CellTable
from app.registry.vocabulary import TEMPLATE_SHEETS, WARNINGS_SHEET, fold

MAX_ROWS = 20_000
MAX_LISTED = 20  # row numbers named in one message
SKIPPED_SHEETS = frozenset(map(fold, (*TEMPLATE_SHEETS, *WARNINGS_SHEET.values(), *DICTIONARY_SHEET)))


@dataclass(frozen=True, slots=True)
class ParsedSheet:
    name: str | None  # None for CSV
    header: Header
    rows: list[SheetRow]
    skipped: list[int]  # numbers of rows that describe no site, like sums and signatures


@dataclass(frozen=True, slots=True)
class UnreadSheet:
    """A sheet with cells but without the registry's columns, or not enough of them."""

    name: str
    rows: int  # counted up to MAX_ROWS
    missing: str  # column names


@dataclass(frozen=True, slots=True)
class ParsedFile:
    sheets: list[ParsedSheet]
    unread: list[UnreadSheet]

    @property
    def rows(self) -> list[SheetRow]:
        return [row for sheet in self.sheets for row in sheet.rows]

    @property
    def warnings(self) -> list[Fault]:
        """One for each ignored column, sheet with skipped rows, and unread sheet."""
        ignored = [fault for sheet in self.sheets for fault in sheet.header.ignored]
        return ignored + [_skipped(sheet) for sheet in self.sheets if sheet.skipped] + list(map(_unread, self.unread))


def read(data: bytes) -> ParsedFile:
    """Parse every table with the registry's columns. Raises Invalid if there is none, or no row in any."""
    file = ParsedFile([], [])
    refused: list[Invalid] = []
    for table in tables.read(data):
        top = list(islice(table.rows, SEARCHED_ROWS))
        if not top or fold(table.sheet or "") in SKIPPED_SHEETS:
            continue
        found, missing = None, ""
        try:
            found = header_detection.find(top)
        except Invalid as error:
            refused.append(error)
            missing = ", ".join(fault.values["field"] for fault in error.faults if "field" in fault.values)
        if found is not None:
            file.sheets.append(_sheet(table, found, max_rows=MAX_ROWS - len(file.rows)))
        elif table.sheet is not None:
            count = len(top) + sum(1 for _ in islice(table.rows, MAX_ROWS - len(top)))
            file.unread.append(UnreadSheet(table.sheet, count, missing))
        if table.sheet is None and file.sheets:
            break  # one delimiter made a table: the others are wrong
    _require_rows(file, refused)
    return _with_sheet_names(file)


def _require_rows(file: ParsedFile, refused: Sequence[Invalid]) -> None:
    """Raises Invalid; with missing columns named where a header was found."""
    if not file.sheets:
        if refused:
            raise refused[0]
        raise Invalid(
            Fault(
                "file",
                "no_header",
                "No row in the file has the registry's column headers",
                "Use the column headers of the template, above the first row",
            )
        )
    if not file.rows:
        raise Invalid(Fault("file", "no_rows", "There are no rows below the header", "Fill in at least one row"))


def _with_sheet_names(file: ParsedFile) -> ParsedFile:
    """Drop empty sheets; rows name their sheet where several are left."""
    sheets = [sheet for sheet in file.sheets if sheet.rows or sheet.skipped]
    if len(sheets) > 1:
        for sheet in sheets:
            for row in sheet.rows:
                row.sheet = sheet.name
    return ParsedFile(sheets, file.unread)


def _sheet(table: CellTable, found: FoundHeader, *, max_rows: int) -> ParsedSheet:
    header, heading = found.header, region_names.in_sheet_name(table.sheet or "")
    for cells in found.titles:
        heading = non_site_rows.heading(cells) or heading
    sites: list[SheetRow] = []
    skipped: list[int] = []
    signed = False
    for count, (number, cells) in enumerate(chain(found.rest, table.rows)):
        if count >= max_rows:
            raise too_many_rows(MAX_ROWS)
        line = {column: cells[index] for index, column in header.fields.items() if index < len(cells)}
        if non_site_rows.repeats_header(line) or (count == 0 and non_site_rows.numbers_columns(cells)):
            continue
        row = rows.parse(number, line, header, table.decimal_mark)
        fields = 0 if row is None else rows.count_site_fields(row)
        is_certain = row is not None and (fields > 3 or "technology" in row.values)
        signed = not is_certain and (signed or non_site_rows.is_signature(cells))
        # A village's name alone describes no site: a list of all villages has rows for those without one.
        if row is not None and fields > 1 and (is_certain or not (signed or non_site_rows.is_sum(cells))):
            row.heading = heading
            sites.append(row)
        elif named := non_site_rows.heading(cells):
            heading = named
        elif row is not None:
            skipped.append(number)
    return ParsedSheet(table.sheet, header, sites, skipped)


def _skipped(sheet: ParsedSheet) -> Fault:
    numbers = ", ".join(map(str, sheet.skipped[:MAX_LISTED])) + (", …" if len(sheet.skipped) > MAX_LISTED else "")
    return Fault(
        "file",
        "skipped_rows",
        "Skipped rows that describe no site: {rows}",
        "If one is a site, fill in its village or code, its technology, provider and host",
        row=sheet.skipped[0],
        values={"rows": f"{sheet.name}: {numbers}" if sheet.name else numbers},
    )


def _unread(sheet: UnreadSheet) -> Fault:
    return Fault(
        "file",
        "unread_sheet",
        "Sheet {sheet} was not read ({rows} rows): it lacks {missing}"
        if sheet.missing
        else "Sheet {sheet} was not read ({rows} rows): no row has the registry's column headers",
        "If it lists sites, use the column headers of the template",
        values={"sheet": sheet.name, "rows": sheet.rows, "missing": sheet.missing},
    )
