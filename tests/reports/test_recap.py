"""The year's recapitulation adds up what was issued: corrections instead of what they correct, and names what lacks."""

from typing import Any

import httpx

from app.core.clock import WITA, midnight
from tests.support.monthly_close import MONTH, NEXT
from tests.support.report_month import FEE_IDR, HOUR, PARTIES, PERIOD, ReportMonth
from tests.support.shared_start import SharedStart
from tests.support.site_histories import execute
from tests.support.uptime import get

YEAR = f"{MONTH:%Y}"


def codes(answer: Any) -> list[str]:
    return [fault["code"] for fault in answer.json()["errors"]]


async def test_months_that_follow_make_it_one_so_far(month: ReportMonth) -> None:
    await month.issued()
    data = (await month.read((await month.draft(period=YEAR))["id"]))["data"]
    is_last = NEXT.year != MONTH.year
    assert data["through"] == (None if is_last else PERIOD)
    assert data["period"]["to"] == midnight(NEXT).astimezone(WITA).isoformat(), "what follows is no part of its period"
    assert (f"{NEXT:%Y-%m}" in data["missing"]) != is_last


async def test_of_a_contract_that_is_over_it_is_the_whole(month: ReportMonth) -> None:
    ends = {"valid_to": f"{NEXT:%Y-%m-%d}", "reason": "habis"}
    changed = await month.cast.sari.patch(f"/contracts/{month.contract}", ends)
    assert changed.status_code == 200, changed.text
    await month.issued()
    data = (await month.read((await month.draft(period=YEAR))["id"]))["data"]
    assert data["through"] is None
    assert data["missing"][-1:] != [f"{NEXT:%Y-%m}"]


async def test_a_year_without_an_issued_month_is_refused(month: ReportMonth) -> None:
    await month.draft()
    answer = await month.cast.sari.post(f"/contracts/{month.contract}/reports", {"period": YEAR})
    assert (answer.status_code, codes(answer)) == (409, ["no_month_issued"])


async def test_it_adds_up_the_latest_report_of_each_month(month: ReportMonth) -> None:
    first = await month.issued()
    await month.correct_ledger(hours=6)
    correction = await month.cast.sari.post(f"/reports/{first['id']}/correct", {"reason": "PLN"})
    corrected = await month.agreed(correction.json()["id"])
    body = {"period": f"{NEXT:%Y-%m}", "parties": PARTIES}
    drafted = await month.cast.sari.post(f"/contracts/{month.contract}/reports", body)
    following = await month.agreed(drafted.json()["id"])
    recap = await month.draft(period=YEAR, parties=PARTIES)
    assert (recap["kind"], recap["period"]) == ("recap", YEAR)
    data = (await month.read(recap["id"]))["data"]
    rows = [(row["month"], row["number"], row["corrects"]) for row in data["months"]]
    assert rows == [(PERIOD, corrected["number"], first["number"]), (f"{NEXT:%Y-%m}", following["number"], None)]
    assert data["totals"]["restitution_idr"] == sum(
        each["totals"]["restitution_idr"] for each in (corrected, following)
    )
    assert data["totals"]["fee_idr"] == 4 * FEE_IDR
    assert data["totals"]["counted_down_s"] == 6 * HOUR
    assert [(site["months"], site["fee_idr"]) for site in data["sites"]] == [(2, 2 * FEE_IDR)] * 2
    assert len(data["missing"]) == 10
    assert PERIOD not in data["missing"]
    (warning,) = data["warnings"]
    assert warning["code"] == "months_missing"
    issued = await month.agreed(recap["id"])
    assert issued["number"] == f"RK-{YEAR}-0001"
    for name in ("months.csv", "sites.csv", "method.json"):
        assert (await month.cast.icon.get(f"/reports/{recap['id']}/files/{name}")).status_code == 200
    assert (await month.cast.ana.get(f"/reports/{recap['id']}")).status_code == 404, "it is of all districts together"
    assert [row["kind"] for row in (await get(month.cast.icon, "/reports", kind="recap"))["items"]] == ["recap"]


async def test_a_draft_of_a_year_follows_what_is_issued(month: ReportMonth) -> None:
    await month.issued()
    recap = await month.draft(period=YEAR, parties=PARTIES)
    body = {"period": f"{NEXT:%Y-%m}", "parties": PARTIES}
    drafted = await month.cast.sari.post(f"/contracts/{month.contract}/reports", body)
    await month.agreed(drafted.json()["id"])
    seen = await month.read(recap["id"])
    assert len(seen["data"]["months"]) == 2
    assert seen["changes"][0]["changes"][0]["en"].startswith(f"{NEXT:%Y-%m}: report - → BA-")


async def test_an_objection_to_a_year_names_no_outage(month: ReportMonth) -> None:
    await month.issued()
    recap = await month.draft(period=YEAR)
    url = f"/reports/{recap['id']}/objections"
    filed = await month.cast.icon.post(url, {"site": month.codes[month.here], "text": "Jumlahnya keliru"})
    assert filed.status_code == 201, filed.text
    assert (await month.read(recap["id"]))["data"]["objections"] == [filed.json()]
    await execute(month.session, "UPDATE report SET objections_until = now() WHERE status = 'draft'")
    late = await month.cast.icon.post(url, {"text": "Lagi"})
    assert (late.status_code, codes(late)) == (409, ["term_over"])


async def test_whoever_verifies_a_recapitulation_learns_what_was_issued_after_it(
    made: tuple[SharedStart, ReportMonth], month: ReportMonth
) -> None:
    first = await month.issued()
    recap = await month.agreed((await month.draft(period=YEAR, parties=PARTIES))["id"])
    transport = httpx.ASGITransport(made[0].app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        before = (await client.get(f"/verifikasi/{recap['verify_code']}")).text
        await month.correct_ledger(hours=6)
        correction = await month.cast.sari.post(f"/reports/{first['id']}/correct", {"reason": "PLN"})
        corrected = await month.agreed(correction.json()["id"])
        after = (await client.get(f"/verifikasi/{recap['verify_code']}")).text
    assert "tidak termasuk dalam jumlahnya" not in before
    assert f"tidak termasuk dalam jumlahnya: {corrected['number']}." in after
