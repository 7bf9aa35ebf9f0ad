"""Parse files as districts send them into rows, without a database."""

import io
from typing import Any

import openpyxl
import pytest

from app.access.models import Role
from app.access.scope import Caller
from app.core.errors import Fault, Invalid
from app.exporting import template
from app.importing import header_detection, sheets
from app.importing.rows import SheetRow
from app.importing.sheets import ParsedFile
from app.registry.spreadsheet_columns import SITE_COLUMNS
from app.registry.vocabulary import fold
from tests.support.imports import TOP, refused_with, repack, saved, workbook, workbook_of


def numbered_values(file: ParsedFile) -> list[tuple[int, dict[str, Any]]]:
    return [(row.number, row.values) for row in file.rows]


@pytest.mark.parametrize(
    "cell",
    [
        "-1.0123, 117.1234",
        "-1.0123,117.1234",
        "-1,0123, 117,1234",
        "-1,0123 117,1234",
        "-1,0123; 117,1234",
        "-1.0123/117.1234",
        "1°0'44.28\" LS 117°7'24.24\" BT",
        "1°0'44,28\" LS, 117°7'24,24\" BT",
    ],
)
def test_a_cell_with_both_coordinates_is_two(cell: str) -> None:
    (row,) = sheets.read(workbook([*TOP, "Titik Koordinat"], ["64.02.05.2003", "fo", "x", "icmp", "a.id", cell])).rows
    assert row.faults == []
    assert (row.values["latitude"], row.values["longitude"]) == pytest.approx((-1.0123, 117.1234), abs=1e-6)
    assert row.source_text("longitude") == cell


def test_a_cell_without_the_two_coordinates_of_its_column_is_a_fault() -> None:
    line = ["64.02.05.2003", "fo", "x", "icmp", "a.id"]
    row, blank = sheets.read(workbook([*TOP, "Koordinat"], [*line, "dekat balai desa"], [*line, "tidak ada"])).rows
    assert ([fault.code for fault in row.faults], row.source_column("latitude")) == (["bad_coordinate"], "position")
    assert (blank.faults, "latitude" in blank.values) == ([], False)


def test_a_phone_number_with_letters_is_a_warning() -> None:
    rows = sheets.read(
        workbook(
            [*TOP, "No HP"],
            *(
                ["64.02.05.2003", "fo", "x", "icmp", "a.id", phone]
                for phone in ("0812 3456", "+62 812", "Bu Rina 0812")
            ),
        )
    ).rows
    assert [[fault.code for fault in row.warnings] for row in rows] == [[], [], ["odd_phone"]]


def test_a_missing_column_is_reported_with_unknown_ones() -> None:
    with pytest.raises(Invalid) as error:
        sheets.read(b"Kode desa;Jenis Layanan;Vendor;Status;Cara ukur\n1;2;3;4;5")
    faults = [(fault.field, fault.code, fault.suggestion) for fault in error.value.faults]
    assert faults == [
        ("provider", "missing_column", "Add it as in the template"),
        ("file", "unknown_column", None),
        ("file", "unknown_column", None),
    ]


def test_the_delimiter_of_a_csv_file_tells_its_decimal_mark() -> None:
    line = "64.02.05.2003{0}fo{0}x{0}icmp{0}a.id{0}{1}"
    for delimiter, written, mbps in ((",", "50.125", 50.125), (";", "1.125", 1_125), (";", "50,125", 50.125)):
        text = delimiter.join([*TOP, "Bandwidth"]) + "\n" + line.format(delimiter, written)
        assert sheets.read(text.encode()).rows[0].values["bandwidth_down_mbps"] == mbps


def test_no_header_means_two_fields() -> None:
    names = [
        fold(name)
        for column in header_detection.COLUMNS.values()
        for name in {fold(name) for name in (column.field, column.indonesian, *column.aliases)}
    ]
    assert sorted(names) == sorted(set(names))
    for column in SITE_COLUMNS:
        assert header_detection.by_name()[fold(column.indonesian)] == column.field


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_in_any_delimiter_and_encoding_numbers_its_rows_as_excel_does(delimiter: str, encoding: str) -> None:
    lines = [
        "sep=" + delimiter,
        delimiter.join([*TOP, "Catatan"]),
        "",
        delimiter.join(["64.02.05.2003", "fo", "Telkom", "icmp", "198.51.100.20", '"Café\n""dua"""']),
        delimiter.join(["64.02.05.2004", "radio", "Telkom", "icmp", "198.51.100.21", "±5"]),
    ]
    file = sheets.read("\r\n".join(lines).encode(encoding))
    assert [(number, values["notes"]) for number, values in numbered_values(file)] == [(3, 'Café\n"dua"'), (4, "±5")]


def test_titles_merges_blank_and_numbering_rows_and_repeated_headers_are_handled() -> None:
    file = sheets.read(
        workbook(
            ["DAFTAR TITIK AKSES INTERNET DESA"],
            [],
            ["Tahun 2026"],
            ["No", *TOP],
            ["(1)", "(2)", "(3)", "(4)", "(5)", "(6)"],
            [1, "64.02.05.2003", "fo", "Telkom", "icmp", "198.51.100.20"],
            [2, None, "radio", "Orbit", "icmp", "198.51.100.21"],
            [None, " ", None, None, None, None],
            ["No", *TOP],
            [3, 6402052004, "vsat", "Orbit", "push", None],
            ["Jumlah", None],
            merges=("A1:F1", "B6:B7"),
        )
    )
    assert file.sheets[0].header.number == 4
    assert [(number, values["village_code"], values["technology"]) for number, values in numbered_values(file)] == [
        (6, "64.02.05.2003", "fiber"),
        (7, "64.02.05.2003", "radio"),
        (10, "64.02.05.2004", "geo"),
    ]


def test_a_header_merged_over_two_rows_is_read_from_the_complete_one() -> None:
    top = [*TOP, "Koordinat", None]
    file = sheets.read(
        workbook(
            top,
            [None] * 5 + ["Lintang", "Bujur"],
            ["64.02.05.2003", "fo", "Telkom", "icmp", "a.id", "-0,4", "117,4"],
            merges=("A1:A2", "B1:B2", "C1:C2", "D1:D2", "E1:E2", "F1:G1"),
        )
    )
    assert (file.sheets[0].header.number, file.rows[0].values["latitude"], file.rows[0].values["longitude"]) == (
        2,
        -0.4,
        117.4,
    )


def test_a_southern_header_makes_its_latitudes_southern() -> None:
    file = sheets.read(workbook([*TOP, "LS", "BT"], ["64.02.05.2003", "fo", "x", "icmp", "a.id", "0,4", "117,4"]))
    assert (file.rows[0].values["latitude"], file.rows[0].values["longitude"]) == (-0.4, 117.4)


def test_the_first_sheet_with_the_registrys_columns_is_read_and_hidden_ones_are_not() -> None:
    made = openpyxl.Workbook()
    first: Any = made.active
    first.append(["Petunjuk pengisian"])
    hidden, real = made.create_sheet("lama"), made.create_sheet("Data")
    hidden.sheet_state = "hidden"
    for page in (hidden, real):
        page.append(TOP)
        page.append(["64.02.05.2003", "fo", "x", "icmp", "a.id"])
    assert sheets.read(saved(made)).sheets[0].name == "Data"


def test_every_sheet_with_the_registrys_columns_is_read_and_the_others_are_named() -> None:
    line = ["64.02.05.2003", "fo", "x", "icmp", "a.id"]
    file = sheets.read(
        workbook_of(
            Muara=[TOP, line],
            Kenohan=[["Kecamatan Kenohan"], TOP[::-1], line[::-1]],
            Contoh=[TOP, line],
            Rekap=[["Kecamatan", "Desa", "Jumlah"], ["Kenohan", "Kahala", 3]],
            Surat=[["Kepada"], [], ["Yth."]],
            Kosong=[],
            Wilayah=[["Kode", "Desa", "Kecamatan"]],
        )
    )
    assert [(row.label, row.values["host"]) for row in file.rows] == [("Muara!2", "a.id"), ("Kenohan!3", "a.id")]
    assert [(sheet.name, sheet.rows, "Teknologi" in sheet.missing) for sheet in file.unread] == [
        ("Rekap", 2, True),
        ("Surat", 2, False),
    ]
    assert [fault.code for fault in file.warnings] == ["unread_sheet"] * 2
    assert sheets.read(workbook_of(Data=[TOP, line])).rows[0].label == "2"


def test_the_template_s_example_is_not_imported() -> None:
    data = template.workbook([], caller=Caller(1, "ana", Role.DISTRICT_OPERATOR, "64.02"))
    made = openpyxl.load_workbook(io.BytesIO(data))
    assert refused_with(saved(made)) == "no_rows"
    for cell, value in zip(("B2", "E2", "F2", "M2", "N2"), ("64.02.05.2003", "fo", "x", "icmp", "a.id"), strict=True):
        made.worksheets[0][cell] = value
    file = sheets.read(saved(made))
    assert ([row.label for row in file.rows], file.warnings) == (["2"], [])


def test_sums_and_signatures_are_skipped_with_one_warning() -> None:
    top = [*TOP, "Catatan", "Bandwidth"]
    line = ["64.02.05.2003", "fo", "x", "icmp", "a.id", None, 5]
    file = sheets.read(workbook(top, line, [*[None] * 5, "Jumlah", 5], [*[None] * 5, "NIP. 19700101"], line))
    assert [row.number for row in file.rows] == [2, 5]
    (warning,) = file.warnings
    assert (warning.code, warning.values["rows"]) == ("skipped_rows", "Sheet: 3, 4")


def test_a_formula_is_its_stored_result_and_one_without_is_a_fault() -> None:
    data = workbook(TOP, ["64.02.05.2003", "fo", "=A1", "icmp", "=1+1"], ["64.02.05.2004", "fo", "x", "icmp", "#REF!"])
    first, second = sheets.read(data).rows
    assert [fault.code for fault in first.faults] == ["uncomputed", "uncomputed"]
    assert [fault.code for fault in second.faults] == ["excel_error"]
    stored = repack(
        data,
        lambda xml: xml.replace(b"<f>A1</f><v />", b"<f>A1</f><v>5</v>").replace(
            b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>"
        ),
    )
    (row, _) = sheets.read(stored).rows
    assert (row.values["provider"], row.source_text("host")) == ("5", "2")


def test_a_row_keeps_one_fault_for_each_field() -> None:
    row = SheetRow(1, {}, {"village": "x"}, header_detection.Header(1, {0: "village"}, {"village": "Desa"}, [], False))
    for code in ("first", "second"):
        row.add_faults(Fault("host", code, ""))
    assert [fault.code for fault in row.faults] == ["first"]
    assert row.source_text("village_code") == "x"
