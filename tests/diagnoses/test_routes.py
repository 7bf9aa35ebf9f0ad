"""Requesting diagnoses: by whom, how often, and what happens while no worker claims them."""

from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.diagnoses import store
from app.postgres.engine import Sessions, transaction
from app.worker import writer as worker
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, register
from tests.support.diagnoses import RESULTS, age, make_diagnosis

PING = {"kind": "ping", "count": 4}


async def request_diagnosis(cast: Cast, site: dict[str, Any], body: dict[str, Any] = PING) -> dict[str, Any]:
    answer = await cast.ana.post(f"/sites/{site['code']}/diagnose", body)
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def test_a_requested_diagnosis_has_its_own_address_and_is_audited(cast: Cast) -> None:
    site = await register(cast)
    answer = await cast.ana.post(f"/sites/{site['code']}/diagnose", {"kind": "traceroute"})
    made = answer.json()
    assert (answer.status_code, made["status"], made["count"]) == (201, "waiting", 3)
    where = answer.headers["Location"]
    assert where == f"/api/v1/sites/{site['code']}/diagnoses/{made['id']}"
    read = (await cast.vera.get(where.removeprefix("/api/v1"))).json()
    assert (read["status"], read["lines"], read["requested_by"]) == ("waiting", [], "token ana")
    (entry,) = (await cast.sari.get("/audit", params={"action": "diagnose"})).json()["items"]
    assert (entry["object"], entry["object_id"]) == ("site", str(site["id"]))
    assert entry["after"] == {"diagnosis": made["id"], "kind": "traceroute", "count": 3}


async def test_a_repeated_idempotency_key_returns_the_same_diagnosis(cast: Cast) -> None:
    site = await register(cast)
    first, again = [
        await cast.ana.post(f"/sites/{site['id']}/diagnose", PING, headers={"Idempotency-Key": "klik"})
        for _ in range(2)
    ]
    assert (first.status_code, again.status_code, again.json()["id"]) == (201, 201, first.json()["id"])


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "ping", "count": 0},
        {"kind": "ping", "count": 21},
        {"kind": "mtr"},
        {"kind": "ping", "host": "127.0.0.1"},
    ],
)
async def test_an_invalid_request_is_refused(cast: Cast, given: dict[str, Any]) -> None:
    site = await register(cast)
    assert (await cast.ana.post(f"/sites/{site['id']}/diagnose", given)).status_code == 422


async def test_a_reader_may_read_but_not_request_and_other_districts_see_nothing(
    cast: Cast, session: AsyncSession
) -> None:
    site = await register(cast)
    done = await make_diagnosis(session, site["id"])
    assert (await cast.vera.post(f"/sites/{site['id']}/diagnose", PING)).status_code == 403
    assert (await cast.vera.get(f"/sites/{site['id']}/diagnoses/{done}")).status_code == 200
    for path in (f"diagnoses/{done}", f"diagnoses/{done}/stream", "diagnoses"):
        assert (await cast.ben.get(f"/sites/{site['id']}/{path}")).status_code == 404
    assert (await cast.ben.post(f"/sites/{site['id']}/diagnose", PING)).status_code == 404
    theirs = await register(cast, village_code=BERAU_VILLAGE, host="198.51.100.9")
    assert (await cast.ben.get(f"/sites/{theirs['id']}/diagnoses/{done}")).status_code == 404, "by another's site"


async def test_a_site_that_reports_itself_has_no_address_to_probe(cast: Cast) -> None:
    site = await register(cast, probe="push", host=None, technology="leo")
    answer = await cast.ana.post(f"/sites/{site['id']}/diagnose", PING)
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["code"]) == (409, "reports_itself")
    assert f"/sites/{site['id']}/device" in fault["suggestion"]


async def test_a_site_has_one_open_diagnosis_at_a_time(cast: Cast) -> None:
    site = await register(cast)
    made = await request_diagnosis(cast, site)
    answer = await cast.sari.post(f"/sites/{site['id']}/diagnose", PING)
    assert (answer.status_code, "retry-after" in answer.headers) == (429, True)
    assert f"Diagnosis {made['id']} " in answer.json()["detail"]


async def test_few_a_minute_by_the_same_caller_and_few_open_in_all(
    cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_PER_MINUTE", 2)
    sites = [await register(cast, host=f"198.51.100.{n}") for n in range(30, 34)]
    made = [await request_diagnosis(cast, site) for site in sites[:2]]
    answer = await cast.ana.post(f"/sites/{sites[2]['id']}/diagnose", PING)
    assert (answer.status_code, "2 diagnoses a minute" in answer.json()["detail"]) == (429, True)
    assert 1 <= int(answer.headers["Retry-After"]) <= 61
    monkeypatch.setattr(store, "MAX_OPEN", 2)
    answer = await cast.sari.post(f"/sites/{sites[2]['id']}/diagnose", PING)
    assert (answer.status_code, "2 diagnoses are open" in answer.json()["detail"]) == (429, True)
    for one in made:
        await age(session, one["id"], 90)
    await request_diagnosis(cast, sites[2])


async def test_an_unclaimed_diagnosis_says_so_and_fails_after_a_minute(cast: Cast, session: AsyncSession) -> None:
    site = await register(cast)
    made = await request_diagnosis(cast, site)
    assert "no worker has run yet" in made["notice"]
    async with session.begin():
        await worker.write_beat(session, now=utc_now(), started_at=utc_now(), blind_since=None, figures={})
    path = f"/sites/{site['id']}/diagnoses/{made['id']}"
    assert (await cast.ana.get(path)).json()["notice"] is None
    await age(session, made["id"], 90)
    given_up = (await cast.ana.get(path)).json()
    assert (given_up["status"], given_up["problem"], given_up["notice"]) == (
        "failed",
        "no worker claimed it in time",
        None,
    )
    assert (await cast.ana.post(f"/sites/{site['id']}/diagnose", PING)).status_code == 201
    async with session.begin():
        (claimed,) = await store.claim(session, max_count=5)
    assert claimed.id != made["id"], "what was given up is not run later"


async def test_a_diagnosis_that_runs_too_long_fails(cast: Cast, session: AsyncSession) -> None:
    site = await register(cast)
    made = await request_diagnosis(cast, site)
    path = f"/sites/{site['id']}/diagnoses/{made['id']}"
    async with session.begin():
        await store.claim(session, max_count=1)
    assert (await cast.ana.get(path)).json()["status"] == "running"
    await age(session, made["id"], store.MAX_RUN_S + 30)
    left = (await cast.ana.get(path)).json()
    assert (left["status"], left["problem"]) == ("failed", "the worker stopped before it was done")
    assert (await cast.ana.post(f"/sites/{site['id']}/diagnose", PING)).status_code == 201
    async with session.begin():
        await store.end(session, made["id"], problem=None)  # by a worker that wakes up after all
    assert (await cast.ana.get(path)).json()["status"] == "failed"


async def test_diagnoses_are_paged_newest_first_and_deleted_after_a_month(
    cast: Cast, session: AsyncSession, sessions: Sessions
) -> None:
    site = await register(cast)
    made = [await make_diagnosis(session, site["id"]) for _ in range(3)]
    first = (await cast.vera.get(f"/sites/{site['id']}/diagnoses", params={"limit": 2})).json()
    assert [one["id"] for one in first["items"]] == [made[2], made[1]]
    rest = await cast.vera.get(f"/sites/{site['id']}/diagnoses", params={"cursor": first["next_cursor"]})
    assert [one["id"] for one in rest.json()["items"]] == [made[0]]
    await age(session, made[0], 30 * 86_400 + 1)
    async with transaction(sessions) as tidying:
        await store.delete_old(tidying)
    async with session.begin():
        assert await session.scalar(text("SELECT count(*) FROM diagnosis")) == 2
        assert await session.scalar(text("SELECT count(*) FROM diagnosis_line")) == 2 * len(RESULTS)


async def test_lines_are_read_and_streamed_in_order(cast: Cast, session: AsyncSession, app: FastAPI) -> None:
    site = await register(cast)
    done = await make_diagnosis(session, site["id"])
    read = (await cast.vera.get(f"/sites/{site['id']}/diagnoses/{done}")).json()
    assert [line["found"] for line in read["lines"]] == RESULTS
    stream = await cast.vera.get(f"/sites/{site['id']}/diagnoses/{done}/stream", headers={"Last-Event-ID": "2"})
    sent = [line for line in stream.text.splitlines() if line.startswith(("event", "id"))]
    assert sent == ["event: line", "id: 3", "event: line", "id: 4", "event: end", "id: 4"]
