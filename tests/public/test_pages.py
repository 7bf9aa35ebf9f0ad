"""The public pages over HTTP: what they say, what they never say, and how they are cached."""

import re
from datetime import timedelta
from typing import Any

import httpx
from fastapi import FastAPI
from lxml import html
from sqlalchemy import String
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.postgres.engine import Sessions
from app.public.addresses import PageKind, list_addresses
from app.public.pages import PublicPages
from app.registry.models import Site
from app.settings import PublicSettings, Settings
from tests.conftest import Cast
from tests.factories import VILLAGE, register
from tests.support.site_histories import day, execute, site_since
from tests.support.status import judge
from tests.support.uptime import count

NAME = "Muara Badak Ulu"


def visitor(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def publish(app: FastAPI, **changes: Any) -> PublicPages:
    """Start the public pages anew, with other settings."""
    old = app.state.public.cached
    old.clear()
    pages = PublicPages(lambda: app.state.sessions, Settings(public=PublicSettings(**changes)))
    pages.cached = old  # the middleware's
    app.state.public = pages
    return pages


async def words(client: httpx.AsyncClient, path: str, status: int = 200, **params: str) -> str:
    answer = await client.get(path, params=params)
    assert answer.status_code == status, answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "set-cookie" not in answer.headers
    main = html.fromstring(answer.text).xpath("//main")[0]
    return re.sub(r" ([.,;:])", r"\1", " ".join(" ".join(main.itertext()).split()))


async def test_a_village_reads_how_it_does_in_words(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    site = await site_since(
        session, cast, day(40), (day(3, 4), "down"), (day(3, 6), "up"), ssid="Desa<b>Net", public_hours="08.00–20.00"
    )
    await count(session)
    await judge(session, site, "up")
    publish(app, contacts={"64.02": "Telepon 112", "64": "lainnya"})
    async with visitor(app) as client:
        said = await words(client, f"/desa/{VILLAGE}")
        assert "Saat ini: normal sejak" in said
        assert "normal 29 dari 30 hari, 1 hari terganggu." in said
        assert "Nama Wi-Fi Desa<b>Net; dibuka untuk umum 08.00–20.00" in said
        assert "Telepon 112" in said
        assert re.search(r"30 hari terakhir 99,72% data terpantau 100%", said)
        assert re.search(r"Keadaan \d+ \w+ \d{4} \d\d\.\d\d WITA", said)
        english = await words(client, f"/en/desa/{VILLAGE}")
        assert "Now: normal since" in english
        assert "normal on 29 of 30 days, 1 disturbed." in english


async def test_what_nobody_measured_is_said_and_not_guessed(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    await site_since(session, cast, day(10), (day(9), "unknown"))
    await count(session)
    publish(app)
    async with visitor(app) as client:
        said = await words(client, f"/desa/{VILLAGE}")
        home = await words(client, "/")
    assert "normal di 0 dari 1 desa yang memilikinya. Di 1 desa lainnya belum terpantau: berjalan atau putus" in home
    assert "Saat ini: belum terpantau sejak" in said
    assert "normal 1 dari 10 hari, 9 hari belum cukup terpantau" in said
    assert "dari 30 hari terakhir, 10% terpantau" in said


async def test_the_province_its_districts_and_their_villages(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    up, down = (
        await site_since(session, cast, day(3)),
        await site_since(session, cast, day(3), village_code="64.02.05.2001"),
    )
    await judge(session, up, "up")
    await judge(session, down, "down")
    await count(session)
    publish(app)
    async with visitor(app) as client:
        home = await words(client, "/")
        assert "Saat ini internet gratis berjalan normal di 1 dari 2 desa yang memilikinya." in home
        assert "Kabupaten Kutai Kartanegara 1 normal 1 putus" in home
        district = await words(client, "/kabupaten/64.02")
        assert re.search(rf"{NAME} normal normal 3 dari 3 hari", district)
        assert "tidak ada data" in district
        assert "putus" in district
        found = await words(client, "/cari", q="muara badak u")
        assert f"{NAME}, Kecamatan Muara Badak, Kabupaten Kutai Kartanegara: normal" in found
        for query in ("Desa Muara Badak Ulu", "badak ulu, kutai kartanegara", "ulu kec. muara badak", "64.02.05.2003"):
            assert f"{NAME}, Kecamatan Muara Badak" in await words(client, "/cari", q=query), query
        assert NAME not in await words(client, "/cari", q="muara badak u", kabupaten="64.03")
        assert "Tidak ada desa" in await words(client, "/cari", q="<script>" * 200)
        for path in ("/metode", "/data", "/en/metode", "/en/data", "/en", "/en/kabupaten/64.02"):
            await words(client, path)


async def test_an_unknown_address_says_what_to_do_and_fills_no_cache(app: FastAPI, cast: Cast) -> None:
    pages = publish(app)
    async with visitor(app) as client:
        for number in range(50):
            said = await words(client, f"/desa/64.02.05.{number:04}", 404)
        assert "Cari menurut nama" in said
        assert "Search by name" in await words(client, "/en/kabupaten/64.99", 404)
        assert (await client.get("/data/rahasia.csv")).status_code == 404
        await client.get("/?utm=1")
        await client.get("/?utm=2")
    assert set(pages.cached) == {"/"}


async def test_a_former_code_leads_to_the_present_one(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    await execute(session, "INSERT INTO region_alias (code, region_code) VALUES ('64.02.99.2003', :code)", code=VILLAGE)
    publish(app)
    async with visitor(app) as client:
        answer = await client.get("/en/desa/64.02.99.2003")
    assert (answer.status_code, answer.headers["location"]) == (301, f"/en/desa/{VILLAGE}")


async def test_pages_are_cached_and_revalidated(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    site = await site_since(session, cast, day(2))
    await judge(session, site, "up")
    pages = publish(app)
    async with visitor(app) as client:
        first = await client.get(f"/desa/{VILLAGE}")
        assert first.headers["cache-control"] == "public, max-age=60"
        assert first.headers["content-encoding"] == "gzip"
        again = await client.get(f"/desa/{VILLAGE}", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        plain = await client.get(f"/desa/{VILLAGE}", headers={"Accept-Encoding": "identity"})
        assert plain.text == first.text
        await judge(session, site, "down")
        assert (await client.get(f"/desa/{VILLAGE}")).text == first.text  # within the minute
        pages.reader._fresh_until = 0.0
        for page in pages.cached.values():
            page.fresh_until = 0.0
        changed = await client.get(f"/desa/{VILLAGE}", headers={"If-None-Match": first.headers["etag"]})
        assert changed.status_code == 200
        assert "putus" in changed.text
        pages.reader._fresh_until = 0.0
        pages.cached[f"/desa/{VILLAGE}"].fresh_until = 0.0
        same = await client.get(f"/desa/{VILLAGE}", headers={"If-None-Match": changed.headers["etag"]})
        assert same.status_code == 304  # read again, and nothing has changed
        head = await client.head(f"/desa/{VILLAGE}")
        assert (head.status_code, head.content) == (200, b"")


async def test_before_anything_is_known_pages_say_so(app: FastAPI, cast: Cast) -> None:
    publish(app)
    async with visitor(app) as client:
        assert "Belum ada titik akses yang dipantau" in await words(client, "/")
        assert "tidak ada titik akses gratis" in await words(client, f"/desa/{VILLAGE}")

    def refuse() -> Sessions:
        raise ConnectionRefusedError

    publish(app).reader._sessions = refuse
    async with visitor(app) as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert "Ini tidak berarti internet di desa putus" in answer.text


async def test_the_province_decides_what_is_published(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    await site_since(session, cast, day(2))
    await count(session)
    publish(app, level="district")
    async with visitor(app) as client:
        assert "dari 1 desa" in await words(client, "/kabupaten/64.02")
        assert NAME not in (await client.get("/kabupaten/64.02")).text
        for path in (f"/desa/{VILLAGE}", "/cari?q=muara", "/data/desa.csv", "/data/desa.geojson"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/data/kabupaten-bulanan.csv")).status_code == 200
        publish(app, level="none")
        assert "tidak menerbitkan" in await words(client, "/")
        for path in ("/kabupaten/64.02", "/data", "/data/kabupaten-bulanan.csv"):
            assert (await client.get(path)).status_code == 404
        publish(app, hidden_regions=["64.02.05"])
        assert "tidak ada titik akses gratis" in await words(client, f"/desa/{VILLAGE}")
        assert "Belum ada" in await words(client, "/")


SHOWN = {"code", "village_code", "ssid", "public_hours"}
OTHERS = {  # fields with values of their own, by what would give them away; None: they are not texts to look for
    "kind": None,
    "technology": "leo",
    "link_role": "backup",
    "venue": "puskesmas",
    "presence": "sometimes",
    "power_source": "genset",
    "probe": "icmp",
    "lifecycle": None,
}
NUMBERS = {
    "latitude": -0.3123456,
    "longitude": 117.4567891,
    "port": 54321,
    "speed_budget_mb": 98761,
    "bandwidth_down_mbps": 98.762,
    "bandwidth_up_mbps": 98.763,
}


async def test_nothing_private_is_on_any_page_or_in_any_file(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    """Every text that a site has is a mark, also one of a column that is added later."""
    texts = [c.name for c in Site.__table__.columns if isinstance(c.type, String) and c.name not in {*SHOWN, *OTHERS}]
    assert {"host", "name", "contact_name", "contact_phone", "location_note", "service_no", "device_model"} <= set(
        texts
    )
    await site_since(session, cast, day(2))
    for village, changes in (("64.02.05.2001", {"kind": "node"}), ("64.02.05.2002", {"lifecycle": "planned"})):
        await register(cast, village_code=village, host=f"198.51.100.7{village[-1]}", **changes)
    columns = [f"{name} = :{name} || id" for name in texts]
    columns += [f"{name} = :{name}" for name in [*NUMBERS, *filter(OTHERS.get, OTHERS)]]
    await execute(
        session,
        f"UPDATE site SET {', '.join(columns)}",
        "UPDATE site SET ssid = 'rahasia', public_hours = 'rahasia' WHERE kind = 'node' OR lifecycle <> 'active'",
        "UPDATE site_status SET state = 'unreachable', last_ok_at = now()",
        **{name: f"rahasia {name}" for name in texts},
        **NUMBERS,
        **{name: value for name, value in OTHERS.items() if value},
    )
    await count(session)
    pages = publish(app)
    marks = ["rahasia", "telkom", "198.51.100", "unreachable", *filter(None, OTHERS.values())]
    marks += [f"{number}".lstrip("-0.") for number in NUMBERS.values()]
    async with visitor(app) as client:
        for address in list_addresses(pages.publication, {}):
            if address.kind is PageKind.VILLAGE and not address.code.startswith("64.02.05"):
                continue  # without an access point: all alike
            answer = await client.get(address.path)
            assert answer.status_code == 200
            everything = f"{answer.text} {answer.headers}".casefold()
            told = {OTHERS["technology"]} if address.kind is PageKind.METHOD else set()  # it lists all of them
            found = [mark for mark in marks if re.search(rf"\b{re.escape(mark)}", everything) and mark not in told]
            assert found == [], address.path


async def test_links_stay_below_the_path_of_a_reverse_proxy(app: FastAPI, cast: Cast) -> None:
    pages = PublicPages(lambda: app.state.sessions, Settings(root_path="/sinyal"))
    app.state.public = pages
    transport = httpx.ASGITransport(app, root_path="/sinyal")
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in ("/sinyal/", f"/sinyal/en/desa/{VILLAGE}"):
            answer = await client.get(path)
            assert answer.status_code == 200
            links = html.fromstring(answer.text).xpath("//@href | //@src | //@action")
            assert [link for link in links if link.startswith("/") and not link.startswith("/sinyal/")] == []


async def test_simulated_figures_are_marked(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    await execute(
        session,
        "INSERT INTO simulation (started_at, ended_at, readings_from, seed) VALUES (:a, :b, :a, 1)",
        a=day(9),
        b=utc_now() - timedelta(hours=1),
    )
    publish(app)
    async with visitor(app) as client:
        for path in ("/", "/kabupaten/64.02", f"/desa/{VILLAGE}", "/metode", "/data"):
            assert "Data simulasi" in await words(client, path)
