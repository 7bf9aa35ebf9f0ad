"""A line's 24 hours counted by hand, frozen, and the same bytes ever after."""

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.certificates.answer_schemas import CertificateWhole
from tests.certificates.conftest import BLIND, END, HOUR, START, MeasuredLine
from tests.conftest import Cast
from tests.support.site_histories import execute, maintain, set_states


async def test_24_hours_that_were_counted_by_hand_are_certified(line: MeasuredLine, cast: Cast) -> None:
    certificate = await line.certified()
    assert certificate["status"] == "done"
    assert certificate["number"] == f"SP-{START + 8 * HOUR:%Y-%m}-0001"
    assert certificate["results"] == {
        "availability": "fails",
        "latency": "meets",
        "download": "meets",
        "upload": "meets",
    }
    whole = (await cast.ana.get(f"/certificates/{certificate['id']}")).json()
    CertificateWhole.model_validate(whole)
    data = whole["data"]
    total = data["total"]
    assert {name: seconds for name, seconds in total["seconds"].items() if seconds} == {
        "up": 86_400 - 1_200 - 3_600,
        "down": 1_200,
        "unknown": 3_600,
    }
    # known: 82,800 of 86,400 s; good: 81,600 of these
    assert (total["coverage_pct"], total["uptime_pct"]) == (95.833, 98.55)
    assert (total["worst_pct"], total["best_pct"]) == (94.444, 98.611)
    assert (total["outages"], total["longest_outage_s"]) == (1, 1_200)
    # a look a minute but for the unknown hour; 30 slow ones, of which one or two in that hour, and 20 lost
    slow = sum(not 600 <= minute < 660 and not 300 <= minute < 320 for minute in range(1, 1_440, 48))
    assert (total["looks"], total["lost"], total["within"]) == (1_380, 20, 1_380 - 20 - slow)
    assert data["latency"]["result"] == "meets"
    assert (total["samples"], total["max_ms"]) == (3 * 1_360, 150.0)
    # 22 of 24 tests have a result, 20 of them 80% of 20 Mbps; one ran without, one was put off
    assert data["download"]["share"] == {"counted": 22, "passed": 20, "contested": 1, "pct": 90.909}
    assert data["upload"]["share"] == {"counted": 22, "passed": 22, "contested": 1, "pct": 100.0}
    assert data["contract"]["counted_down_s"] == 1_200
    assert data["availability"]["reason"]["id"].startswith("Tidak tercapai")
    assert data["asked"]["beforehand"] is False
    assert data["obstacles"] == []


async def test_each_hour_stands_for_itself_and_all_add_up(line: MeasuredLine) -> None:
    data = await line.data()
    hours = data["hours"]
    assert len(hours) == 24
    assert [sum(hour["seconds"][kind] for kind in hour["seconds"]) for hour in hours] == [3_600] * 24
    for name in ("looks", "within", "lost", "samples"):
        assert sum(hour[name] for hour in hours) == data["total"][name]
    down, blind = hours[5], hours[10]
    assert (down["seconds"]["down"], down["lost"], down["loss_pct"]) == (1_200, 20, 33.333)
    assert (blind["coverage_pct"], blind["looks"], blind["p50_ms"]) == (0.0, 0, None)
    assert hours[0]["from"] == (START + 8 * HOUR).strftime("%Y-%m-%dT06:00:00+08:00")


async def test_too_little_that_is_known_proves_nothing(line: MeasuredLine, session: AsyncSession) -> None:
    await set_states(session, line.site, (START, "unknown"), (START + timedelta(hours=2, minutes=25), "up"))
    data = await line.data()
    assert data["total"]["coverage_pct"] < 90
    assert data["obstacles"] == ["coverage"]
    for part in ("availability", "latency", "download", "upload"):
        assert data[part]["result"] == "not_provable"
        assert data[part]["reason"]["id"] == (
            "Tidak dapat dibuktikan: data terpantau 89,93%, sekurang-kurangnya harus 90%."
        )


async def test_hours_of_maintenance_leave_their_looks_out(line: MeasuredLine, session: AsyncSession) -> None:
    await maintain(session, START + 5 * HOUR, START + 6 * HOUR, site_id=line.site)
    data = await line.data()
    assert data["hours"][5]["left_out"] == 60
    assert (data["total"]["looks"], data["total"]["lost"]) == (1_320, 0)
    assert data["total"]["seconds"]["maintenance"] == 3_600
    assert data["contract"]["counted_down_s"] == 0


async def test_a_line_without_a_contract_is_measured_and_not_judged(line: MeasuredLine, session: AsyncSession) -> None:
    await execute(session, "DELETE FROM site_contract", "UPDATE throughput_test SET contract_down_mbps = NULL")
    data = await line.data()
    assert (data["contract"], data["availability"]["result"]) == (None, "not_judged")
    assert data["download"]["result"] == "not_judged"
    assert data["latency"]["result"] == "meets"


async def test_few_tests_and_few_looks_conclude_nothing(line: MeasuredLine, session: AsyncSession) -> None:
    await execute(
        session, "DELETE FROM throughput_test", "DELETE FROM measurement WHERE slot > :at", at=START + 8 * HOUR
    )
    data = await line.data()
    assert data["download"]["reason"]["en"] == "Inconclusive: 0 tests have a result, 5 are needed."
    assert data["latency"]["result"] == "inconclusive"


async def test_what_is_done_never_changes(line: MeasuredLine, session: AsyncSession, cast: Cast) -> None:
    certificate = await line.certified()
    before = (await cast.ana.get(f"/certificates/{certificate['id']}")).json()
    await set_states(session, line.site, (BLIND, "down"), (END, "up"))
    assert (await cast.ana.get(f"/certificates/{certificate['id']}")).json() == before
    for statement in (
        "UPDATE certificate SET results = '{}'",
        "DELETE FROM certificate",
        "TRUNCATE certificate",
    ):
        with pytest.raises(DBAPIError, match=r"refused|kept"):
            async with session.begin(), session.begin_nested():
                await session.execute(text(statement))


async def test_the_files_recompute_to_the_hash(line: MeasuredLine, cast: Cast) -> None:
    certificate = await line.certified()
    listed = ""
    for name in ("certificate.json", "hours.csv", "tests.csv"):
        answer = await cast.ana.get(f"/certificates/{certificate['id']}/files/{name}")
        assert answer.status_code == 200, answer.text
        listed += f"{hashlib.sha256(answer.content).hexdigest()}  {name}\n"
    assert hashlib.sha256(listed.encode()).hexdigest() == certificate["sha256"]


async def test_the_paper_is_the_same_each_time_and_its_code_is_verified(line: MeasuredLine, cast: Cast) -> None:
    certificate = await line.certified()
    path = f"/certificates/{certificate['id']}/document"
    first, second = [await cast.ana.get(path) for _ in range(2)]
    assert first.status_code == 200, first.text
    assert first.content.startswith(b"%PDF-")
    assert first.content == second.content
    page = await cast.stranger.client.get(f"/verifikasi/{certificate['verify_code']}")
    assert page.status_code == 200
    assert certificate["number"] in page.text
    assert certificate["sha256"] in page.text
    assert "tidak memenuhi" in page.text
    assert (await cast.stranger.client.get(f"/en/verifikasi/{certificate['verify_code']}")).status_code == 200
    assert (await cast.stranger.client.get("/verifikasi/tidak-ada")).status_code == 404
