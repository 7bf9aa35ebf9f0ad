"""The wall of a control room: one region's state, by a token of its own that only reads."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.console import scope_cache
from app.console.scope_cache import ScopeCache
from app.core.clock import utc_now
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, register
from tests.support.console import Page, Visitor
from tests.support.status import beat, judge, publish

Open = Callable[[], Visitor]


async def token_of(cast: Cast, role: str, region: str) -> tuple[int, str]:
    made = await cast.sari.post("/tokens", {"name": f"Layar {region}", "role": role, "region_code": region})
    assert made.status_code == 201, made.text
    return made.json()["id"], made.json()["token"]


async def hang_up(screen: Visitor, token: str, **fields: str) -> Page:
    """Enter the token as the page's form does."""
    form = (await screen.get("/layar")).form("/layar")
    return await screen.post("/layar", form | {"token": token, **fields})


def tiles(page: Page) -> list[str]:
    return [" ".join(tile.text_content().split()) for tile in page.tree.xpath('//*[contains(@class, "tiles")]/li')]


@pytest.fixture
async def two_districts(cast: Cast, session: AsyncSession) -> dict[str, int]:
    down = await register(cast, name="Badak <i>Baru</i>")
    up = await register(cast, host="198.51.100.21")
    berau = await register(cast, village_code=BERAU_VILLAGE, name="Maluang", host="198.51.100.22")
    for site, state in ((down, "down"), (up, "up"), (berau, "up")):
        await judge(session, site["id"], state)
    await beat(session)
    return {"down": down["id"], "up": up["id"], "berau": berau["id"]}


async def test_a_wall_keeps_its_own_token_and_shows_its_region(
    visitor: Open, cast: Cast, app: FastAPI, two_districts: dict[str, int]
) -> None:
    await publish(app)
    screen, (_, secret) = visitor(), await token_of(cast, "viewer", "64.02")
    assert "Layar memakai token sendiri" in (await screen.get("/layar")).text
    kept = await hang_up(screen, secret, theme="light")
    assert (kept.status, kept.response.headers["location"]) == (303, "/layar?theme=light")
    cookie = kept.response.headers["set-cookie"].lower()
    assert cookie.startswith("sinyal_kiosk=sinyal_")
    assert "httponly" in cookie
    assert "path=/layar;" in cookie
    page = await screen.follow(kept)
    assert page.tree.find("body").get("class") == "wall light"
    [tile] = tiles(page)
    assert tile.startswith("Muara Badak 1 putus")
    assert "1 belum ditangani" in tile
    assert re.search(r"sejak \d\d\.\d\d, 1 belum", tile), "today: the time alone"
    assert "Maluang" not in page.text
    assert "Badak &lt;i&gt;Baru&lt;/i&gt;" in page.response.text
    assert secret not in page.response.text
    assert 'http-equiv="refresh" content="60"' in page.response.text
    assert (await screen.get("/console")).status == 303, "the wall alone"
    whole = await hang_up(screen_of := visitor(), (await token_of(cast, "viewer", "64"))[1])
    assert [tile.split()[0] for tile in tiles(await screen_of.follow(whole))] == ["Kutai", "Berau"]


async def test_a_token_that_writes_or_is_unknown_is_refused_and_a_revoked_one_asks_anew(
    visitor: Open, cast: Cast, app: FastAPI, two_districts: dict[str, int]
) -> None:
    await publish(app)
    screen = visitor()
    for role, region in (("province_admin", "64"), ("district_operator", "64.02")):
        refused = await hang_up(screen, (await token_of(cast, role, region))[1])
        assert (refused.status, "Token ini dapat mengubah data" in refused.text) == (401, True)
        assert "set-cookie" not in refused.response.headers
    assert "Token ini tidak dikenal" in (await hang_up(screen, "sinyal_<b>" * 10_000)).text
    number, secret = await token_of(cast, "viewer", "64.02")
    await hang_up(screen, secret)
    await cast.sari.delete(f"/tokens/{number}")
    app.state.callers = type(app.state.callers)()  # as some seconds later
    page = await screen.get("/layar")
    assert (page.status, "sudah dicabut atau kedaluwarsa" in page.text) == (401, True)
    assert (await screen.get("/layar/stream")).status == 401
    await hang_up(screen, (await token_of(cast, "viewer", "64"))[1])
    assert (await screen.get("/layar")).status == 200
    await screen.post("/layar", {"token": ""})
    assert (await screen.get("/layar")).tree.xpath('//form[@action="/layar"]//input[@name="token"]'), "forgotten"


async def test_a_session_shows_its_own_region_until_it_ends(
    neighbour: Visitor, app: FastAPI, two_districts: dict[str, int]
) -> None:
    await publish(app)
    page = await neighbour.get("/layar?lang=en")
    assert page.status == 200
    assert len(tiles(page)) == 1
    assert "This screen ends with your session" in page.text
    assert "Not updated since" in page.response.text
    await neighbour.submit(await neighbour.get("/console/me"), "/console/sign-out")
    assert "keeps a token of its own" in (await neighbour.get("/layar")).text


async def test_old_data_is_grey_and_says_since_when(
    reader: Visitor, app: FastAPI, session: AsyncSession, two_districts: dict[str, int]
) -> None:
    await publish(app)
    assert (await reader.get("/layar")).tree.xpath('string(//*[@id="wall"]/@class)') == ""
    await beat(session, age_s=180)
    app.state.snapshot.refresh_s = 0  # as some seconds later
    await publish(app)
    page = await reader.get("/layar")
    assert page.tree.xpath('string(//*[@id="wall"]/@class)') == "old"
    assert "Pengukuran tidak berjalan selama 3 menit" in page.text


async def test_an_outage_of_days_is_dated_and_one_in_maintenance_waits_for_nobody(
    reader: Visitor, cast: Cast, app: FastAPI, session: AsyncSession, two_districts: dict[str, int]
) -> None:
    async with session.begin():
        await session.execute(text("UPDATE site_status SET since = now() - interval '3 days' WHERE state = 'down'"))
    now = utc_now()
    window = {"site": str(two_districts["down"]), "title": "Ganti kabel", "reason": "lupa dicatat"}
    times = {"started_at": (now - timedelta(minutes=1)).isoformat(), "ended_at": (now + timedelta(hours=1)).isoformat()}
    assert (await cast.sari.post("/maintenance", window | times)).status_code == 201
    await publish(app)
    [kukar, _] = tiles(await reader.get("/layar"))
    assert re.search(r"sejak \d+ \w+ \d{4} \d\d\.\d\d WITA$", kukar), kukar
    assert "1 di antaranya dalam pemeliharaan." in (await reader.get("/console")).text


async def test_the_wall_is_told_of_changes_by_a_stream_that_its_token_opens(
    visitor: Open, cast: Cast, app: FastAPI, two_districts: dict[str, int]
) -> None:
    await publish(app)
    screen = visitor()
    assert (await screen.get("/layar/stream")).status == 401
    await hang_up(screen, (await token_of(cast, "viewer", "64.02"))[1])
    stream = await screen.client.get("/layar/stream")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert "event: version\n" in stream.text
    assert "Badak" not in stream.text


async def test_what_moves_slowly_is_made_anew_behind_the_reader() -> None:
    now, made = 0.0, 0

    async def make() -> int:
        nonlocal made
        made += 1
        return made

    cache = ScopeCache(clock=lambda: now)
    assert [await cache.for_minutes("64", make), await cache.for_minutes("64", make)] == [1, 1]
    now = scope_cache.FRESH_S + 1
    assert await cache.for_minutes("64", make) == 1
    for refresh in tuple(cache._refreshes):
        await refresh
    assert await cache.for_minutes("64", make) == 2
    now += scope_cache.USABLE_S + 1
    assert await cache.for_minutes("64", make) == 3, "too old to be shown"
