"""Exports in every format, the data dictionary, and the import template."""

import csv
import io
import re
from typing import Any

import httpx
import pytest
from openpyxl import load_workbook
from openpyxl.utils import get_column_letter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Audit
from app.core.pii import PERSONAL
from app.core.tabular import guard_formulas, unguard_formulas
from app.exporting import sites
from app.registry import vantage_lists, vantage_names
from app.registry.schemas import SiteIn
from app.registry.spreadsheet_columns import EXPORT_COLUMNS, REGION_NAMES, SITE_COLUMNS
from app.registry.vantage_names import KnownVantage
from app.registry.vocabulary import CHOICES
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, register, site
from tests.support.delivering_probers import make_vantage

FIELDS = [column.field for column in EXPORT_COLUMNS if column.field not in PERSONAL]


def table(answer: httpx.Response, delimiter: str = ",") -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"), newline=""), delimiter=delimiter))


def workbook(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return load_workbook(io.BytesIO(answer.content))


async def export(cast: Cast, **params: str) -> httpx.Response:
    return await cast.sari.get("/sites/export", params=params)


async def test_registered_sites_are_exported_with_all_fields(cast: Cast) -> None:
    node = await register(cast, kind="node", host="198.51.100.1")
    made = await register(
        cast, parent_id=node["id"], latitude=-0.3617, longitude=117.4391, bandwidth_down_mbps=50, notes="dua\nbaris; ya"
    )
    answer = await export(cast, lang="en")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].startswith('attachment; filename="titik-akses-20')
    of_region = (await export(cast, region="64.02")).headers["content-disposition"]
    assert of_region.startswith('attachment; filename="titik-akses-64.02-20')
    rows = table(answer)
    assert list(rows[0]) == FIELDS
    row = rows[1]
    assert {row["code"], row["parent"], row["notes"]} == {made["code"], node["code"], "dua\nbaris; ya"}
    assert (row["latitude"], row["longitude"], row["bandwidth_down_mbps"]) == ("-0.3617", "117.4391", "50")
    assert (row["technology"], row["host_static"], row["provider"], row["port"]) == ("fiber", "true", "telkom-wms", "")
    names = ("Muara Badak Ulu", "Muara Badak", "Kabupaten Kutai Kartanegara")
    assert (row["village"], row["subdistrict"], row["district"]) == names


@pytest.mark.parametrize("separator", ["comma", "semicolon"])
async def test_an_exported_row_registers_the_same_site(cast: Cast, separator: str) -> None:
    body = site(
        latitude=-0.3617,
        longitude=117.4391,
        bandwidth_down_mbps=50,
        bandwidth_up_mbps=2.5,
        probe="http",
        host="desa.example.id",
        url="https://desa.example.id/",
        port=443,
        host_static=False,
        venue="kantor_desa",
        power_source="pln_limited",
        location_note="-di belakang balai",
        contact_name="Ibu Rina",
        contact_phone="+62 812 0000",
        notes='=SUM(1;2), "dua"\nbaris',
        ssid="'=ssid",
        lifecycle="suspended",
        vantages=[2, 0],
    )
    await make_vantage(cast, 2)
    await register(cast, **body)
    answer = await export(cast, lang="en", contacts="true", separator=separator)
    (row,) = table(answer, {"comma": ",", "semicolon": ";"}[separator])
    not_set = {"code", *(column.field for column in REGION_NAMES)}
    cells: dict[str, Any] = {
        field: unguard_formulas(text) for field, text in row.items() if text and field not in not_set
    }
    for field in ("latitude", "longitude", "bandwidth_down_mbps", "bandwidth_up_mbps"):
        cells[field] = cells[field].replace(",", ".")
    assert cells["vantages"] == "telkom; central"
    known = [KnownVantage(0, "central", "Pusat"), KnownVantage(2, "telkom", "Jaringan telkom")]
    cells["vantages"] = vantage_names.find(vantage_lists.parse("vantages", cells["vantages"]), known)[0]
    again = SiteIn.model_validate(cells).model_dump(exclude_unset=True)
    assert again.items() >= SiteIn.model_validate(body).model_dump(exclude_unset=True).items()


async def test_headers_are_indonesian_unless_english_is_asked_for(cast: Cast) -> None:
    await register(cast)
    indonesian = [column.indonesian for column in EXPORT_COLUMNS if column.field not in PERSONAL]
    assert list(table(await export(cast))[0]) == indonesian
    assert list(table(await export(cast, lang="id"))[0]) == indonesian
    english = await cast.sari.get("/sites/export", headers={"Accept-Language": "en-GB, id;q=0.5"})
    assert list(table(english)[0]) == FIELDS


async def test_semicolons_come_with_decimal_commas(cast: Cast) -> None:
    await register(cast, latitude=-0.3617, longitude=117.439)
    row = table(await export(cast, separator="semicolon", lang="en"), ";")[0]
    assert (row["latitude"], row["longitude"]) == ("-0,3617", "117,439")


async def test_exports_take_the_filters_of_the_list_and_respect_the_scope(cast: Cast) -> None:
    here, there = await register(cast), await register(cast, host="198.51.100.21", village_code=BERAU_VILLAGE)
    await register(cast, probe="push", technology="leo", host=None, provider="iconplus")

    async def codes(person: Any, **params: str) -> list[str]:
        return [row["code"] for row in table(await person.get("/sites/export", params={"lang": "en", **params}))]

    assert await codes(cast.ben) == [there["code"]]
    assert len(await codes(cast.icon)) == 1
    assert await codes(cast.sari, region="64.03") == [there["code"]]
    assert await codes(cast.sari, technology="fiber", q="198.51.100.20") == [here["code"]]
    assert await codes(cast.sari, lifecycle="retired") == []
    assert (await cast.ben.get("/sites/export", params={"region": "64.02"})).status_code == 403
    assert (await cast.stranger.get("/sites/export")).status_code == 401
    for wrong in ({"format": "pdf"}, {"lang": "fr"}, {"region": "99"}, {"separator": "tab"}, {"state": "fine"}):
        assert (await export(cast, **wrong)).status_code == 422


async def test_every_site_is_exported_once_for_any_chunk_size(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = [(await register(cast, host=f"198.51.100.{n}"))["code"] for n in range(1, 6)]
    for size in (1, 2, 5, 6):
        monkeypatch.setattr(sites, "CHUNK_SITES", size)
        assert [row["code"] for row in table(await export(cast, lang="en"))] == codes
        features = (await export(cast, format="geojson")).json()
        assert (features["features"], features["without_position"]) == ([], 5)


async def test_contact_persons_are_exported_on_request_to_staff_only_and_audited(
    cast: Cast, session: AsyncSession
) -> None:
    await register(cast, contact_name="Ibu Rina", contact_phone="0812-0000-0000")
    for format in ("csv", "xlsx", "geojson"):
        answer = await export(cast, format=format)
        shown = str(list(workbook(answer).worksheets[0].values)) if format == "xlsx" else answer.text
        assert "Rina" not in shown
        assert "contact_name" not in shown
    for person in (cast.vera, cast.icon):
        assert (await person.get("/sites/export", params={"contacts": "true"})).status_code == 403
    exports = select(Audit).where(Audit.object == "contacts")
    assert (await session.scalars(exports)).all() == []
    row = table(await cast.ana.get("/sites/export", params={"contacts": "true", "lang": "en"}))[0]
    assert (row["contact_name"], row["contact_phone"]) == ("Ibu Rina", "0812-0000-0000")
    entry = (await session.scalars(exports)).one()
    assert (entry.actor, entry.action, entry.object, entry.region_code) == ("token ana", "export", "contacts", "64.02")


@pytest.mark.parametrize("text", ["x;=1+1", "x,+1", "x\t@A1", "a;'=1", "=1;=2", "\t=1", "x;;-1,'＝2", "x\n=1"])
def test_guarded_cells_are_safe_when_split_at_another_separator(text: str) -> None:
    for part in re.split(r"[;,\t\n]", guard_formulas(text)):
        assert not part.startswith(("=", "+", "-", "@", "＝"))
    assert unguard_formulas(guard_formulas(text)) == text


RUN = ("=1+1", "+62 812", "-2+3", "@SUM(A1)", "'=1+1", "＝1+1", '=HYPERLINK("http://x.test")')


@pytest.mark.parametrize("text", [*RUN, "plain", "'quoted'", "", "''", "'"])
def test_guarding_is_reversible(text: str) -> None:
    assert unguard_formulas(guard_formulas(text)) == text
    assert (guard_formulas(text) == text) is (text not in RUN)


async def test_no_exported_cell_is_evaluated_by_a_spreadsheet(cast: Cast) -> None:
    for number, text in enumerate(RUN, 1):
        await register(cast, host=f"198.51.100.{number}", notes=text)
    rows = table(await export(cast, lang="en"))
    assert [row["notes"] for row in rows] == [f"'{text}" for text in RUN]
    book = workbook(await export(cast, lang="en", format="xlsx"))
    column = FIELDS.index("notes") + 1
    for number, text in enumerate(RUN, 2):
        cell = book.worksheets[0].cell(number, column)
        assert (cell.value, cell.data_type, cell.quotePrefix) == (text, "s", True)


async def test_a_workbook_has_types_a_frozen_header_and_the_dictionary(cast: Cast) -> None:
    await register(cast, latitude=-0.3617, longitude=117.4391, ssid="#N/A", notes="bel\x07")
    book = workbook(await export(cast, format="xlsx"))
    first, second = book.worksheets
    header, row = list(first.values)
    cells = dict(zip([FIELDS[place] for place in range(len(header))], row, strict=True))
    assert (first.title, first.freeze_panes, header[0]) == ("Titik akses", "C2", "Kode titik akses")
    assert (cells["latitude"], cells["host_static"], cells["ssid"], cells["notes"]) == (-0.3617, True, "#N/A", "bel")
    assert cells["technology"] == "fiber"
    entries = list(second.values)
    assert (second.title, [entry[1] for entry in entries[1:]]) == ("Kamus data", FIELDS)


async def test_geojson_has_the_sites_with_a_position_and_counts_the_others(cast: Cast) -> None:
    made = await register(cast, latitude=-0.3617, longitude=117.4391)
    await register(cast, host="198.51.100.21")
    answer = await export(cast, format="geojson")
    assert answer.headers["content-type"] == "application/geo+json"
    collection = answer.json()
    (feature,) = collection["features"]
    assert (collection["type"], collection["without_position"]) == ("FeatureCollection", 1)
    assert (feature["id"], feature["geometry"]["coordinates"]) == (made["code"], [117.4391, -0.3617])
    assert feature["properties"]["village_code"] == made["village_code"]


async def test_the_dictionary_describes_every_column(cast: Cast) -> None:
    items = (await cast.vera.get("/sites/export/dictionary")).json()["items"]
    assert [item["field"] for item in items] == [column.field for column in EXPORT_COLUMNS]
    latitude = next(item for item in items if item["field"] == "latitude")
    assert (latitude["unit"], latitude["indonesian"], latitude["personal"]) == ("degree", "Lintang", False)
    rows = table(await cast.vera.get("/sites/export/dictionary", params={"format": "csv"}))
    assert [row["Field"] for row in rows] == [item["field"] for item in items]


async def test_the_template_offers_what_the_import_reads(cast: Cast) -> None:
    book = workbook(await cast.ben.get("/sites/import/template"))
    assert book.sheetnames == ["Titik akses", "Contoh", "Petunjuk", "Wilayah", "Pilihan"]
    sites_sheet = book["Titik akses"]
    assert [cell.value for cell in sites_sheet[1]] == [column.indonesian for column in SITE_COLUMNS]
    assert sites_sheet.max_row == 1
    needed = [cell.value for cell in sites_sheet[1] if cell.comment.text.startswith("Wajib diisi")]
    assert needed == ["Kode desa/kelurahan", "Teknologi", "Penyedia", "Cara ukur"]
    villages = [row[0] for row in book["Wilayah"].iter_rows(min_row=2, values_only=True)]
    assert len(villages) == len(set(villages)) > 100
    assert all(code.startswith("64.03.") for code in villages)
    phone = [column.field for column in SITE_COLUMNS].index("contact_phone") + 1
    assert sites_sheet.column_dimensions[get_column_letter(phone)].number_format == "@"


async def test_the_pick_lists_offer_all_choices(cast: Cast) -> None:
    book = workbook(await cast.ana.get("/sites/import/template"))
    fields = [column.field for column in SITE_COLUMNS]
    picked = {}
    for rule in book["Titik akses"].data_validations.dataValidation:
        column = fields[next(iter(rule.sqref.ranges)).min_col - 1]
        sheet, cells = rule.formula1.split("!")
        picked[column] = [row[0].value for row in book[sheet][cells.replace("$", "")]]
    assert set(picked["provider"]) == {"Telkom WMS", "Icon+"}
    assert picked["host_static"] == ["ya", "tidak"]
    assert picked["village_code"][0].startswith("64.02.01.")
    for field, words in CHOICES.items():
        assert picked[field] == list(words.values())
        assert list(words) == list(type(next(iter(words))))
    example = dict(zip(fields, (cell.value for cell in book["Contoh"][2]), strict=True))
    for field in CHOICES:
        assert example[field] in picked[field]
