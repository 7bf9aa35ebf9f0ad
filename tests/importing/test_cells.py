"""Parse single cells: numbers, coordinates, codes, choices and dates as people and Excel write them."""

import contextlib
import unicodedata
from datetime import datetime, time
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.core.validation import FaultError
from app.importing import cells, header_detection
from app.importing.cells import Cell, CellError
from app.registry import regions
from app.registry.vocabulary import CHOICES, MAX_FOLDED, SYNONYMS, fold

MIDNIGHT = datetime(2026, 11, 24)  # noqa: DTZ001  # as workbooks have them
VILLAGES = [row["code"] for row in regions.read_csv() if row["level"] == "desa_kelurahan"]


def fault(field: str, cell: Cell) -> str:
    with pytest.raises(FaultError) as error:
        cells.read(field, cell)
    return error.value.fault.code


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
        ("contact_phone", "81255001234", "081255001234"),
        ("contact_phone", "62812000", "62812000"),
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
        ("vantages", "2; 0", [2, 0]),
        ("vantages", "0,1", [0, 1]),
        ("vantages", "Pusat + 3", [0, 3]),
        ("vantages", 2.0, [2]),
        ("vantages", "Telkom; pusat", ["Telkom; pusat"]),
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
        ("venue", "Kantor Desa Bila Talang", "kantor_desa"),
        ("venue", "SDN 003 Tabang", "sekolah"),
        ("host", "dinamis", None),
        ("host", "DHCP", None),
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
        ("technology", "Telkom", "enum"),
        ("venue", "Masjid Al-Hidayah", "enum"),
        ("venue", "Kantor Camat", "enum"),
        ("contact_phone", "8,12E+10", "rounded"),
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


def test_a_suggested_value_is_written_as_people_write_it() -> None:
    with pytest.raises(FaultError) as error:
        cells.read("venue", "kantor")
    assert error.value.fault.values["near"] == "kantor desa"


@given(
    some.sampled_from(sorted(header_detection.COLUMNS)),
    some.text() | some.floats() | some.integers() | some.datetimes(),
)
def test_any_cell_yields_a_value_or_a_fault(field: str, cell: Any) -> None:
    with contextlib.suppress(FaultError):
        cells.read(field, cell)


@pytest.mark.parametrize("field", sorted(header_detection.COLUMNS))
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


@pytest.mark.parametrize("field", sorted(CHOICES))
def test_no_word_means_two_choices(field: str) -> None:
    words = [
        fold(word)
        for value, named in CHOICES[field].items()
        for word in {fold(word) for word in (value.value, named, *SYNONYMS.get(value, ()))}
    ]
    assert sorted(words) == sorted(set(words))


def test_no_more_of_a_cell_is_normalised_than_one_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    normalize = unicodedata.normalize

    def recorded(form: str, text: str) -> str:
        lengths.append(len(text))
        return normalize(form, text)  # type: ignore[arg-type]

    monkeypatch.setattr(unicodedata, "normalize", recorded)
    assert fold("a" + "\u0323\u0307" * 40_000) == "a"
    assert lengths == [MAX_FOLDED]
