"""Parse files as districts send them, and hostile ones, without a database."""

import contextlib
import io
import re
import zipfile
from datetime import datetime, time
from time import process_time
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as some
from openpyxl.xml.constants import XLSM

from app.access.models import Role
from app.access.scope import Caller
from app.core.errors import Fault, Invalid
from app.core.validation import FaultError
from app.exporting import template
from app.importing import cells, headers, planning, sheets, xlsx_reader
from app.importing.cells import Cell, CellError
from app.importing.rows import SheetRow
from app.importing.sheets import ParsedFile
from app.registry import conflicts, drafts, regions
from app.registry.columns import SITE_COLUMNS
from app.registry.vocabulary import CHOICES, SYNONYMS, fold
from tests.support.imports import repack, saved

TOP = ["Kode desa", "Teknologi", "ISP", "Metode", "IP"]
MIDNIGHT = datetime(2026, 11, 24)  # noqa: DTZ001  # as workbooks have them
VILLAGES = [row["code"] for row in regions.read_csv() if row["level"] == "desa_kelurahan"]


def book(*rows: list[Any], merges: tuple[str, ...] = ()) -> bytes:
    made = openpyxl.Workbook()
    page: Any = made.active
    for row in rows:
        page.append(row)
    for merge in merges:
        page.merge_cells(merge)
    return saved(made)


def refused(data: bytes) -> str:
    with pytest.raises(Invalid) as error:
        sheets.read(data)
    return error.value.faults[0].code


def fault(field: str, cell: Cell) -> str:
    with pytest.raises(FaultError) as error:
        cells.read(field, cell)
    return error.value.fault.code


def numbered_values(file: ParsedFile) -> list[tuple[int, dict[str, Any]]]:
    return [(row.number, row.values) for row in file.rows]


# Cells


@given(some.decimals(min_value=-180, max_value=180, places=6))
def test_decimal_comma_and_decimal_point_are_equal(value: Any) -> None:
    for text in (f"{value:f}", f"{value:f}".replace(".", ","), f" {value:f}\u00a0".replace("-", "−")):
        assert cells.read("longitude", text) == pytest.approx(float(value), abs=1e-9)


@given(some.integers(0, 2), some.integers(0, 59), some.decimals(min_value=0, max_value="59.99", places=2))
def test_degrees_minutes_and_seconds_are_degrees(whole: int, minutes: int, seconds: Any) -> None:
    expected = whole + minutes / 60 + float(seconds) / 3600
    comma = f"{seconds}".replace(".", ",")
    for south in (
        f"{whole}°{minutes}'{comma}\" LS",
        f"{whole} {minutes} {seconds} S",
        f"S {whole}º{minutes}′{seconds}″",
        f"-{whole}°{minutes}'{seconds}\"",
        f"{whole}° {minutes}’ {comma}” Lintang Selatan",
    ):
        assert cells.read("latitude", south) == pytest.approx(-expected, abs=1e-8)
    for north in (f"{whole}°{minutes}'{comma}\" LU", f"{whole}:{minutes}:{seconds}", f"{whole} {minutes} {seconds} N"):
        assert cells.read("latitude", north) == pytest.approx(expected, abs=1e-8)


@given(some.sampled_from(VILLAGES), some.integers(1, 99))
def test_a_code_is_a_code_with_or_without_dots(code: str, number: int) -> None:
    digits = code.replace(".", "")
    for written in (
        code,
        digits,
        int(digits),
        float(digits),
        f" {code} ",
        code.replace(".", " "),
        code.replace(".", "-"),
    ):
        assert cells.read("village_code", written) == code
    assert (
        cells.read("code", f"{digits}-{number:02d}")
        == cells.read("code", f"{code}-{number:02d}")
        == f"{code}-{number:02d}"
    )


@pytest.mark.parametrize(
    ("field", "cell", "value"),
    [
        ("bandwidth_down_mbps", "12,5", 12.5),
        ("bandwidth_down_mbps", "50 Mbps", 50),
        ("bandwidth_down_mbps", 50, 50),
        ("bandwidth_down_mbps", "1 Gbps", 1000),
        ("bandwidth_down_mbps", "1.000", 1000),
        ("bandwidth_down_mbps", "1.234,5", 1234.5),
        ("bandwidth_down_mbps", "1,234.5", 1234.5),
        ("bandwidth_down_mbps", "0,512", 0.512),
        ("port", 8080.0, 8080),
        ("port", "443", 443),
        ("contact_phone", 81234567890.0, "081234567890"),
        ("contact_phone", "'+62 812-3456", "+62 812-3456"),
        ("contact_phone", "0812 3456", "0812 3456"),
        ("service_no", 4700001002.0, "4700001002"),
        ("service_no", "4700001-0021", "4700001-0021"),
        ("notes", "'=A1", "=A1"),
        ("notes", "'x", "'x"),
        ("notes", "''=A1", "'=A1"),
        ("latitude", -0.123456789012, -0.123456789012),
        ("latitude", "-0.123456789012", -0.123456789012),
        ("notes", "satu\n dua\u00a0", "satu\n dua"),
        ("notes", MIDNIGHT, "24/11/2026"),
        ("public_hours", time(8, 30), "08.30"),
        ("host_static", "Ya", True),
        ("host_static", "Dinamis", False),
        ("host_static", False, False),
        ("power_source", "tidak ada", "none"),
        ("power_source", "PLN Terbatas", "pln_limited"),
        ("venue", "tidak ada", None),
        ("notes", "-", None),
        ("notes", " n/a ", None),
        ("host", "–", None),
        ("name", "7", "7"),
        ("village_code", "6403050003", "6403050003"),
        ("technology", "Fiber-Optik", "fiber"),
        ("technology", "V-SAT", "geo"),
        ("technology", "STARLINK", "leo"),
        ("technology", "Satelit GEO (VSAT)", "geo"),
        ("technology", "4G/LTE", "cellular"),
        ("probe", "Ping", "icmp"),
        ("link_role", "Cadangan", "backup"),
        ("lifecycle", "AKTIF", "active"),
        ("venue", "Kantor Desa", "kantor_desa"),
        ("kind", "Simpul", "node"),
    ],
)
def test_a_cell_is_parsed_by_its_column(field: str, cell: Cell, value: Any) -> None:
    assert cells.read(field, cell) == value


@pytest.mark.parametrize(
    ("field", "cell", "code"),
    [
        ("bandwidth_down_mbps", "50,000", "ambiguous_number"),
        ("bandwidth_down_mbps", "cepat", "float_parsing"),
        ("latitude", "0°75'0\" LS", "bad_coordinate"),
        ("longitude", "117.439.100", "bad_coordinate"),
        ("latitude", "di desa", "bad_coordinate"),
        ("latitude", "117,4 BT", "other_axis"),
        ("technology", "satelit", "enum"),
        ("host_static", "mungkin", "bool_parsing"),
        ("service_no", MIDNIGHT, "became_date"),
        ("service_no", 4700001002100021, "rounded"),
        ("service_no", "4,70001E+15", "rounded"),
        ("name", CellError.EXCEL_ERROR, "excel_error"),
        ("name", CellError.NO_RESULT, "uncomputed"),
    ],
)
def test_an_unreadable_cell_is_a_fault(field: str, cell: Cell, code: str) -> None:
    assert fault(field, cell) == code


@pytest.mark.parametrize(
    ("field", "cell", "suggestion"),
    [
        ("technology", "Satelit", "Starlink"),
        ("venue", "Tower", "{near}"),
        ("host", "http://36.66.10.49", "without http"),
        ("host", "36.66.10.48/29", "single address"),
        ("host", "36,66,10,49", "dots"),
        ("host", 366610050, "dots"),
        ("bandwidth_down_mbps", "50.000", "{thousands}, or {decimal}"),
    ],
)
def test_common_mistakes_have_a_suggestion(field: str, cell: Cell, suggestion: str) -> None:
    with pytest.raises(FaultError) as error:
        cells.read(field, cell)
    assert suggestion in str(error.value.fault.suggestion)


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
    (row,) = sheets.read(book([*TOP, "Titik Koordinat"], ["64.02.05.2003", "fo", "x", "icmp", "a.id", cell])).rows
    assert row.faults == []
    assert (row.values["latitude"], row.values["longitude"]) == pytest.approx((-1.0123, 117.1234), abs=1e-6)
    assert row.source_text("longitude") == cell


def test_a_cell_without_the_two_coordinates_of_its_column_is_a_fault() -> None:
    line = ["64.02.05.2003", "fo", "x", "icmp", "a.id"]
    row, blank = sheets.read(book([*TOP, "Koordinat"], [*line, "dekat balai desa"], [*line, "tidak ada"])).rows
    assert ([fault.code for fault in row.faults], row.source_column("latitude")) == (["bad_coordinate"], "position")
    assert (blank.faults, "latitude" in blank.values) == ([], False)


def test_a_phone_number_with_letters_is_a_warning() -> None:
    rows = sheets.read(
        book(
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


@pytest.mark.parametrize("field", sorted(CHOICES))
def test_no_word_means_two_choices(field: str) -> None:
    words = [
        fold(word)
        for value, named in CHOICES[field].items()
        for word in {fold(word) for word in (value.value, named, *SYNONYMS.get(value, ()))}
    ]
    assert sorted(words) == sorted(set(words))


def test_no_header_means_two_fields() -> None:
    names = [
        fold(name)
        for column in headers.COLUMNS.values()
        for name in {fold(name) for name in (column.field, column.indonesian, *column.aliases)}
    ]
    assert sorted(names) == sorted(set(names))
    for column in SITE_COLUMNS:
        assert headers.by_name()[fold(column.indonesian)] == column.field


# Tables


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
        book(
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
        book(
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
    file = sheets.read(book([*TOP, "LS", "BT"], ["64.02.05.2003", "fo", "x", "icmp", "a.id", "0,4", "117,4"]))
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


def pages(**rows: list[list[Any]]) -> bytes:
    made = openpyxl.Workbook(write_only=True)
    for title, lines in rows.items():
        page: Any = made.create_sheet(title)
        for line in lines:
            page.append(line)
    return saved(made)


def test_every_sheet_with_the_registrys_columns_is_read_and_the_others_are_named() -> None:
    line = ["64.02.05.2003", "fo", "x", "icmp", "a.id"]
    file = sheets.read(
        pages(
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
    assert sheets.read(pages(Data=[TOP, line])).rows[0].label == "2"


def test_the_template_s_example_is_not_imported() -> None:
    data = template.workbook([], caller=Caller(1, "ana", Role.DISTRICT_OPERATOR, "64.02"))
    made = openpyxl.load_workbook(io.BytesIO(data))
    assert refused(saved(made)) == "no_rows"
    for cell, value in zip(("B2", "E2", "F2", "M2", "N2"), ("64.02.05.2003", "fo", "x", "icmp", "a.id"), strict=True):
        made.worksheets[0][cell] = value
    file = sheets.read(saved(made))
    assert ([row.label for row in file.rows], file.warnings) == (["2"], [])


def test_sums_and_signatures_are_skipped_with_one_warning() -> None:
    top = [*TOP, "Catatan", "Bandwidth"]
    line = ["64.02.05.2003", "fo", "x", "icmp", "a.id", None, 5]
    file = sheets.read(book(top, line, [*[None] * 5, "Jumlah", 5], [*[None] * 5, "NIP. 19700101"], line))
    assert [row.number for row in file.rows] == [2, 5]
    (warning,) = file.warnings
    assert (warning.code, warning.values["rows"]) == ("skipped_rows", "Sheet: 3, 4")


def test_a_formula_is_its_stored_result_and_one_without_is_a_fault() -> None:
    data = book(TOP, ["64.02.05.2003", "fo", "=A1", "icmp", "=1+1"], ["64.02.05.2004", "fo", "x", "icmp", "#REF!"])
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


# Hostile files


GOOD = book(TOP, ["64.02.05.2003", "fo", "x", "icmp", "a.id"])


def test_macros_and_bombs_are_refused_before_anything_is_unpacked() -> None:
    assert refused(repack(GOOD, xl__vbaProject_bin=b"x").replace(b"vbaProject_bin", b"vbaProject.bin")) == "macros"
    assert refused(repack(GOOD, xl__media__big=b"\0" * 90_000_000)) == "too_much_inside"
    assert refused(repack(GOOD, **{f"part{n}": b"" for n in range(2_100)})) == "too_much_inside"
    assert refused(GOOD[:-200]) == "broken_workbook"


def test_an_entity_bomb_is_refused() -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    assert refused(repack(GOOD, lambda xml: bomb + xml.partition(b"?>")[2].replace(b"fo", b"&b;"))) == "broken_workbook"


def test_a_part_with_a_false_size_is_refused() -> None:
    big = repack(GOOD, lambda xml: xml.replace(b"<sheetData>", b"<sheetData>" + b" " * 50_000_000))
    with zipfile.ZipFile(io.BytesIO(big)) as archive:
        size = archive.getinfo("xl/worksheets/sheet1.xml").file_size
    lying = big.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert refused(lying) == "broken_workbook"


@pytest.mark.parametrize("far", [b'<row r="1048576"><c r="A1048576" t="inlineStr"><is><t>x</t></is></c></row>', b""])
def test_far_cells_and_huge_merges_are_read_cheaply(far: bytes) -> None:
    merges = b"".join(b'<mergeCell ref="%s1:%s1048576"/>' % (c, c) for c in (b"F", b"G", b"H", b"XFD"))
    odd = repack(
        GOOD, lambda xml: xml.replace(b"</sheetData>", far + b"</sheetData><mergeCells>" + merges + b"</mergeCells>")
    )
    assert sheets.read(odd).rows[0].number == 2
    with zipfile.ZipFile(io.BytesIO(odd)) as archive, pytest.raises(Invalid):
        xlsx_reader.require_small(archive)


def test_a_sheet_of_a_million_rows_before_the_table_is_skipped_fast() -> None:
    rows = b"".join(b'<row r="%d"><c r="A%d" t="n"><v>1</v></c></row>' % (n, n) for n in range(1, 1_000_000))
    many = pages(Log=[["x"]], Kosong=[["x"]], Data=[TOP, ["64.02.05.2003", "fo", "x", "icmp", "a.id"]])
    blank = re.sub(rb"<c .*?</c>", b"", rows)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(many)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            xml = old.read(name)
            for sheet, instead in (("sheet1", rows), ("sheet2", blank)):
                if name.endswith(f"{sheet}.xml"):
                    xml = xml[: xml.index(b"<row")] + instead + xml[xml.index(b"</row>") + 6 :]
            new.writestr(name, xml)
    began = process_time()
    file = sheets.read(out.getvalue())
    assert process_time() - began < 6
    assert ([row.number for row in file.rows], [(sheet.name, sheet.rows) for sheet in file.unread]) == (
        [2],
        [("Log", sheets.MAX_ROWS)],
    )


def test_more_rows_than_a_registry_has_are_refused() -> None:
    line = b"64.02.05.2003;fo;x;icmp;a.id\n"
    assert refused(";".join(TOP).encode() + b"\n" + line * 20_001) == "too_many_rows"
    assert len(sheets.read(";".join(TOP).encode() + b"\n" + line * 20_000).rows) == 20_000


def test_a_row_keeps_one_fault_for_each_field() -> None:
    row = SheetRow(1, {}, {"village": "x"}, headers.Header(1, {0: "village"}, {"village": "Desa"}, [], False))
    for code in ("first", "second"):
        row.add_faults(Fault("host", code, ""))
    assert [fault.code for fault in row.faults] == ["first"]
    assert row.source_text("village_code") == "x"


@given(some.sampled_from(sorted(headers.COLUMNS)), some.text() | some.floats() | some.integers() | some.datetimes())
def test_any_cell_yields_a_value_or_a_fault(field: str, cell: Any) -> None:
    with contextlib.suppress(FaultError):
        cells.read(field, cell)


@pytest.mark.parametrize("field", sorted(headers.COLUMNS))
@pytest.mark.parametrize(
    "text",
    ["1" + " " * 100_000 + "x", "a" * 100_000, "0°" * 50_000, "1.111" * 20_000, "'" * 100_000],
    ids=["blanks", "letters", "degrees", "points", "apostrophes"],
)
def test_a_cell_of_a_hundred_thousand_characters_is_read_fast(field: str, text: str) -> None:
    began = process_time()
    with contextlib.suppress(FaultError):
        cells.read(field, text)
    assert process_time() - began < 1


def test_thousands_of_rows_of_one_site_or_address_are_compared_fast() -> None:
    hosts = ["198.51.100.1"] * 10_000 + ["198.51.100.2"]
    texts = [f"64.02.05.2003;fo;orbit;icmp;{host}" for host in hosts]
    rows = sheets.read("\n".join([";".join(TOP), *texts]).encode()).rows
    for row in rows:
        row.draft, _ = drafts.parse(row.values, site=None)
    wanted = [row.draft for row in rows if row.draft is not None]
    began = process_time()
    planning.compare_rows(rows)
    conflicting = conflicts.address_conflicts(wanted, {})
    assert process_time() - began < 1
    assert all([fault.code for fault in row.faults] == ["contradiction"] for row in rows)
    assert len(conflicting) == 10_000
    assert max(len(conflict.others) for conflict in conflicting.values()) < 10


@pytest.mark.parametrize("header", ["ip", "kolom {}"])
def test_a_row_of_a_hundred_thousand_columns_is_read_fast(header: str) -> None:
    wide = "".join(f";{header.format(n)}" for n in range(100_000))
    began = process_time()
    with contextlib.suppress(Invalid):
        sheets.read(f"{';'.join(TOP)}{wide}\n64.02.05.2003;fo;x;icmp;a.id\n".encode())
    assert process_time() - began < 2


def test_parts_that_are_small_in_the_file_and_huge_in_memory_are_refused() -> None:
    began = process_time()
    assert refused(repack(GOOD, **{"xl/styles.xml": b"<styleSheet>" + b"<xf/>" * 1_000_000})) == "too_much_inside"
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        content_types = archive.read("[Content_Types].xml")
    moved = b'<Override PartName="/xl/worksheets/big.xml" ContentType="%s"/></Types>' % XLSM.encode()
    hidden = {
        "[Content_Types].xml": content_types.replace(b"</Types>", moved),
        "xl/worksheets/big.xml": b"<workbook>" + b"<x/>" * 1_000_000,
    }
    assert refused(repack(GOOD, **hidden)) == "too_much_inside"
    assert process_time() - began < 3


def test_many_sheets_with_a_cell_in_the_last_row_are_not_all_scanned() -> None:
    made = openpyxl.Workbook()
    for _ in range(20):
        made.create_sheet().cell(1_048_576, 1, "x")
    began = process_time()
    assert refused(saved(made)) == "no_header"
    assert process_time() - began < 5
