"""Tables as files: what a row holds becomes a cell of its column, in each format and language."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from openpyxl import load_workbook

from app.core import tables, workbook
from app.core.clock import midnight
from app.core.errors import Invalid
from app.core.periods import Period
from app.core.tables import (
    MOMENT,
    PERCENT,
    SECONDS,
    SENTENCES,
    Column,
    Language,
    Table,
    Text,
    file_name,
    require_few_rows,
)
from app.core.tabular import Separator

AT = datetime(2026, 9, 30, 16, 0, 0, tzinfo=UTC)
OCTOBER = Period(AT, datetime(2026, 10, 31, 16, 0, 0, tzinfo=UTC))
COLUMNS = (
    Column("code", "Kode titik akses", "Site code"),
    Column("state", "Status", "State", words={"up": "normal"}),
    Column("seconds_down", "Putus", "Down", SECONDS, path="seconds.down"),
    Column("uptime_pct", "Ketersediaan", "Uptime", PERCENT, arti="dibulatkan ke bawah", meaning="rounded down"),
    Column("started_at", "Mulai", "Start", MOMENT),
    Column("down_power_s", "Putus karena listrik padam", "Down: power", SECONDS, path="causes.power", missing=0),
)
ROW = {
    "code": "=1+1",
    "state": "up",
    "seconds": {"down": 1234},
    "uptime_pct": 99.412,
    "started_at": AT,
    "causes": {},
}
TABLE = Table(Text("Ketersediaan X", "Uptime of X"), COLUMNS, [ROW], period=OCTOBER, notes=[Text("Catatan", "Note")])


def lines(table: Table, language: Language, separator: Separator = Separator.COMMA) -> list[list[str]]:
    text = table.csv(language, separator).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text), delimiter=";" if separator is Separator.SEMICOLON else ","))


def test_csv_has_headers_and_words_in_the_language_and_moments_with_witas_offset() -> None:
    assert lines(TABLE, Language.ID) == [
        [
            "Kode titik akses",
            "Status",
            "Putus (detik)",
            "Ketersediaan (%)",
            "Mulai (WITA)",
            "Putus karena listrik padam (detik)",
        ],
        ["'=1+1", "normal", "1234", "99.412", "2026-10-01T00:00:00+08:00", "0"],
    ]
    header, row = lines(TABLE, Language.EN)
    assert header[:4] == ["Site code", "State", "Down (s)", "Uptime (%)"]
    assert row[1] == "up"
    assert lines(TABLE, Language.API)[0] == [column.name for column in COLUMNS]
    assert lines(TABLE, Language.ID, Separator.SEMICOLON)[1][3] == "99,412"


def test_a_workbook_has_real_moments_and_numbers_formats_a_frozen_header_and_a_dictionary() -> None:
    first, dictionary = load_workbook(io.BytesIO(workbook.xlsx(TABLE, Language.ID))).worksheets
    values: list[Any] = list(first.values)
    assert [row[0] for row in values[:2]] == [
        "Ketersediaan X",
        "Masa: 1 Oktober 2026 00.00.00 WITA sampai 1 November 2026 00.00.00 WITA",
    ]
    assert (values[2][0].startswith("Dibuat: "), values[3][0], values[4][0]) == (True, "Catatan", None)
    assert (first.freeze_panes, first.print_title_rows, first.auto_filter.ref) == ("C7", "$6:$6", "A6:F7")
    assert [cell.value for cell in first[6]] == TABLE.header(Language.ID)
    assert all(cell.font.bold for cell in first[6])
    code, state, down, uptime, started, power = first[7]
    assert (code.value, code.data_type, code.quotePrefix) == ("=1+1", "s", True)
    assert (state.value, down.value, uptime.value, power.value) == ("normal", 1234, 99.412, 0)
    assert started.value == datetime(2026, 10, 1)  # noqa: DTZ001  # in WITA, as the header says
    assert [cell.number_format for cell in (down, uptime, started)] == ["#,##0", "0.000", "yyyy-mm-dd hh:mm:ss"]
    entries = list(dictionary.values)
    assert entries[4] == ("Ketersediaan (%)", "uptime_pct", "%", "dibulatkan ke bawah", None)
    assert dictionary.title == "Kamus data"


@pytest.mark.parametrize("row", [{}, {"seconds": None, "causes": None}])
def test_what_a_row_does_not_have_is_an_empty_cell(row: dict[str, Any]) -> None:
    assert lines(Table(None, COLUMNS, [row]), Language.ID)[1] == [""] * 6


def test_a_file_has_a_bound_and_the_refusal_says_what_to_narrow() -> None:
    most = tables.max_rows(COLUMNS, "xlsx")
    require_few_rows(most, COLUMNS, "xlsx")
    with pytest.raises(Invalid) as refused:
        require_few_rows(200_000, COLUMNS, "xlsx")
    (fault,) = refused.value.faults
    assert (fault.field, fault.code, fault.values["most"]) == ("format", "too_many_rows", most)
    assert "region, provider or technology" in (fault.suggestion or "")


def test_a_file_is_named_after_its_subject_and_period() -> None:
    def named(start: datetime, end: datetime) -> str:
        return file_name("ketersediaan", "64.02", Period(start, end), "csv")

    first = midnight(OCTOBER.start.date() + timedelta(days=1))
    assert file_name("ketersediaan", "64.02.05.2003-01", OCTOBER, "csv") == "ketersediaan-64.02.05.2003-01-2026-10.csv"
    assert named(first, first + timedelta(days=1)) == "ketersediaan-64.02-2026-10-01.csv"
    assert named(first, first + timedelta(days=7)) == "ketersediaan-64.02-2026-10-01_2026-10-07.csv"
    assert named(first, first + timedelta(hours=14.5)) == "ketersediaan-64.02-2026-10-01_2026-10-01T1430.csv"
    assert named(first + timedelta(hours=1), first + timedelta(hours=25)) == (
        "ketersediaan-64.02-2026-10-01T0100_2026-10-02T0100.csv"
    )
    assert file_name("peringkat-provider", "", None, "xlsx") == "peringkat-provider.xlsx"
    assert file_name("a", '..";\r\nx/ü', None, "csv").isascii()


def test_a_workbook_leaves_out_sparse_columns_that_no_row_has_and_csv_keeps_them() -> None:
    columns = [
        Column("code", "Kode", "Code"),
        *(
            Column(cause, cause, cause, SECONDS, path=f"excluded.{cause}", missing=0, sparse=True)
            for cause in ("power", "weather")
        ),
    ]
    both = Table(None, columns, [{"code": "a", "excluded": {}}, {"code": "b", "excluded": {"power": 300}}])
    assert [column.name for column in both.without_empty().columns] == ["code", "power"]
    assert lines(both, Language.API)[1:] == [["a", "0", "0"], ["b", "300", "0"]]


def test_sentences_are_wrapped_and_the_columns_of_a_further_sheet_fit_and_are_not_empty() -> None:
    sentence = "Tidak tercapai: ketersediaan paling tinggi 98,994%. " * 4
    columns = (Column("reason", "Penjelasan", "Reason", SENTENCES), Column("hail", "Es", "Hail", SECONDS, sparse=True))
    further = Table(None, (*columns, Column("s", "Detik", "s", SECONDS)), [{"reason": "", "s": 1_234_567_890}])
    table = Table(None, columns, [{"reason": sentence}], further=[replace(further, sheet=Text("Jumlah", "Sums"))])
    first, sums = load_workbook(io.BytesIO(workbook.xlsx(table, Language.ID))).worksheets[:2]
    assert first["A2"].value == sentence
    assert first["A2"].alignment.wrap_text
    assert first.column_dimensions["A"].width == 80
    assert [cell.value for cell in sums[1]] == ["Penjelasan", "Detik (detik)"]
    assert sums.column_dimensions["B"].width == len("1.234.567.890") + 2


def test_a_heading_writes_the_time_of_day_as_its_language_does() -> None:
    assert TABLE.heading(Language.ID, AT)[1:3] == [
        "Masa: 1 Oktober 2026 00.00.00 WITA sampai 1 November 2026 00.00.00 WITA",
        "Dibuat: 1 Oktober 2026 00.00.00 WITA",
    ]
    assert TABLE.heading(Language.EN, AT)[1:3] == [
        "Period: 1 October 2026 00:00:00 WITA up to 1 November 2026 00:00:00 WITA",
        "Made: 1 October 2026 00:00:00 WITA",
    ]
