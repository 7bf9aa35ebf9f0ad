"""The quarterly review: its figures are the API's, its times exact, its decisions kept; and the evidence it serves."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import midnight, today, utc_now
from app.core.errors import Invalid
from app.reviews import decisions, pemdi
from app.reviews.quarter import bounds_of, last_quarter, parse_quarter, quarter_of
from app.reviews.survey import SurveyAnswer, take_answer
from app.settings import SettingsError
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, VILLAGE
from tests.support.console import Visitor
from tests.support.open_data import write_outage
from tests.support.openapi import operations, read_document
from tests.support.site_histories import day, execute, site_since
from tests.support.uptime import count, get

NOW_QUARTER = quarter_of(today())
START = midnight(bounds_of(NOW_QUARTER)[0])
BEGAN = START - timedelta(days=7)


def test_a_quarter_is_three_months_of_wita() -> None:
    assert [tuple(f"{day}" for day in bounds_of(f"2026-Q{n}")) for n in (1, 4)] == [
        ("2026-01-01", "2026-04-01"),
        ("2026-10-01", "2027-01-01"),
    ]
    moment = datetime(2027, 1, 1, 0, 0, tzinfo=UTC) - timedelta(hours=8)  # midnight in WITA
    assert last_quarter(moment) == "2026-Q4"
    assert last_quarter(moment - timedelta(seconds=1)) == "2026-Q3"
    assert parse_quarter("2026-Q3", moment).end == midnight(bounds_of("2026-Q4")[0])
    for wrong in ("2026-Q5", "2026-4", "", "2026-Q4\n", "2027-Q1x", "x" * 500):
        with pytest.raises(Invalid):
            parse_quarter(wrong, moment)
    with pytest.raises(Invalid):
        parse_quarter("2027-Q2", moment)


async def test_service_quality_is_that_of_the_aggregates(cast: Cast, session: AsyncSession) -> None:
    await site_since(session, cast, BEGAN, (START + timedelta(minutes=1), "down"), (START + timedelta(hours=1), "up"))
    await site_since(session, cast, BEGAN, village_code=BERAU_VILLAGE)
    await count(session)
    review = await get(cast.sari, "/reviews", period=NOW_QUARTER)
    bounds = {"from": review["from"], "to": review["to"], "step": "month"}
    uptime = await get(cast.sari, "/regions/64/uptime", **bounds)
    names = ("uptime_pct", "coverage_pct", "worst_pct", "best_pct", "seconds", "verdicts")
    assert {name: review["service"]["total"][name] for name in names} == {name: uptime["total"][name] for name in names}
    assert [row["seconds"] for row in review["service"]["months"]] == [row["seconds"] for row in uptime["series"]]
    assert {row["code"]: row["sites"] for row in review["service"]["regions"] if row["sites"]} == {
        "64.02": 1,
        "64.03": 1,
    }
    assert review["use"] == {"access_points": 2, "villages": 2, "villages_in_region": 1038, "clients": None}
    assert "tidak dihitung" in review["notes"][0]["id"]
    own = await get(cast.ben, "/reviews", period=NOW_QUARTER)
    assert (own["region"], own["use"]["access_points"]) == ("64.03", 1)
    assert (await cast.ben.get("/reviews", params={"period": NOW_QUARTER, "region": "64.02"})).status_code == 403
    file = await cast.sari.get("/reviews", params={"period": NOW_QUARTER, "format": "csv"})
    assert file.status_code == 200
    assert "triwulan" in file.text
    book = await cast.sari.get("/reviews", params={"period": NOW_QUARTER, "format": "xlsx"})
    assert book.status_code == 200


async def test_times_are_exact_percentiles_of_what_an_office_sees(cast: Cast, session: AsyncSession) -> None:
    here = await site_since(session, cast, day(200))
    there = await site_since(session, cast, day(200), village_code=BERAU_VILLAGE)
    began = START + timedelta(seconds=5)
    for number in range(1, 11):  # outages of 1 to 10 minutes, acknowledged after as many seconds
        await write_outage(session, here, began, began + timedelta(minutes=number))
        await execute(
            session,
            "UPDATE incident SET acknowledged_at = confirmed_at + make_interval(secs => :n) "
            "WHERE id = (SELECT max(id) FROM incident)",
            n=number,
        )
    await write_outage(session, there, began, began + timedelta(hours=9))
    await write_outage(session, here, began - timedelta(days=1), began)
    await execute(
        session, "UPDATE incident SET status = 'withdrawn' WHERE started_at = :at", at=began - timedelta(days=1)
    )
    times = (await get(cast.ana, "/reviews", period=NOW_QUARTER))["response"]
    assert (times["incidents"], times["acknowledged"], times["ended"]) == (10, 10, 10)
    assert times["to_acknowledge"] == {"p50_s": 5, "p90_s": 9, "max_s": 10}
    assert times["to_end"] == {"p50_s": 300, "p90_s": 540, "max_s": 600}
    whole = (await get(cast.sari, "/reviews", period=NOW_QUARTER))["response"]
    assert (whole["incidents"], whole["ended_unacknowledged"]) == (11, 1)
    assert whole["to_end"]["max_s"] == 9 * 3600
    empty = (await get(cast.sari, "/reviews", period="2020-Q1"))["response"]
    assert empty["to_end"] == {"p50_s": None, "p90_s": None, "max_s": None}


async def test_decisions_are_kept_told_and_audited(cast: Cast, session: AsyncSession) -> None:
    path = f"/reviews/{NOW_QUARTER}/decisions"
    before = await get(cast.ana, "/reviews", period=NOW_QUARTER)
    assert before["decisions"] == []
    body, key = {"text": "  Pasang UPS di <b>12</b> desa.  "}, {"Idempotency-Key": "rapat-1"}
    made = await cast.sari.post(path, body, headers=key)
    assert made.status_code == 201, made.text
    repeated = await cast.sari.post(path, body, headers=key)
    assert repeated.json() == made.json()
    assert made.json()["text"] == "Pasang UPS di <b>12</b> desa."
    for person in (cast.sari, cast.ana):
        told = (await get(person, "/reviews", period=NOW_QUARTER))["decisions"]
        assert [each["text"] for each in told] == ["Pasang UPS di <b>12</b> desa."], "never a stale answer"
    (entry,) = (await get(cast.sari, "/audit", object="review"))["items"]
    assert entry["after"]["text"] == made.json()["text"]
    assert (await cast.ana.post(path, body)).status_code == 403
    for wrong in ({}, {"text": "  "}, {"text": "x" * 4001}, {"text": "a", "by": "me"}):
        assert (await cast.sari.post(path, wrong)).status_code == 422
    assert (await cast.sari.post("/reviews/2099-Q1/decisions", body)).status_code == 422


async def test_a_review_holds_a_bounded_number_of_decisions(
    cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "MOST", 1)
    path = f"/reviews/{NOW_QUARTER}/decisions"
    assert (await cast.sari.post(path, {"text": "satu"})).status_code == 201
    refused = await cast.sari.post(path, {"text": "dua"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "too_many_decisions"


async def test_satisfaction_stands_in_the_review_of_offices(cast: Cast, session: AsyncSession) -> None:
    async with session.begin():
        for number in range(6):
            await take_answer(session, VILLAGE, SurveyAnswer(5, 2), address=f"198.51.{number}.1", today=today())
    review = await get(cast.sari, "/reviews", period=NOW_QUARTER)
    assert review["satisfaction"] == {
        "answers": 6,
        "benefit_mean": 5.0,
        "cost_mean": 2.0,
        "difference": 3.0,
        "regions": [
            {
                "code": "64.02",
                "name": "Kabupaten Kutai Kartanegara",
                "answers": 6,
                "benefit_mean": 5.0,
                "cost_mean": 2.0,
                "difference": 3.0,
            }
        ],
    }
    assert (await get(cast.ben, "/reviews", period=NOW_QUARTER))["satisfaction"]["answers"] == 0


async def test_by_default_it_is_the_last_quarter_that_is_over(cast: Cast) -> None:
    assert (await get(cast.sari, "/reviews"))["period"] == last_quarter(utc_now())


async def test_every_proof_is_a_call_or_page_of_this_service(cast: Cast) -> None:
    listed = await get(cast.sari, "/reviews/pemdi")
    calls = {where for where, _ in operations(read_document())}
    proofs = [
        proof for index in listed["indexes"] for indicator in index["indicators"] for proof in indicator["evidence"]
    ]
    assert len(proofs) > 5
    assert [proof for proof in proofs if proof["call"] is None and proof["page"] is None] == []
    assert {proof["call"] for proof in proofs if proof["call"]} - calls == set()
    assert [
        indicator
        for index in listed["indexes"]
        for indicator in index["indicators"]
        if indicator["status"] == "ready" and not indicator["source"]
    ] == [], "what was read has its source"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[[indexes]]\ncode = 1", r"indexes\.0"),
        ("indexes = ", "pemdi.toml"),
        ("[[indexes]]\ncode = 'a'\nname = {id = 'a', en = 'a'}\nbasis = 'a'\nindicators = []\nlevel = 1", "level"),
    ],
)
def test_a_wrong_file_is_told_with_its_field(tmp_path: Path, content: str, named: Any) -> None:
    file = tmp_path / "pemdi.toml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=named):
        pemdi.read_evidence(file)


async def test_officers_read_it_on_a_page_and_the_province_records_decisions_there(
    cast: Cast, session: AsyncSession, province: Visitor, officer: Visitor
) -> None:
    await site_since(session, cast, BEGAN)
    await count(session)
    address, action = f"/console/reviews?period={NOW_QUARTER}", f"/console/reviews/{NOW_QUARTER}/decisions"
    page = await province.get(address)
    assert f"Tinjauan triwulan {NOW_QUARTER}" in page.text
    made = await province.submit(page, action, text="Pasang <i>UPS</i>.")
    assert made.status == 303
    page = await province.follow(made)
    assert "Keputusan sudah dicatat" in page.text
    assert "Pasang &lt;i&gt;UPS&lt;/i&gt;." in page.response.text
    refused = await province.submit(page, action, text=" ")
    assert (refused.status, list(refused.errors())) == (422, ["text"])
    district = await officer.get(address)
    assert "Pasang <i>UPS</i>." in district.text
    assert "decisions" not in district.response.text, "read, not recorded, by a district"
    proofs = await officer.get("/console/reviews/evidence")
    assert "perlu diisi" in proofs.text
