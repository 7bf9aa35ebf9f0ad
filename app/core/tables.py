"""Tables as files: columns with a name, headers in two languages and a unit; rows of values; written as CSV or XLSX.

    COLUMNS = (
        Column("code", "Kode titik akses", "Site code"),
        Column("state", "Status", "State", words={"up": "normal", "down": "putus"}),
        Column("seconds_down", "Putus", "Down", SECONDS, path="seconds.down"),
        Column("uptime_pct", "Ketersediaan", "Uptime", PERCENT, arti="...", meaning="..."),
        Column("started_at", "Mulai", "Start", MOMENT),
    )
    rows = [{"code": "64.02.05.2003-01", "state": "up", "seconds": {"down": 60}, "uptime_pct": 99.4, "started_at": at}]
    table = Table(Text("Ketersediaan Muara Badak Ulu", "Uptime of Muara Badak Ulu"), COLUMNS, rows, period=period)
    table.csv(Language.ID, Separator.SEMICOLON)  # bytes; Status;Putus (detik);Ketersediaan (%);Mulai (WITA)
    workbook.xlsx(table, Language.ID)            # app/core/workbook.py

Routes write them with `TableRequest` (app/web/table_files.py). Values are as the API's models hold them: moments in any
zone become WITA, `words` apply to Indonesian files alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from app.core.clock import to_wita
from app.core.errors import Fault, Invalid
from app.core.i18n import write_moment
from app.core.periods import Period, parse_month
from app.core.tabular import BOM, Cell, Separator, csv_text

MAX_CELLS = {"csv": 2_000_000, "xlsx": 500_000}  # of a file: some seconds of work, some hundred megabytes

Row = Mapping[str, Any]


class Language(StrEnum):
    """Of a file's headers, title and words: `id`, Bahasa Indonesia; `en`, English; `api`, as the JSON has them."""

    ID = "id"
    EN = "en"
    API = "api"


class Text(NamedTuple):
    indonesian: str
    english: str

    def to(self, language: Language) -> str:
        return self.indonesian if language is Language.ID else self.english


@dataclass(frozen=True, slots=True)
class Kind:
    """What a column holds: its unit, with which the header ends, and its number format in a workbook."""

    unit: Text | None = None
    number_format: str = "General"
    in_header: bool = True  # False: the header names the unit by itself
    is_long: bool = False  # texts of a workbook's cells are wrapped


TEXT, SENTENCES, COUNT = Kind(), Kind(is_long=True), Kind(number_format="#,##0")
SECONDS = Kind(Text("detik", "s"), "#,##0")
PERCENT = Kind(Text("%", "%"), "0.000")
MILLISECONDS = Kind(Text("ms", "ms"), "0.000")
MBPS, MEGABYTES = Kind(Text("Mbps", "Mbps"), "0.000"), Kind(Text("MB", "MB"), "#,##0.000")
BYTES = Kind(Text("byte", "bytes"), "#,##0")
MOMENT = Kind(Text("WITA", "WITA"), "yyyy-mm-dd hh:mm:ss")
DAY = Kind(number_format="yyyy-mm-dd")


@dataclass(frozen=True, slots=True)
class Column:
    """`path`: where a row has the value, with dots through nested mappings; by default under `name`.

    `missing`: the value where the innermost mapping lacks it. A value in both languages is that of the file's.
    `sparse`: left out of a workbook of which no row has it.
    """

    name: str
    indonesian: str
    english: str
    kind: Kind = TEXT
    path: str = ""
    words: Mapping[Any, str] | None = None  # Indonesian words for values
    missing: Cell = None
    sparse: bool = False
    arti: str = ""  # what the header does not say, in Bahasa Indonesia
    meaning: str = ""
    reference: str = ""  # source of the values

    def header(self, language: Language) -> str:
        if language is Language.API:
            return self.name
        text, unit = Text(self.indonesian, self.english).to(language), self.kind.unit
        return text if unit is None or not self.kind.in_header else f"{text} ({unit.to(language)})"

    def under(self, parent: str, indonesian: str, english: str, *, sparse: bool = False) -> "Column":
        """Return the column for the same value inside of `parent`, a nested mapping."""
        return replace(
            self,
            name=f"{parent}_{self.name}",
            indonesian=f"{indonesian}: {self.indonesian}",
            english=f"{english}: {self.english}",
            path=f"{parent}.{self.path or self.name}",
            sparse=sparse,
        )

    def cell(self, row: Row, language: Language) -> Cell:
        *parents, last = (self.path or self.name).split(".")
        inner: Row | None = row
        for parent in parents:
            inner = None if inner is None else inner.get(parent)
        value = None if inner is None else inner.get(last, self.missing)
        if isinstance(value, datetime):
            return to_wita(value)
        if isinstance(value, Mapping):
            return value["id" if language is Language.ID else "en"]  # type: ignore[no-any-return]
        return self.words.get(value, value) if self.words and language is Language.ID else value


@dataclass(frozen=True, slots=True)
class Table:
    """A file's content. Title, period and notes stand above the header of a workbook; CSV has rows alone.

    `subject`: what the rows are about, in the file's name.
    """

    title: Text | None
    columns: Sequence[Column]
    rows: Sequence[Row]
    period: Period | None = None
    notes: Sequence[Text] = ()
    subject: str = ""
    sheet: Text = field(default=Text("Tabel", "Table"))
    further: Sequence["Table"] = ()  # on further sheets of a workbook

    def header(self, language: Language) -> list[str]:
        return [column.header(language) for column in self.columns]

    def cells(self, rows: Iterable[Row], language: Language) -> Iterable[list[Cell]]:
        return ([column.cell(row, language) for column in self.columns] for row in rows)

    def without_empty(self) -> "Table":
        """Return the table without those sparse columns that are empty, or `missing`, in every row."""
        api = Language.API
        kept = [
            column
            for column in self.columns
            if not column.sparse or any(column.cell(row, api) not in (None, column.missing) for row in self.rows)
        ]
        return replace(self, columns=kept)

    def csv(self, language: Language, separator: Separator = Separator.COMMA) -> bytes:
        return (BOM + csv_text([self.header(language), *self.cells(self.rows, language)], separator)).encode()

    def heading(self, language: Language, now: datetime) -> list[str]:
        """Return the lines above the header: title, period, when it was made, notes."""
        if self.title is None:
            return []
        words, lines = "id" if language is Language.ID else "en", [self.title.to(language)]
        if self.period is not None:
            start, end = (write_moment(moment, language=words) for moment in (self.period.start, self.period.end))
            lines.append(Text(f"Masa: {start} sampai {end}", f"Period: {start} up to {end}").to(language))
        made = write_moment(now, language=words)
        lines.append(Text(f"Dibuat: {made}", f"Made: {made}").to(language))
        return lines + [note.to(language) for note in self.notes]


def max_rows(columns: Sequence[Column], extension: str) -> int:
    """Return how many rows of these columns a file of this kind may have."""
    return MAX_CELLS[extension] // len(columns)


def require_few_rows(rows: int, columns: Sequence[Column], extension: str) -> None:
    """Raises Invalid for more rows than a file may have. Call it before anything is written."""
    if rows <= (most := max_rows(columns, extension)):
        return
    raise Invalid(
        Fault(
            "format",
            "too_many_rows",
            "These are more than the {most} rows that a file in the format {format} holds here",
            "Choose a shorter period or a longer step, or one region, provider or technology; CSV holds more than XLSX",
            values={"most": most, "format": extension},
        )
    )


def file_name(stem: str, subject: str, period: Period | None, extension: str) -> str:
    """Return an ASCII name such as `ketersediaan-64.02.05.2003-01-2026-10.csv`."""
    name = "-".join(part for part in (stem, subject, period and name_period(period)) if part)
    return f"{re.sub(r'[^A-Za-z0-9._]+', '-', name).strip('-.')}.{extension}"


def name_period(period: Period) -> str:
    """Return `2026-10` for a month, `2026-10-01` for a day, else first and last: `2026-10-01_2026-10-07T1430`."""
    start, end = to_wita(period.start), to_wita(period.end)
    if parse_month(f"{start:%Y-%m}") == period:
        return f"{start:%Y-%m}"
    first = f"{start:%Y-%m-%d}" if _is_midnight(start) else f"{start:%Y-%m-%dT%H%M}"
    last = f"{end - timedelta(days=1):%Y-%m-%d}" if _is_midnight(end) else f"{end:%Y-%m-%dT%H%M}"
    return first if first == last else f"{first}_{last}"


def _is_midnight(moment: datetime) -> bool:
    return (moment.hour, moment.minute, moment.second) == (0, 0, 0)
