"""Aggregates as files: the JSON's figures, beside whose they are, for a letter, a spreadsheet or a script."""

import csv
import io
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.response_cache import ResponseCache
from app.core import tables
from app.core.clock import to_wita
from app.core.tabular import XLSX_TYPE
from app.registry.models import Cause
from app.settings import AggregatesSettings
from tests.conftest import Cast, Person
from tests.support.files import read_csv, read_xlsx
from tests.support.site_histories import day, execute, record_cause, set_states, site_since, under_contract

PERIOD = f"from={day(3):%Y-%m-%dT%H:%M:%SZ}&to={day(0):%Y-%m-%dT%H:%M:%SZ}"


async def csv_rows(person: Person, path: str, **headers: str) -> list[dict[str, str]]:
    return read_csv(await person.get(path + ("&lang=api" if "lang=" not in path else ""), headers=headers))


def cell_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)


@pytest.fixture
async def site(session: AsyncSession, cast: Cast) -> int:
    site_id = await site_since(session, cast, day(5), (day(2, 3), "down"), (day(2, 5), "up"))
    await under_contract(session, site_id, valid_from=day(5).date(), terms=[(day(5).date(), {})])
    await record_cause(session, site_id, day(2, 3), day(2, 4), "power")
    return site_id


async def test_uptime_has_the_json_names_as_columns_and_the_total_last(cast: Cast, site: int) -> None:
    for path in (f"/sites/{site}/uptime", "/regions/64.02/uptime", "/providers/telkom-wms/uptime"):
        path = f"{path}?{PERIOD}&step=day"
        body = (await cast.sari.get(path)).json()
        rows = await csv_rows(cast.sari, path + "&format=csv")
        assert [row["row"] for row in rows] == ["part", "part", "part", "total"]
        for row, expected in zip(rows, [*body["series"], body["total"]], strict=True):
            for name in ("start", "end", "uptime_pct", "worst_pct", "outages", "countable_down_s"):
                assert row[name] == cell_text(expected[name]), name
            assert {f"seconds_{name}": str(n) for name, n in expected["seconds"].items()}.items() <= row.items()
            causes = {f"down_{cause.value}_s": str(expected["down_by_cause"].get(cause.value, 0)) for cause in Cause}
            assert causes.items() <= row.items()
            assert row.get("sites") == (cell_text(expected["sites"]) if "sites" in expected else None)
        assert (rows[-1]["down_power_s"], rows[-1]["down_unclassified_s"]) == ("3600", "3600")
        assert ("sites" in rows[0]) is ("/sites/" not in path)


async def test_a_closed_month_has_its_correction_beside_it(session: AsyncSession, cast: Cast, site: int) -> None:
    row = (await csv_rows(cast.sari, f"/sites/{site}/uptime?{PERIOD}&format=csv"))[0]
    assert {"closed_at", "correction_seconds_up", "correction_down_link_s", "correction_reason"} <= row.keys()
    assert {value for name, value in row.items() if name.startswith("correction_")} == {""}


async def test_latency_has_the_number_of_measured_sites(session: AsyncSession, cast: Cast, site: int) -> None:
    await execute(
        session,
        "INSERT INTO measurement (site_id, slot, source, outcome, sent, valid_s, rtt_us) "
        "VALUES (:id, :at, 'central', 'ok', 3, 60, ARRAY[20000, 21000, 22000])",
        "UPDATE rollup_watermark SET upto = :start",
        id=site,
        at=day(1, 3),
        start=day(4),
    )
    for path in (f"/sites/{site}/latency", "/regions/64.02/latency", "/providers/telkom-wms/latency"):
        path = f"{path}?{PERIOD}&step=day"
        body = (await cast.sari.get(path)).json()
        rows = await csv_rows(cast.sari, path, Accept="text/csv")
        assert [row["row"] for row in rows] == ["part", "part", "part", "total"]
        for row, expected in zip(rows, [*body["series"], body["total"]], strict=True):
            assert {name: cell_text(value) for name, value in expected.items()}.items() <= row.items()
        assert rows[-1]["mean_ms"] == "21"
        assert [row.get("sites") for row in rows] == (["", "", "", "1"] if "sites" in body else [None] * 4)


async def test_a_ranking_is_not_paged_and_includes_the_unranked(session: AsyncSession, cast: Cast) -> None:
    best = await site_since(session, cast, day(5))
    worst = await site_since(session, cast, day(5), (day(2), "down"), (day(1), "up"))
    unseen = await site_since(session, cast, day(5), (day(4), "unknown"))
    await execute(session, "UPDATE site SET name = '=1+1' WHERE id = :id", id=best)
    rows = await csv_rows(cast.sari, f"/ranking?by=site&{PERIOD}&format=csv")
    codes = [(await cast.sari.get(f"/sites/{site}")).json()["code"] for site in (best, worst, unseen)]
    assert [(row["code"], row["rank"], row["reason"]) for row in rows] == [
        (codes[0], "1", ""),
        (codes[1], "2", ""),
        (codes[2], "", "no_evidence"),
    ]
    assert rows[0]["name"] == "'=1+1", "no spreadsheet runs it"
    assert {row["from"] for row in rows} == {to_wita(day(3)).isoformat()}
    refused = await cast.sari.get(f"/ranking?by=site&{PERIOD}&format=csv&limit=1")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "whole_only")
    nobody = await csv_rows(cast.ben, f"/ranking?by=site&{PERIOD}&format=csv")
    assert nobody == []


async def test_with_semicolons_decimals_are_written_with_a_comma(session: AsyncSession, cast: Cast, site: int) -> None:
    await set_states(session, site, (day(5), "up"), (day(2), "down"), (day(1), "up"))
    answer = await cast.sari.get(f"/sites/{site}/uptime?{PERIOD}&format=csv&separator=semicolon&lang=api")
    rows = read_csv(answer, delimiter=";")
    assert rows[-1]["uptime_pct"] == "66,666"


async def test_the_accept_header_selects_csv_unless_the_query_names_a_format(cast: Cast, site: int) -> None:
    path = f"/sites/{site}/uptime?{PERIOD}"
    kinds = {
        "text/csv": "csv",
        "text/csv;q=0.9, */*;q=0.1": "csv",
        "application/json, text/csv;q=0.5": "json",
        "*/*": "json",
        "text/csv;q=0": "json",
        "text/html, text/csv;q=zzz": "json",
        "text/*": "json",
    }
    for accept, kind in kinds.items():
        assert kind in (await cast.sari.get(path, headers={"Accept": accept})).headers["content-type"], accept
    answer = await cast.sari.get(path + "&format=json", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "application/json"
    assert "content-disposition" not in answer.headers
    saved = await cast.sari.get(path + "&format=csv")
    assert saved.headers["etag"] != answer.headers["etag"]


LABELS = {
    "name": "Muara Badak Ulu",
    "village": "Muara Badak Ulu",
    "subdistrict": "Muara Badak",
    "district": "Kabupaten Kutai Kartanegara",
    "provider": "Telkom WMS",
    "technology": "fiber",
}
SITE_HEADERS = [
    "Kode titik akses",
    "Nama titik akses",
    "Desa/kelurahan",
    "Kecamatan",
    "Kabupaten/kota",
    "Penyedia",
    "Teknologi",
    "Nomor kontrak",
]
CALLS = (
    "/sites/{site}/uptime",
    "/regions/64.02/uptime",
    "/providers/telkom-wms/uptime",
    "/sites/{site}/latency",
    "/regions/64.02/latency",
    "/providers/telkom-wms/latency",
    "/sites/{site}/throughput",
    "/regions/64.02/throughput",
    "/providers/telkom-wms/throughput",
    "/regions/64.02/throughput/sites",
    "/providers/telkom-wms/throughput/sites",
    "/ranking?by=site",
    "/ranking?by=region",
    "/ranking?by=provider",
    "/sla",
    "/compliance",
    "/compliance/attested",
)


def call(path: str, site: int) -> str:
    return path.format(site=site) + ("&" if "?" in path else "?") + PERIOD


async def test_every_aggregate_comes_as_csv_and_xlsx_with_the_same_headers(cast: Cast, site: int) -> None:
    for path in CALLS:
        text = (await cast.sari.get(call(path, site) + "&format=csv")).text.removeprefix("\ufeff")
        expected, *rows = csv.reader(io.StringIO(text))
        book = read_xlsx(await cast.sari.get(call(path, site) + "&format=xlsx"))
        header = [cell.value for cell in book.sheet[book.header_row]]
        assert header == [name for name in expected if name in header], path
        assert all(name.startswith(("Koreksi: ", "Dikecualikan: ")) for name in set(expected) - set(header)), path
        assert len(book.rows) == len(rows), path
        assert [entry["Kolom"] for entry in book.dictionary] == header, path
        names = [entry["Nama di API"] for entry in book.dictionary]
        assert len(names) == len(set(names)), path
        assert book.heading[1].endswith(" WITA"), path


async def test_each_row_says_whose_figures_it_has(session: AsyncSession, cast: Cast, site: int) -> None:
    code = (await cast.sari.get(f"/sites/{site}")).json()["code"]
    of_site = {"code": code, "contract_number": f"K-{site}", **LABELS}
    for path in ("/sites/{site}/uptime", "/sites/{site}/latency", "/ranking?by=site"):
        rows = await csv_rows(cast.sari, call(path, site) + "&format=csv")
        assert rows
        for row in rows:
            assert of_site.items() <= row.items(), path
    for path, provider in (("/regions/64.02/uptime", ""), ("/providers/telkom-wms/latency", "Telkom WMS")):
        rows = await csv_rows(cast.sari, call(path, site) + "&format=csv&technology=fiber")
        region = ("64", "Kalimantan Timur") if provider else ("64.02", LABELS["district"])
        for row in rows:
            labels = (row["region_code"], row["region"], row["provider"], row["technology"])
            assert labels == (*region, provider, "fiber"), path
    (row,) = await csv_rows(cast.sari, call("/ranking?by=region&level=kecamatan", site) + "&format=csv")
    assert (row["name"], row["district"]) == ("Muara Badak", LABELS["district"])


async def test_the_contract_is_the_one_in_force_when_the_period_ends(
    session: AsyncSession, cast: Cast, site: int
) -> None:
    await execute(
        session,
        "UPDATE site_contract SET ended_on = :ends WHERE site_id = :id",
        "INSERT INTO contract (number, provider_id, valid_from, version) SELECT 'BARU/2', provider_id, :ends, 1 "
        "FROM site WHERE id = :id",
        "INSERT INTO contract_terms (contract_id, started_on, sla_target_pct, min_outage_s, excluded_causes, "
        "excuses_parent) SELECT id, valid_from, 97, 300, '{}', false FROM contract WHERE number = 'BARU/2'",
        "INSERT INTO site_contract (site_id, contract_id, link_role, started_on, recorded_by, version) "
        "SELECT :id, id, 'primary', :ends, 'sari', 1 FROM contract WHERE number = 'BARU/2'",
        id=site,
        ends=to_wita(day(2)).date(),
    )
    for ends, number in ((day(2), f"K-{site}"), (day(1), "BARU/2")):
        period = f"from={day(4).isoformat()}&to={ends.isoformat()}".replace("+", "%2B")
        rows = await csv_rows(cast.sari, f"/sites/{site}/uptime?{period}&format=csv")
        assert {row["contract_number"] for row in rows} == {number}


async def test_a_provider_is_not_told_the_next_providers_contract(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(5), provider="iconplus")
    await under_contract(session, site, valid_from=day(5).date(), terms=[(day(5).date(), {})])
    await execute(
        session,
        "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id",
        "INSERT INTO site_configuration SELECT (jsonb_populate_record(c, jsonb_build_object('started_at', "
        "cast(:at AS timestamptz), 'ended_at', NULL, 'provider_id', (SELECT id FROM provider WHERE slug = "
        "'telkom-wms')))).* FROM site_configuration c WHERE c.site_id = :id",
        "UPDATE contract SET provider_id = (SELECT id FROM provider WHERE slug = 'telkom-wms')",
        id=site,
        at=day(2),
    )
    (row,) = await csv_rows(cast.icon, f"/ranking?by=site&{PERIOD}&format=csv")
    assert (row["provider"], row["contract_number"]) == ("Icon+", "")
    (row,) = await csv_rows(cast.sari, f"/ranking?by=site&{PERIOD}&format=csv")
    assert (row["provider"], row["contract_number"]) == ("Telkom WMS", f"K-{site}")


async def test_a_workbook_holds_the_figures_of_the_json(cast: Cast, site: int) -> None:
    path = f"/sites/{site}/uptime?{PERIOD}&step=day"
    body = (await cast.sari.get(path)).json()
    answer = await cast.sari.get(path, headers={"Accept": XLSX_TYPE, "Accept-Language": "en"})
    book = read_xlsx(answer)
    assert book.heading[0] == f"Uptime of Muara Badak Ulu ({(await cast.sari.get(f'/sites/{site}')).json()['code']})"
    for row, expected in zip(book.rows, [*body["series"], body["total"]], strict=True):
        assert row["Start (WITA)"].isoformat() + "+08:00" == expected["start"]
        assert (row["Up (s)"], row["Uptime (%)"]) == (expected["seconds"]["up"], expected["uptime_pct"])
        assert row["Down: power (s)"] == expected["down_by_cause"].get("power", 0)
    indonesian = read_xlsx(await cast.sari.get(path + "&format=xlsx"))
    assert list(indonesian.rows[0])[:8] == SITE_HEADERS
    assert (indonesian.rows[0]["Teknologi"], indonesian.rows[0]["Baris"]) == ("serat optik", "bagian")


async def test_headers_are_indonesian_unless_the_caller_prefers_english(cast: Cast, site: int) -> None:
    path = f"/sites/{site}/uptime?{PERIOD}&format=csv"
    for accept, first in (
        (None, "Kode titik akses"),
        ("*", "Kode titik akses"),
        ("id-ID,id;q=0.9,en;q=0.8", "Kode titik akses"),
        ("en-GB, id;q=0.5", "Site code"),
    ):
        headers = {} if accept is None else {"Accept-Language": accept}
        for lang, expected in (("", first), ("&lang=id", "Kode titik akses"), ("&lang=en", "Site code")):
            assert next(iter(read_csv(await cast.sari.get(path + lang, headers=headers))[0])) == expected
    assert next(iter(read_csv(await cast.sari.get(path + "&lang=api"))[0])) == "code"
    assert (await cast.sari.get(path + "&lang=fr")).status_code == 422


async def test_a_cache_keeps_languages_and_formats_apart(app: FastAPI, cast: Cast, site: int) -> None:
    app.state.settings = app.state.settings.model_copy(update={"aggregates": AggregatesSettings(refresh_s=60)})
    app.state.aggregate_cache = ResponseCache(clock=lambda: 1_800_000_000.0)
    path = f"/sites/{site}/uptime?{PERIOD}"
    variants = [
        await cast.sari.get(path, headers={"Accept-Language": language, "Accept": accept})
        for language in ("id", "en")
        for accept in ("text/csv", XLSX_TYPE)
    ]
    assert len({answer.headers["etag"] for answer in variants}) == 4
    assert {answer.headers["vary"] for answer in variants} == {"Accept, Accept-Encoding, Accept-Language"}
    assert variants[0].text != variants[2].text
    for answer in variants:
        headers = {name: answer.request.headers[name] for name in ("accept", "accept-language")}
        again = await cast.sari.get(path, headers=headers | {"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    told = [await cast.sari.get(path, headers={"Accept-Language": language}) for language in ("id", "en")]
    assert told[0].headers["etag"] == told[1].headers["etag"], "JSON is the same in every language"


async def test_files_are_named_after_subject_and_period(cast: Cast, site: int) -> None:
    code = (await cast.sari.get(f"/sites/{site}")).json()["code"]
    first, last = f"{to_wita(day(3)):%Y-%m-%d}", f"{to_wita(day(1)):%Y-%m-%d}"
    packed = await cast.sari.get(call("/ranking?by=site", site) + "&format=xlsx", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "identity", "a workbook is compressed already"
    for path, name in (
        (f"/sites/{site}/uptime", f"ketersediaan-{code}"),
        ("/regions/64.02/uptime", "ketersediaan-64.02"),
        ("/regions/64/latency", "latensi-64"),
        ("/providers/telkom-wms/throughput?technology=fiber", "kecepatan-telkom-wms-fiber"),
        ("/ranking?by=provider", "peringkat-provider-64"),
        (f"/sites/{site}/segments", f"riwayat-status-{code}"),
    ):
        for format in ("csv", "xlsx"):
            answer = await cast.sari.get(call(path, site) + f"&format={format}")
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-disposition"] == f'attachment; filename="{name}-{first}_{last}.{format}"'


async def test_a_file_that_would_be_too_large_is_refused(
    cast: Cast, site: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tables.MAX_CELLS, "xlsx", 40)
    for path in ("/sites/{site}/uptime", "/sites/{site}/segments"):
        answer = await cast.sari.get(call(path, site) + "&format=xlsx", headers={"Accept-Language": "id"})
        assert answer.status_code == 422, answer.text
        (fault,) = answer.json()["errors"]
        assert (fault["field"], fault["code"]) == ("format", "too_many_rows")
        assert "satu wilayah, penyedia, atau teknologi" in fault["suggestion"]
        assert (await cast.sari.get(call(path, site) + "&format=csv")).status_code == 200


async def test_periods_of_the_json_have_witas_offset(cast: Cast, site: int) -> None:
    for path in (*CALLS, "/sites/{site}/segments"):
        body = (await cast.sari.get(call(path, site))).json()
        moments = [value for value in _texts(body) if value[:2] == "20" and value[10:11] == "T"]
        assert len(moments) > 1
        assert all(moment.endswith("+08:00") for moment in moments), (path, moments)


def _texts(body: Any) -> list[str]:
    if isinstance(body, dict):
        return [text for value in body.values() for text in _texts(value)]
    if isinstance(body, list):
        return [text for value in body for text in _texts(value)]
    return [body] if isinstance(body, str) else []
