"""Headers as people write them, over one row or two, and the rows of a sheet that describe no site."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.core.errors import Invalid
from app.importing import header_detection, sheets
from app.importing.cells import Cell
from app.importing.header_detection import field_of
from tests.support.imports import workbook, workbook_of

TOP = ["No", "Desa", "Jenis Koneksi", "ISP", "IP Publik"]
SITE = [1, "Muara Badak Ulu", "FO", "Telkom", "198.51.100.20"]


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("No HP PIC", "contact_phone"),
        ("No. HP/WA PIC", "contact_phone"),
        ("Nama PIC", "contact_name"),
        ("IP Publik", "host"),
        ("IP Address", "host"),
        ("Lat/Long", "position"),
        ("Titik Koordinat", "position"),
        ("ISP", "provider"),
        ("Nama Provider", "provider"),
        ("Jenis Koneksi", "technology"),
        ("BW", "bandwidth_down_mbps"),
        ("Bandwidth (Mbps)", "bandwidth_down_mbps"),
        ("Nama Desa", "village"),
        ("Desa/Kel.", "village"),
        ("Kec.", "subdistrict"),
        ("Kab/Kota", "district"),
        ("Kab./Kota", "district"),
        ("No. Kontrak", "contract"),
        ("Tgl. Kontrak", "contract_from"),
        ("Tempat", "venue"),
        ("ID Pelanggan", "service_no"),
    ],
)
def test_a_header_is_understood_as_it_is_written(header: str, field: str) -> None:
    assert field_of(header) == field


def test_a_second_header_row_is_read_with_the_first_also_where_cells_are_not_merged() -> None:
    upper = ["No", "Lokasi", None, "ISP", "Teknologi", "Bandwidth", None, "Koordinat", None, "PIC", None, "IP"]
    lower = [None, "Kecamatan", "Desa", None, None, "Unduh", "Unggah", "Lintang", "Bujur", "Nama", "No HP", None]
    line = [1, "Muara Badak", "Saliki", "Telkom", "fo", 50, 10, -0.3, 117.4, "Bu Ida", 81255001234, "198.51.100.20"]
    for data in (
        workbook(["DAFTAR"], upper, lower, line, merges=("B2:C2", "F2:G2", "H2:I2", "J2:K2", "A2:A3", "D2:D3")),
        "\n".join(";".join("" if cell is None else str(cell) for cell in row) for row in (upper, lower, line)).encode(),
    ):
        (row,) = sheets.read(data).rows
        assert row.faults == []
        assert row.values == {
            "subdistrict": "Muara Badak",
            "village": "Saliki",
            "provider": "Telkom",
            "technology": "fiber",
            "bandwidth_down_mbps": 50,
            "bandwidth_up_mbps": 10,
            "latitude": -0.3,
            "longitude": 117.4,
            "contact_name": "Bu Ida",
            "contact_phone": "081255001234",
            "host": "198.51.100.20",
        }


WORDS = some.sampled_from(
    ["Desa", "PIC", "Nama", "ISP", "Jenis", "Koneksi", "Lintang", "Koordinat", "IP", "Kecamatan Waru"]
)


@given(some.lists(some.lists(some.none() | some.integers() | some.text(max_size=20) | WORDS, max_size=6), max_size=5))
def test_any_rows_have_a_header_or_none_or_are_refused(rows: list[list[Cell]]) -> None:
    with contextlib.suppress(Invalid):
        found = header_detection.find(list(enumerate(rows, 1)))
        if found is not None:
            assert len(found.header.fields) > 1
            assert len(found.titles) < found.header.number == len(rows) - len(found.rest)


def test_a_first_row_of_data_is_no_second_header_row() -> None:
    (row,) = sheets.read(workbook([*TOP, "Perangkat", "Catatan"], [*SITE, "Router", "Operator"])).rows
    assert (row.number, row.values["device_model"], row.values["notes"]) == (2, "Router", "Operator")


def test_the_header_on_each_page_is_left_out() -> None:
    file = sheets.read(workbook(TOP, SITE, TOP, SITE))
    assert ([row.number for row in file.rows], file.warnings) == ([2, 4], [])


def test_sums_signatures_and_villages_without_a_site_are_skipped_and_named() -> None:
    rows: list[list[Any]] = [
        SITE,
        [2, "Saliki", None, None, None],
        [None, "Jumlah", None, "2", None],
        [None, "Mengetahui,", None, "Tenggarong, 3 November 2026", None],
        [None, "Kepala Dinas", None, "Operator", None],
        [None, "Drs. H. Amir", None, "Rudi", None],
    ]
    file = sheets.read(workbook(TOP, *rows))
    assert [row.number for row in file.rows] == [2]
    (warning,) = file.warnings
    assert (warning.code, warning.values["rows"]) == ("skipped_rows", "Sheet: 3, 4, 5, 6, 7")


def test_a_site_below_signatures_is_a_site_and_one_with_a_date_and_a_wrong_technology_an_error() -> None:
    signature, odd = [None, "Mengetahui,", None, "Operator", None], [*SITE[:2], "satelit", *SITE[3:]]
    rows = sheets.read(workbook([*TOP, "Ket"], SITE, signature, SITE, [*odd, "aktif 3 November 2026"])).rows
    assert [row.number for row in rows] == [2, 4, 5]


def test_rows_have_the_region_that_a_title_a_tab_or_a_row_above_names() -> None:
    section = [None, "KECAMATAN KENOHAN", None, None, None]
    pages: dict[str, list[list[Any]]] = {
        "Rinci": [["KECAMATAN", ":", "WARU"], ["Jl. Poros, Kec. Tenggarong"], TOP, SITE, section, SITE, SITE],
        "Kec. Tabang": [TOP, SITE],
        "Sebulu": [TOP, SITE],
    }
    assert [row.heading for row in sheets.read(workbook_of(**pages)).rows] == [
        "64.09.02",
        "64.02.09",
        "64.02.09",
        "64.02.12",
        "64.02.07",
    ]
