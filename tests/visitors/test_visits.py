"""`/visits`: finding a site, a visit without a trace, and results that count once."""

from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.settings import PublicSettings
from app.visitors import visit_token
from tests.conftest import Cast
from tests.factories import VILLAGE, register
from tests.support.visitors import ELSEWHERE, HOME, Visitor, add_network, result

NAMES = {"name": "Kantor Desa", "village": "Muara Badak Ulu", "district": "Kabupaten Kutai Kartanegara"}


async def test_a_site_is_found_by_its_code_by_its_villages_and_by_the_network_of_its_own_device(
    cast: Cast, app: FastAPI, session: AsyncSession
) -> None:
    site = await register(cast, name="Kantor Desa", probe="push", host=None, latitude=-0.3, longitude=117.4)
    await register(cast, name="Menara", kind="node", host="198.51.100.9")
    await add_network(session, site["id"])
    here, there = Visitor(app, HOME.rsplit(".", 1)[0] + ".200"), Visitor(app, ELSEWHERE)
    shown = {"sites": [{"code": site["code"], **NAMES}], "by": "code"}
    for typed in (site["code"], VILLAGE, site["code"].replace(".", ""), f" {site['code']} "):
        assert (await there.ask("GET", "/site", params={"code": typed})).json() == shown
    assert (await here.ask("GET", "/site")).json() == {**shown, "by": "network"}
    assert (await there.ask("GET", "/site")).json() == {"sites": [], "by": "network"}
    assert (await there.ask("GET", "/site", params={"code": "64.02.05.2004"})).json()["sites"] == []
    refused = await there.ask("GET", "/site", params={"code": "kantor desa"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "code")


async def test_what_is_not_published_is_not_found(cast: Cast, app: FastAPI) -> None:
    site = await register(cast)
    app.state.visits.sites._publication = PublicSettings(hidden_regions=["64.02"])
    visitor = Visitor(app, ELSEWHERE)
    assert (await visitor.ask("GET", "/site", params={"code": site["code"]})).json()["sites"] == []
    opened = await visitor.ask("POST", "", json={"code": site["code"], "visitor": visitor.name})
    assert opened.status_code == 422


async def test_a_visit_stores_nothing_and_tells_what_a_speed_test_costs(
    cast: Cast, app: FastAPI, session: AsyncSession
) -> None:
    site = await register(cast, probe="push", host=None)
    await add_network(session, site["id"])
    here = await Visitor(app, HOME).open(site["code"])
    assert (here["network"], here["speed_refused"], here["every_s"]) == ("same", None, 300)
    assert here["speed"]["total_kb"] == 25_000
    assert here["speed"]["down_bytes"] + here["speed"]["up_bytes"] < 25_000_000
    there = await Visitor(app, ELSEWHERE).open(site["code"])
    assert (there["network"], there["speed"], there["speed_refused"]) == ("other", None, "other_network")
    assert await session.scalar(text("SELECT count(*) FROM visit_result")) == 0


async def test_a_result_counts_once_however_often_and_by_whomever_it_is_sent(
    cast: Cast, app: FastAPI, session: AsyncSession
) -> None:
    site = await register(cast, probe="push", host=None)
    await add_network(session, site["id"])
    visitor = Visitor(app, HOME)
    visit = (await visitor.open(site["code"]))["visit"]
    first = await visitor.send(visit, result(1), result(2, age_ms=400_000), result(2))
    assert (first["accepted"], first["duplicates"], first["rejected"]) == (2, 1, [])
    again = (await visitor.open(site["code"]))["visit"]
    second = await visitor.send(again, result(1), result(3))
    assert (second["accepted"], second["duplicates"]) == (1, 1)
    replayed = await Visitor(app, ELSEWHERE).send(visit, result(3))
    assert (replayed["accepted"], replayed["duplicates"]) == (0, 1)
    query = "SELECT seq, late, network, rtt_us, flaw FROM visit_result ORDER BY seq"
    rows = [tuple(row) for row in await session.execute(text(query))]
    assert rows == [(number, number == 2, "same", 30_000, None) for number in (1, 2, 3)]


async def test_an_invalid_row_is_named_and_the_others_are_kept(cast: Cast, app: FastAPI) -> None:
    visitor = Visitor(app, ELSEWHERE)
    visit = (await visitor.open((await register(cast))["code"]))["visit"]
    bad = [
        *({"seq": 1}, "x", result(2, age_ms=8 * 86_400_000), result(3, rtt_ms=()), result(4, rtt_ms=(-1,))),
        *(result(5, down={"bytes": 1.5, "ms": 9}), result(6, rtt_ms=(1,) * 21), result(7, lost="1")),
    ]
    answer = await visitor.send(visit, *bad, result(9))  # type: ignore[arg-type]
    assert answer["accepted"] == 1
    assert [(fault["row"], fault["code"]) for fault in answer["rejected"]] == [
        *((0, "missing"), (1, "not_an_object"), (2, "out_of_range"), (3, "nothing_measured"), (4, "out_of_range")),
        *((5, "not_whole"), (6, "too_long"), (7, "not_a_number")),
    ]
    too_many = await visitor.ask("POST", "/results", json={"visit": visit, "results": [result(1)] * 101})
    assert too_many.status_code == 413
    huge = await visitor.ask("POST", "/results", json={"visit": visit, "results": ["x" * 100_000]})
    assert huge.status_code == 413
    plain = await visitor.ask("POST", "/results", content=b"{}", headers={"Content-Type": "text/plain"})
    assert plain.json()["errors"][0]["code"] == "not_json", "another site's page sends no JSON unasked"


async def test_a_token_that_was_changed_or_is_over_is_refused(
    cast: Cast, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor(app, ELSEWHERE)
    visit = (await visitor.open((await register(cast))["code"]))["visit"]
    body, _, signature = visit.partition(".")
    for wrong in (
        "",
        ".",
        "x.y",
        f"{body}.",
        f"{body}.{signature[::-1]}",
        f"{body[:-2]}AA.{signature}",
        f"W10.{signature}",
    ):
        answer = await visitor.ask("POST", "/results", json={"visit": wrong, "results": [result(1)]})
        assert answer.status_code == 422, f"{wrong}: {answer.text}"
        assert answer.json()["errors"][0]["field"] == "visit"
    monkeypatch.setattr(visit_token, "GOOD_FOR", timedelta(0))
    assert (await visitor.ask("POST", "/results", json={"visit": visit, "results": [result(1)]})).status_code == 422


async def test_a_visitor_is_another_each_month_but_not_within_one(app: FastAPI) -> None:
    keys, name = app.state.visits.keys, "a" * 32
    now = utc_now().replace(day=2, hour=12)
    visit = await keys.read(await keys.issue(7, name, now), now)
    assert len(visit.visitors) == 2, "rows of the last week may lie in the month before"
    assert visit.visitor(now) != visit.visitor(now - timedelta(days=6))
    later = await keys.read(await keys.issue(7, name, now + timedelta(days=10)), now + timedelta(days=10))
    assert later.visitor(now) == visit.visitor(now)
