"""Editions of the monthly open data: what they hold, what describes them, and when there is another version."""

import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from starlette.routing import BaseRoute

from app.availability import monthly_close
from app.cli import export_command
from app.postgres.engine import Sessions, transaction
from app.public import addresses
from app.public.editions.datasets import DATASETS
from app.public.editions.edition import Edition, EditionReason, Terms
from app.public.files import PublicFiles
from app.public.pages import PublicPages
from app.public.publication import Publication
from app.public.views import region_rows
from app.settings import PublicSettings, Settings, SettingsError
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, VILLAGE
from tests.support.monthly_close import CLOSES, END, MONTH, START
from tests.support.open_data import NOW, OUTAGE_H, more_is_known, publish, write_month
from tests.support.shared_start import SharedStart, savepoint, shared_start
from tests.support.site_histories import execute

PERIOD, DAYS = f"{MONTH:%Y-%m}", (END - START).days
WEEK = timedelta(days=7)
SITES: dict[str, int] = {}


@pytest.fixture(scope="module")
async def start(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[SharedStart]:
    async with shared_start(engine, routes) as made:
        SITES["here"], SITES["there"] = await write_month(made.session, made.cast)
        yield made


@pytest.fixture
async def connection(start: SharedStart) -> AsyncIterator[AsyncConnection]:
    async with savepoint(start.connection) as connection:
        yield connection


async def files_of(session: AsyncSession, edition: Edition | None) -> dict[str, bytes]:
    assert edition is not None
    async with session.begin():
        rows = await session.execute(
            text("SELECT name, body FROM open_data_file WHERE month = :month AND version = :version"),
            {"month": edition.month, "version": edition.version},
        )
        return {row.name: row.body for row in rows}


def table(files: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files[f"{name}.csv"].decode(), newline="")))


async def test_a_month_is_published_once_it_is_closed_and_then_only_again_when_it_changed(
    session: AsyncSession,
) -> None:
    assert await publish(session, CLOSES - timedelta(seconds=1)) is None
    first = await publish(session, CLOSES)
    assert first is not None
    assert (first.month, first.version, first.reason) == (MONTH, 1, None)
    assert await publish(session, CLOSES + WEEK) is None, "compared, and the same"
    await more_is_known(session, SITES["here"])
    assert await publish(session, CLOSES + WEEK + timedelta(days=1)) is None, "at most one more version a week"
    second = await publish(session, CLOSES + 2 * WEEK)
    assert second is not None
    assert (second.version, second.reason) == (2, EditionReason.FIGURES)
    assert second.sha256 != first.sha256
    before, after = await files_of(session, first), await files_of(session, second)
    assert table(before, "ketersediaan-desa")[0]["bad_s"] == f"{OUTAGE_H * 3600}"
    assert table(after, "ketersediaan-desa")[0]["bad_s"] == f"{(OUTAGE_H + 1) * 3600}"


async def test_a_month_that_contracts_have_not_closed_waits(session: AsyncSession, monkeypatch: Any) -> None:
    async def not_closed(*_: Any) -> Any:
        return MONTH

    monkeypatch.setattr(monthly_close, "oldest_due", not_closed)
    assert await publish(session) is None


async def test_a_month_with_a_day_to_count_again_waits(session: AsyncSession) -> None:
    await execute(session, "INSERT INTO stale_day (site_id, day) VALUES (:id, :day)", id=SITES["here"], day=MONTH)
    assert await publish(session) is None


async def test_figures_add_up(session: AsyncSession) -> None:
    files = await files_of(session, await publish(session))
    here, there = table(files, "ketersediaan-desa")
    assert (here["village_code"], here["district_code"], here["subdistrict_code"]) == (VILLAGE, "64.02", "64.02.05")
    seconds = ("good_s", "bad_s", "unknown_s", "maintenance_s")
    for row in (here, there):
        assert sum(int(row[name]) for name in seconds) == DAYS * 86_400
        assert (row["days"], row["access_points"], row["month"]) == (f"{DAYS}", "1", PERIOD)
    assert there["village_code"] == BERAU_VILLAGE
    assert (there["uptime_pct"], there["unknown_s"]) == ("100", f"{(DAYS - 15) * 86_400}")
    assert float(there["worst_pct"]) == 15 * 100_000 // DAYS / 1000
    causes = table(files, "gangguan-desa")
    assert [(row["cause"], row["outages"], row["down_s"]) for row in causes] == [("power", "1", f"{OUTAGE_H * 3600}")]
    assert sum(int(row["down_s"]) for row in causes) == int(here["bad_s"])
    (latency,) = table(files, "latensi-kecepatan-desa")
    assert (latency["packets"], latency["loss_pct"], latency["p50_ms"]) == ("1000", "1", "20")
    assert (latency["speed_tests"], latency["down_mbps"], latency["up_mbps"]) == ("3", "12", "")
    districts = {row["district_code"]: row for row in table(files, "ketersediaan-kabupaten")}
    assert districts["64.02"]["bad_s"] == here["bad_s"]
    providers = table(files, "penyedia-teknologi")
    assert [row["technology"] for row in providers] == ["fiber", "leo"]
    assert providers[0]["down_mbps"] == "12"


async def test_the_same_figures_are_the_same_bytes_in_every_format(session: AsyncSession) -> None:
    files = await files_of(session, await publish(session))
    places = json.loads(files["ketersediaan-desa.geojson"])["features"]
    for dataset in DATASETS:
        rows = json.loads(files[f"{dataset.name}.json"])
        assert [[_plain(row[name]) for name in row] for row in rows] == [
            list(row.values()) for row in table(files, dataset.name)
        ]
        assert files[f"{dataset.name}.csv"].endswith(b"\r\n")
        assert not files[f"{dataset.name}.csv"].startswith(b"\xef\xbb\xbf")
    place = region_rows()[VILLAGE]
    assert places[0]["geometry"]["coordinates"] == [place["longitude"], place["latitude"]]
    await execute(session, "DELETE FROM open_data_file", "DELETE FROM open_data_edition")
    assert await files_of(session, await publish(session)) == files


def _plain(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) and value == int(value) else f"{value}"


async def test_the_check_sums_are_those_of_the_files(session: AsyncSession) -> None:
    edition = await publish(session)
    files = await files_of(session, edition)
    lines = [line.split("  ") for line in files["SHA256SUMS"].decode().splitlines()]
    told = {name: digest for digest, name in lines}
    assert told == {name: hashlib.sha256(body).hexdigest() for name, body in files.items() if name != "SHA256SUMS"}
    package = json.loads(files["datapackage.json"])
    data = {resource["name"] for resource in package["resources"]}
    summed = "".join(f"{told[name]}  {name}\n" for name in sorted(data))
    assert edition is not None
    assert edition.sha256 == package["sha256"] == hashlib.sha256(summed.encode()).hexdigest()


# What the Data Package standard asks of a package, a resource, a field: https://datapackage.org, version 2.
NAME = {"type": "string", "pattern": "^[-a-z0-9._/]+$"}
SCHEMA_OF_FIELDS = {
    "type": "object",
    "required": ["fields", "primaryKey"],
    "properties": {
        "fields": {
            "minItems": 1,
            "items": {
                "required": ["name", "type"],
                "properties": {"type": {"enum": ["string", "integer", "number", "yearmonth"]}},
            },
        },
        "missingValues": {"items": {"type": "string"}},
    },
}
RESOURCE = {
    "required": ["name", "path", "bytes", "hash"],
    "properties": {
        "name": NAME,
        "path": {"type": "string", "pattern": "^[^/.][^/]*$"},
        "bytes": {"type": "integer"},
        "hash": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
        "encoding": {"const": "utf-8"},
        "mediatype": {"type": "string", "pattern": "^[a-z]+/[-+.a-z]+$"},
        "type": {"const": "table"},
        "schema": SCHEMA_OF_FIELDS,
    },
}
PACKAGE = {
    "required": ["$schema", "name", "resources", "version", "created", "licenses", "contributors"],
    "properties": {
        "$schema": {"const": "https://datapackage.org/profiles/2.0/datapackage.json"},
        "name": NAME,
        "id": {"type": "string", "format": "uri"},
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "created": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00$"},
        "licenses": {
            "minItems": 1,
            "items": {
                "required": ["name"],
                "properties": {"name": {"type": "string", "pattern": "^[-a-zA-Z0-9._]+$"}},
            },
        },
        "contributors": {"minItems": 1, "items": {"properties": {"roles": {"type": "array"}}}},
        "keywords": {"items": {"type": "string"}},
        "resources": {"minItems": 1, "items": RESOURCE},
    },
}


async def test_the_package_is_as_the_standard_has_it(session: AsyncSession) -> None:
    package = json.loads((await files_of(session, await publish(session)))["datapackage.json"])
    assert [error.message for error in Draft202012Validator(PACKAGE).iter_errors(package)] == []
    names = [resource["name"] for resource in package["resources"]]
    assert len(set(names)) == len(names)
    assert {resource.get("same_as") for resource in package["resources"]} - {None} <= set(names)


async def test_every_column_has_its_standard_in_every_description(session: AsyncSession) -> None:
    files = await files_of(session, await publish(session))
    package = json.loads(files["datapackage.json"])
    for resource in package["resources"]:
        body = files[resource["path"]]
        assert resource["bytes"] == len(body)
        assert resource["hash"] == f"sha256:{hashlib.sha256(body).hexdigest()}"
        if resource["format"] != "csv":
            continue
        header = body.decode().partition("\r\n")[0].split(",")
        fields = resource["schema"]["fields"]
        assert [field["name"] for field in fields] == header
        assert {name for field in fields for name in ("konsep", "definisi", "klasifikasi", "ukuran", "satuan")} <= {
            name for field in fields for name, value in field.items() if value
        }
        assert set(resource["schema"]["primaryKey"]) <= set(header)
        keys = [
            tuple(row[key] for key in resource["schema"]["primaryKey"]) for row in table(files, resource["name"][:-4])
        ]
        assert keys == sorted(set(keys)), "a primary key is unique, and rows stand by it"
    dictionary = list(csv.DictReader(io.StringIO(files["kamus.csv"].decode())))
    assert {(row["dataset"], row["kolom"]) for row in dictionary} == {
        (dataset.name, column.name) for dataset in DATASETS for column in dataset.columns
    }
    found = json.loads(files["ckan.json"])["result"]
    assert [entry["hash"] for entry in found["resources"]] == [entry["hash"][7:] for entry in package["resources"]]
    assert all(entry["url"].startswith("https://sinyal.example.go.id/data-terbuka/") for entry in found["resources"])
    dataset = json.loads(files["dcat.jsonld"])
    assert len(dataset["dcat:distribution"]) == len(package["resources"])
    assert dataset["dct:temporal"]["dcat:startDate"]["@value"] == f"{MONTH}T00:00:00+08:00"


async def test_what_is_hidden_is_in_no_file(session: AsyncSession) -> None:
    edition = await publish(session, hidden_regions=["64.03"], hidden_technologies=["cellular"])
    files = await files_of(session, edition)
    assert [row["village_code"] for row in table(files, "ketersediaan-desa")] == [VILLAGE]
    assert BERAU_VILLAGE not in b"".join(files.values()).decode()
    assert [row["technology"] for row in table(files, "penyedia-teknologi")] == ["fiber"]
    districts = await publish(session, level="district")
    assert districts is not None
    assert districts.reason is EditionReason.PUBLISHED
    assert not [name for name in await files_of(session, districts) if "desa" in name]
    assert await publish(session, level="none") is None


def test_an_edition_is_withheld_once_what_it_tells_is_hidden() -> None:
    def publication(**settings: Any) -> Publication:
        return Publication.from_settings(PublicSettings(**settings))

    def may_be_shown(was: Publication, now: Publication) -> bool:
        terms = Terms.of(was, url=None, simulated=False)
        return Edition(MONTH, 1, NOW, "", None, terms).may_be_shown(now)

    everything, districts = publication(), publication(level="district")
    assert may_be_shown(everything, everything)
    assert may_be_shown(districts, everything)
    assert not may_be_shown(everything, districts)
    assert not may_be_shown(districts, publication(level="none"))
    village, district = publication(hidden_regions=[VILLAGE]), publication(hidden_regions=["64.02"])
    assert may_be_shown(district, village), "the village is hidden with its district"
    assert not may_be_shown(village, district)
    assert not may_be_shown(everything, publication(hidden_technologies=["geo"]))


async def test_no_file_tells_what_people_typed_of_a_site(session: AsyncSession, cast: Cast) -> None:
    await execute(
        session,
        "UPDATE site SET name = 'rahasia', contact_name = 'rahasia', contact_phone = 'rahasia', notes = 'rahasia', "
        "ssid = 'rahasia', location_note = 'rahasia', latitude = -0.987654, longitude = 117.987654",
    )
    everything = b"".join((await files_of(session, await publish(session))).values()).decode()
    assert "rahasia" not in everything
    assert "987654" not in everything
    assert "198.51.100" not in everything


def visitor(app: FastAPI, **settings: Any) -> httpx.AsyncClient:
    app.state.public.cached.clear()
    pages = PublicPages(lambda: app.state.sessions, Settings(public=PublicSettings(**settings)))
    pages.cached, app.state.public = app.state.public.cached, pages
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_files_are_served_by_version_and_the_latest_without(app: FastAPI, session: AsyncSession) -> None:
    first = await publish(session, CLOSES)
    await more_is_known(session, SITES["here"])
    await publish(session, CLOSES + WEEK)
    async with visitor(app) as client:
        old = await client.get(f"/data-terbuka/{PERIOD}/v1/ketersediaan-desa.csv")
        new = await client.get(f"/data-terbuka/{PERIOD}/ketersediaan-desa.csv")
        assert old.content == (await files_of(session, first))["ketersediaan-desa.csv"]
        assert new.content != old.content
        assert new.headers["content-type"] == "text/csv; charset=utf-8"
        assert new.headers["access-control-allow-origin"] == "*"
        assert (old.headers["cache-control"], new.headers["cache-control"]) == (
            "public, max-age=86400",
            "public, max-age=60",
        )
        headers = {"If-None-Match": new.headers["etag"]}
        assert (await client.get(f"/data-terbuka/{PERIOD}/ketersediaan-desa.csv", headers=headers)).status_code == 304
        for path in ("2019-01", f"{PERIOD}/v3/ketersediaan-desa.csv", f"{PERIOD}/v1/passwd", f"{PERIOD}/v1/..%2f..%2f"):
            assert (await client.get(f"/data-terbuka/{path}")).status_code == 404, path
        for path in ("/data", "/data-terbuka", f"/data-terbuka/{PERIOD}"):
            for language in ("", "/en"):
                assert (await client.get(language + path)).status_code == 200, path
        page = (await client.get(f"/data-terbuka/{PERIOD}")).text
        assert "Versi 2" in page
        assert "angka berubah karena data yang datang kemudian" in page
        assert f"/data-terbuka/{PERIOD}/v1/gangguan-desa.csv" in page
    async with visitor(app, hidden_technologies=["geo"]) as client:
        assert (await client.get(f"/data-terbuka/{PERIOD}")).status_code == 404
        assert (await client.get(f"/data-terbuka/{PERIOD}/v1/ketersediaan-desa.csv")).status_code == 404


async def test_a_simulated_month_says_so(app: FastAPI, session: AsyncSession) -> None:
    await execute(
        session,
        "INSERT INTO simulation (started_at, ended_at, readings_from, seed) VALUES (:a, :b, :a, 1)",
        a=START,
        b=START + timedelta(hours=1),
    )
    files = await files_of(session, await publish(session))
    assert json.loads(files["datapackage.json"])["title"].startswith("SIMULASI")
    async with visitor(app) as client:
        assert "Data simulasi: tidak ada desa yang diukur." in (await client.get(f"/data-terbuka/{PERIOD}")).text


async def test_files_lie_where_a_web_server_serves_them_without_the_api(
    session: AsyncSession, sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "villages", lambda: [VILLAGE])
    edition = await publish(session)
    folder = tmp_path / "public"
    await PublicFiles(folder, lambda: sessions, Settings()).write()
    written = {file.name: file.read_bytes() for file in (folder / "data-terbuka" / PERIOD / "v1").iterdir()}
    assert written == await files_of(session, edition)
    latest = folder / "data-terbuka" / PERIOD / "gangguan-desa.csv"
    assert latest.read_bytes() == written["gangguan-desa.csv"]
    assert "Dataset" in (folder / "en" / "data-terbuka" / f"{PERIOD}.html").read_text()
    before = latest.stat().st_ino
    await PublicFiles(folder, lambda: sessions, Settings()).write()
    assert latest.stat().st_ino == before, "not written again by the next process"
    await PublicFiles(folder, lambda: sessions, Settings(public=PublicSettings(level="district"))).write()
    assert not [file for file in folder.rglob("*") if "gangguan" in file.name], "withheld, and removed"


async def test_the_command_writes_what_was_published_and_replaces_no_other_file(
    session: AsyncSession, sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def open_here(*_: Any, **__: Any) -> AsyncIterator[AsyncSession]:
        async with transaction(sessions) as within:
            yield within

    monkeypatch.setattr(export_command, "admin_session", open_here)
    said: list[str] = []
    with pytest.raises(SettingsError, match="no version 1"):
        await export_command.open_data(Settings(), PERIOD, tmp_path, version=1, say=said.append)
    with pytest.raises(SettingsError, match="write it like 2026-10"):
        await export_command.open_data(Settings(), "oktober", tmp_path, version=None, say=said.append)
    with pytest.raises(SettingsError, match="2099-01 is not published"):
        await export_command.open_data(Settings(), "2099-01", tmp_path, version=None, say=said.append)
    await export_command.open_data(Settings(), PERIOD, tmp_path, version=None, say=said.append)
    await export_command.open_data(Settings(), PERIOD, tmp_path, version=1, say=said.append)
    assert said[0] == said[1]
    for line in (tmp_path / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    (tmp_path / "kamus.csv").write_text("mine")
    with pytest.raises(SettingsError, match="holds something else"):
        await export_command.open_data(Settings(), PERIOD, tmp_path, version=None, say=said.append)
    hidden = Settings(public=PublicSettings(level="none"))
    with pytest.raises(SettingsError, match="no open data is published"):
        await export_command.open_data(hidden, PERIOD, tmp_path, version=None, say=said.append)
