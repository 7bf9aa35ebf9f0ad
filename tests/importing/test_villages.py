"""Find villages by the names that people write: by rules, and where no rule fits the right cell is asked about."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.access.models import Role
from app.access.scope import Caller
from app.importing import header_detection, region_names
from app.importing.near_names import NearNames
from app.importing.region_names import DISTRICT, SUBDISTRICT, VILLAGE
from app.importing.rows import SheetRow
from app.importing.villages import VillageFinder
from app.registry import regions
from tests.conftest import Cast
from tests.support.imports import dry_run

HEADER = "Desa;Kecamatan;Kabupaten;Teknologi;ISP;IP"


def row(village: str, subdistrict: str = "", district: str = "", *, heading: str | None = None) -> SheetRow:
    values: dict[str, Any] = {"village": village, "subdistrict": subdistrict, "district": district}
    header = header_detection.Header(1, {}, {}, [], False)
    return SheetRow(2, {name: value for name, value in values.items() if value}, {}, header, heading=heading)


def finder(region: str = "64") -> VillageFinder:
    return VillageFinder(Caller(1, "x", Role.PROVINCE_ADMIN, region), {}, NearNames())


def resolved(*names: str, region: str = "64", heading: str | None = None) -> Any:
    """Return the village's code, or the field and code of the fault."""
    described = row(*names, heading=heading)
    finder(region).resolve(described)
    faults = [(fault.field, fault.code) for fault in described.faults]
    return faults[0] if faults else described.values["village_code"]


@pytest.mark.parametrize(
    ("district", "code"),
    [
        *((name, "64.02") for name in ("Kukar", "KUKAR", "Kab. Kukar", "Kab.Kutai Kartanegara", "Kabupaten Kukar")),
        *((name, "64.08") for name in ("Kutim", "Kab. Kutim", "kutai timur")),
        *((name, "64.09") for name in ("PPU", "Kab. PPU", "Penajam", "Penajam Paser Utara")),
        *((name, "64.07") for name in ("Kubar", "Kabupaten Kutai Barat")),
        *((name, "64.11") for name in ("Mahulu", "Mahakam Ulu")),
        *((name, "64.01") for name in ("Paser", "Kab. Pasir")),
        ("Berau", "64.03"),
        *((name, "64.74") for name in ("Bontang", "Kota Bontang")),
        *((name, "64.72") for name in ("Samarinda", "Kota Samarinda", "Kotamadya Samarinda")),
        *((name, "64.71") for name in ("Balikpapan", "KOTA BALIKPAPAN")),
    ],
)
def test_a_district_has_its_official_and_its_short_name(district: str, code: str) -> None:
    assert region_names.find(district, DISTRICT, within=("64",)) == [code]


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("Desa Muara Badak Ulu", "Kec. Muara Badak"), "64.02.05.2003"),
        (("Ds. Ma. Badak Ulu",), "64.02.05.2003"),
        (("MUARABADAK ULU",), "64.02.05.2003"),
        (("Muara Badak Ulu (RT 3)",), "64.02.05.2003"),
        (("Sanga2 Dalam", "Sangasanga"), "64.02.15.1003"),
        (("Sanga - Sanga Dalam", "Sanga-Sanga"), "64.02.15.1003"),
        (("Batu Batu", "Muara Badak"), "64.02.05.2011"),
        (("Long Pahangai 2", "Lg. Pahangai"), "64.11.05.2009"),
        (("Kota Bangun 3", "", "Kukar"), "64.02.19.2006"),
        (("Kel. Gn. Telihan", "", "Bontang"), "64.74.03.1002"),
        (("Sei Meriam", "Anggana"), "64.02.04.2006"),
        (("Muut",), "64.07.16.2006"),
    ],
)
def test_a_village_is_found_by_its_spellings(names: tuple[str, ...], code: str) -> None:
    found = resolved(*names)
    assert (found, regions.names().get(code)) == (code, regions.names().get(str(found)))


def test_no_spelling_means_two_villages_of_a_subdistrict_or_two_subdistricts() -> None:
    for code, name in regions.names().items():
        if len(code) in {VILLAGE, SUBDISTRICT, DISTRICT}:
            parent = code.rpartition(".")[0]
            assert region_names.find(name, len(code), within=(parent,)) == [code]


def test_a_district_or_subdistrict_that_is_unknown_is_the_error_of_its_own_cell() -> None:
    assert resolved("Muara Badak Ulu", "Muara Badak", "Kutai Lama") == ("district", "unknown_district")
    assert resolved("Muara Badak Ulu", "Muara Badag", "Kukar") == ("subdistrict", "unknown_subdistrict")
    assert resolved("Muara Badak Ulu", "Muara Badak", "Berau") == ("subdistrict", "unknown_subdistrict")
    assert resolved("Muara Badak Ulu", "Tenggarong", "Kukar") == ("village_code", "unknown_village_name")
    assert resolved("Muara Badak Ulu", "", "Kukar", region="64.03") == ("district", "outside_scope")
    assert resolved("Muara Badak Ulu", "Muara Badak", region="64.03") == ("subdistrict", "outside_scope")


async def test_every_wrong_name_has_its_own_cell_and_candidates(cast: Cast) -> None:
    lines = (
        "Muara Badak Ulu;Muara Badag;Kukarr;fo;telkom wms;198.51.100.20",
        "Saluki;Muara Badak;Kukar;fo;telkom wms;",
    )
    both, village = await dry_run(cast.sari, HEADER, *lines)
    cells = {fault["field"]: (fault["column"], fault["value"]) for fault in both["errors"]}
    assert cells == {"district": ("C", "Kukarr"), "subdistrict": ("B", "Muara Badag")}
    for fault, near in zip(both["errors"], ("Kabupaten Kutai Kartanegara", "Muara Badak"), strict=True):
        assert fault["suggestion"].startswith(f"Did you mean {near}")
    (fault,) = village["errors"]
    assert (fault["column"], fault["suggestion"]) == ("A", "Did you mean 64.02.05.2001 (Saliki, Muara Badak)?")


def test_of_two_villages_with_one_name_the_heading_s_is_meant_and_without_one_it_is_asked() -> None:
    assert resolved("Kampung Baru", region="64.02") == ("village_code", "ambiguous_village")
    assert resolved("Kampung Baru", region="64.02", heading="64.02.06") == "64.02.06.1008"
    assert resolved("Kampung Baru", region="64.02", heading="64.02.05") == ("village_code", "ambiguous_village")
    assert resolved("Muara Badak Ulu", region="64.02", heading="64.02.06") == "64.02.05.2003"


@pytest.mark.parametrize(
    ("title", "code"),
    [
        ("KECAMATAN MUARA BADAK", "64.02.05"),
        ("A. Kec. Kota Bangun Darat", "64.02.19"),
        ("Daftar desa Kecamatan Waru Kabupaten Penajam Paser Utara", "64.09.02"),
        ("PEMERINTAH KABUPATEN KUTAI TIMUR", "64.08"),
        ("Kecamatan Antah Berantah", None),
        ("Muara Badak", None),
        ("", None),
    ],
)
def test_a_heading_names_a_region_after_its_type(title: str, code: str | None) -> None:
    assert region_names.in_heading(title) == code


@given(*(some.text(max_size=80) | some.sampled_from(sorted(regions.names().values())) for _ in range(3)))
def test_any_names_are_a_village_s_or_an_error(village: str, subdistrict: str, district: str) -> None:
    described = row(village, subdistrict, district)
    finder().resolve(described)
    code = described.values.get("village_code")
    assert (code is None) == bool(described.faults or not village)
    assert code is None or len(code) == VILLAGE


def test_thousands_of_invented_names_are_suggested_for_only_so_often() -> None:
    invented = [row(f"Xyz {n} Abadi {n * 7919}", "" if n % 2 else "Muara Badak") for n in range(9_900)]
    finding = finder()
    began = time.process_time()
    for described in invented:
        finding.resolve(described)
    assert finding.near_names.searches_left == 0
    assert time.process_time() - began < 10
    assert {fault.code for described in invented for fault in described.faults} == {"unknown_village_name"}
