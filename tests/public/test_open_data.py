"""The open data: the figures of the API, by village and month, with a dictionary of every column."""

import csv
import io
from datetime import timedelta
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.models import CountedDay
from app.core.clock import WITA, today
from app.public.pages import PublicPages
from app.public.views import region_rows
from app.settings import PublicSettings, Settings
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, VILLAGE
from tests.support.site_histories import day, site_since
from tests.support.status import judge
from tests.support.uptime import count, get

FIGURES = ("uptime_pct", "coverage_pct", "worst_pct", "best_pct")


async def fetch(app: FastAPI, name: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.get(f"/data/{name}", headers=headers)


async def rows(app: FastAPI, name: str) -> list[dict[str, str]]:
    answer = await fetch(app, name)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["access-control-allow-origin"] == "*"
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))


async def two_villages(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    down = await site_since(session, cast, day(40), (day(3, 4), "down"), (day(3, 10), "up"), (day(0), "down"))
    await site_since(session, cast, day(40), (day(35), "unknown"), village_code=BERAU_VILLAGE)
    await judge(session, down, "down")
    await count(session)
    settings = Settings(public=PublicSettings())
    pages = PublicPages(lambda: app.state.sessions, settings)
    app.state.public.cached.clear()
    pages.cached, app.state.public = app.state.public.cached, pages


async def test_a_row_a_village_with_its_state_and_thirty_days(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    await two_villages(app, cast, session)
    here, there = await rows(app, "desa.csv")
    assert (here["village_code"], here["village"], here["district"]) == (
        VILLAGE,
        "Muara Badak Ulu",
        "Kabupaten Kutai Kartanegara",
    )
    assert (here["state"], here["days_normal"], here["days_disturbed"]) == ("down", "29", "1")
    assert here["since"].endswith("+08:00")
    period = {"from": day(30), "to": day(0), "step": "day"}
    total = (await get(cast.sari, "/regions/64.02/uptime", **period))["total"]
    assert {name: float(here[name]) for name in FIGURES} == {name: total[name] for name in FIGURES}
    assert int(here["good_s"]) + int(here["bad_s"]) + int(here["unknown_s"]) == 30 * 86_400
    assert (there["days_undetermined"], there["uptime_pct"], there["worst_pct"]) == ("30", "", "0")


async def test_a_village_stands_at_its_centroid(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    await two_villages(app, cast, session)
    answer = await fetch(app, "desa.geojson")
    assert answer.headers["content-type"] == "application/geo+json"
    first, _ = answer.json()["features"]
    place = region_rows()[VILLAGE]
    assert first["geometry"] == {"type": "Point", "coordinates": [place["longitude"], place["latitude"]]}
    assert first["properties"]["state"] == "down"
    again = await fetch(app, "desa.geojson", **{"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


async def test_months_are_the_apis(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    await two_villages(app, cast, session)
    months = await rows(app, "desa-bulanan.csv")
    mine = [row for row in months if row["village_code"] == VILLAGE]
    last = await session.scalar(select(func.max(CountedDay.day)))  # in the small hours yesterday is not counted yet
    assert last is not None
    assert today() - last <= timedelta(days=2)
    assert sum(int(row["days"]) for row in mine) == (last - day(40).astimezone(WITA).date()).days + 1
    assert mine[-1]["month"] == f"{last:%Y-%m}"
    month = mine[0]["month"]
    total = (await get(cast.sari, "/regions/64.02/uptime", period=month))["total"]
    if month != f"{today():%Y-%m}":  # the present month goes on while the file ends with the last day counted
        assert {name: float(mine[0][name]) for name in FIGURES} == {name: total[name] for name in FIGURES}
    districts = [row for row in await rows(app, "kabupaten-bulanan.csv") if row["district_code"] == "64.02"]
    assert [[row[name] for name in FIGURES] for row in districts] == [[row[name] for name in FIGURES] for row in mine]


async def test_the_dictionary_has_every_column(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    await two_villages(app, cast, session)
    dictionary = await rows(app, "kamus.csv")
    described: dict[str, Any] = {}
    for row in dictionary:
        assert row["nama"]
        assert row["name"]
        described.setdefault(row["file"], set()).add(row["column"])
    for name in ("desa.csv", "desa-bulanan.csv", "kabupaten-bulanan.csv"):
        assert described[name] == set((await rows(app, name))[0])
