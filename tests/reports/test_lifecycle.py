"""Draft, objections, issue, correction: who may when, and what never changes."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.clock import WITA, utc_now
from app.reports.objection_term import default_until, end_of
from tests.support.monthly_close import MONTH
from tests.support.report_month import HOUR, OUTAGE, PARTIES, PERIOD, ReportMonth
from tests.support.site_histories import execute
from tests.support.uptime import get


async def over(month: ReportMonth, report: int) -> None:
    """Let the term for objections be over."""
    await execute(month.session, "UPDATE report SET objections_until = now() WHERE id = :id", id=report)


def codes(answer: Any) -> list[str]:
    return [fault["code"] for fault in answer.json()["errors"]]


async def test_a_draft_is_open_to_the_provider_for_five_working_days(month: ReportMonth) -> None:
    draft = await month.draft()
    assert (draft["status"], draft["number"], draft["kind"], draft["open_to_objections"]) == (
        "draft",
        None,
        "month",
        True,
    )
    assert draft["objections_until"] == default_until(utc_now()).astimezone(WITA).isoformat()
    seen = await month.read(draft["id"], month.cast.icon)
    assert (seen["id"], len(seen["data"]["sites"])) == (draft["id"], 2)
    listed = await get(month.cast.icon, "/reports", period=PERIOD, status="draft")
    assert [row["id"] for row in listed["items"]] == [draft["id"]]
    assert (await get(month.cast.icon, f"/contracts/{month.contract}/reports"))["items"] == listed["items"]


async def test_one_report_of_a_contract_and_month(month: ReportMonth) -> None:
    draft = await month.draft()
    again = await month.cast.sari.post(f"/contracts/{month.contract}/reports", {"period": PERIOD})
    assert (again.status_code, codes(again)) == (409, ["drafted_already"])
    await month.cast.sari.patch(f"/reports/{draft['id']}", {"parties": PARTIES})
    await month.agreed(draft["id"])
    again = await month.cast.sari.post(f"/contracts/{month.contract}/reports", {"period": PERIOD})
    assert (again.status_code, codes(again)) == (409, ["issued_already"])


async def test_a_repeated_request_drafts_nothing_twice(month: ReportMonth) -> None:
    url, key = f"/contracts/{month.contract}/reports", {"Idempotency-Key": "BA-10"}
    first = await month.cast.sari.post(url, {"period": PERIOD}, headers=key)
    second = await month.cast.sari.post(url, {"period": PERIOD}, headers=key)
    assert (first.status_code, second.status_code, first.json()) == (201, 201, second.json())


async def test_it_is_issued_once_the_term_is_over_or_the_provider_has_no_objections(month: ReportMonth) -> None:
    draft = await month.draft(parties=PARTIES)
    early = await month.issue(draft["id"])
    assert (early.status_code, codes(early)) == (409, ["term_open"])
    agreed = await month.cast.icon.post(f"/reports/{draft['id']}/no-objections")
    assert agreed.json()["no_objections_at"] is not None
    issued = (await month.issue(draft["id"])).json()
    assert (issued["status"], issued["number"], issued["issued_by"]) == ("issued", f"BA-{PERIOD}-0001", "token sari")
    assert issued["sha256"] == draft["sha256"], "what was looked at"


async def test_who_signs_is_named_before_it_is_issued(month: ReportMonth) -> None:
    draft = await month.draft()
    await over(month, draft["id"])
    refused = await month.issue(draft["id"])
    assert refused.status_code == 422
    assert [fault["field"] for fault in refused.json()["errors"]] == [
        "parties.ppk.name",
        "parties.provider_signatory.name",
    ]
    changed = await month.cast.sari.patch(f"/reports/{draft['id']}", {"parties": {"ppk": {"name": "Rina"}}})
    assert changed.status_code == 200, changed.text
    changed = await month.cast.sari.patch(
        f"/reports/{draft['id']}", {"parties": {"ppk": {"nip": "1985"}, "provider_signatory": {"name": "Budi"}}}
    )
    assert (await month.read(draft["id"]))["data"]["parties"]["ppk"] == {"name": "Rina", "nip": "1985", "decree": None}
    assert (await month.issue(draft["id"])).status_code == 200


async def test_what_is_issued_is_the_version_that_was_read(month: ReportMonth) -> None:
    draft = await month.draft(parties=PARTIES)
    await over(month, draft["id"])
    blind = await month.cast.sari.post(f"/reports/{draft['id']}/issue")
    assert (blind.status_code, codes(blind)) == (422, ["version_needed"])
    await month.cast.sari.patch(f"/reports/{draft['id']}", {"parties": {"place": "Tenggarong"}})
    old = {"If-Match": f'"{draft["version"]}"'}
    stale = await month.cast.sari.post(f"/reports/{draft['id']}/issue", headers=old)
    assert stale.status_code == 412


async def test_figures_that_changed_since_the_look_are_not_issued_but_shown(month: ReportMonth) -> None:
    draft = await month.draft(parties=PARTIES)
    seen = await month.read(draft["id"])
    await over(month, draft["id"])
    await month.correct_ledger(hours=6)
    answer = await month.cast.sari.post(f"/reports/{draft['id']}/issue", headers={"If-Match": f'"{seen["version"]}"'})
    assert (answer.status_code, codes(answer)) == (409, ["changed_meanwhile"])
    now = await month.read(draft["id"])
    assert (now["status"], now["data"]["sites"][0]["counted_down_s"]) == ("draft", 6 * HOUR)
    assert now["open_to_objections"], "the provider gets a working day for what it has not seen"
    assert now["sha256"] != seen["sha256"]


async def test_a_look_brings_the_draft_up_to_date_and_says_what_changed(month: ReportMonth) -> None:
    draft = await month.draft()
    await month.cast.icon.post(f"/reports/{draft['id']}/no-objections")
    await month.correct_ledger(hours=6)
    seen = await month.read(draft["id"])
    (changed,) = seen["changes"]
    code = month.codes[month.here]
    assert f"{code}: counted down 14,400 s became 21,600 s" in [each["en"] for each in changed["changes"]]
    assert seen["version"] > draft["version"]
    assert seen["no_objections_at"] is None, "it was said of other figures"
    assert await month.read(draft["id"]) == seen, "nothing changes without a cause"


async def test_while_it_is_counted_again_the_draft_stays_as_it_was_and_says_so(month: ReportMonth) -> None:
    draft = await month.draft(parties=PARTIES)
    await over(month, draft["id"])
    await month.invalidate()
    seen = await month.read(draft["id"])
    assert "being counted again" in seen["notice"]["en"]
    assert "sedang dihitung ulang" in seen["notice"]["id"]
    assert seen["version"] == draft["version"]
    refused = await month.issue(draft["id"])
    assert (refused.status_code, codes(refused)) == (409, ["being_recounted"])


async def test_only_the_provinces_admins_issue(month: ReportMonth) -> None:
    draft = await month.draft(parties=PARTIES)
    await over(month, draft["id"])
    for person in (month.cast.ana, month.cast.vera, month.cast.icon):
        assert (await month.issue(draft["id"], person)).status_code == 403


async def test_an_issued_report_never_changes(month: ReportMonth) -> None:
    report = (await month.issued())["id"]
    seen = await month.read(report)
    patch = await month.cast.sari.patch(f"/reports/{report}", {"parties": {"ppk": {"name": "Lain"}}})
    decision = await month.cast.sari.post(
        f"/reports/{report}/objections/1/decision", {"decision": "rejected", "text": "-"}
    )
    objection = await month.cast.icon.post(f"/reports/{report}/objections", {"text": "terlambat"})
    agreed = await month.cast.icon.post(f"/reports/{report}/no-objections")
    again = await month.issue(report)
    for answer in (patch, decision, objection, agreed, again):
        assert (answer.status_code, codes(answer)) == (409, ["issued"])
    await month.correct_ledger(hours=6)
    assert await month.read(report) == seen


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE report SET data = '{}'",
        "UPDATE report SET status = 'draft', number = NULL, issued_at = NULL, issued_by = NULL",
        "DELETE FROM report",
        "TRUNCATE report CASCADE",
        "UPDATE report_objection SET decision = 'rejected'",
        "DELETE FROM report_objection",
        "INSERT INTO report_objection (report_id, no, text, filed_by) SELECT id, 9, 'x', 'y' FROM report",
    ],
)
async def test_the_database_itself_refuses_changes_of_what_is_issued(month: ReportMonth, statement: str) -> None:
    draft = await month.draft(parties=PARTIES)
    await month.cast.icon.post(f"/reports/{draft['id']}/objections", {"text": "Listrik padam"})
    decision = {"decision": "accepted", "text": "Benar"}
    await month.cast.sari.post(f"/reports/{draft['id']}/objections/1/decision", decision)
    await month.agreed(draft["id"])
    with pytest.raises(DBAPIError, match="refused"):
        await execute(month.session, statement)


async def test_numbers_of_a_month_have_no_gaps(month: ReportMonth) -> None:
    draft = await month.draft(parties=PARTIES)
    early = await month.issue(draft["id"])
    assert early.status_code == 409, "a number is taken only by what is issued"
    await over(month, draft["id"])
    seen = {"If-Match": f'"{(await month.read(draft["id"]))["version"]}"'}
    answers = [await month.cast.sari.post(f"/reports/{draft['id']}/issue", headers=seen) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 409]
    correction = await month.cast.sari.post(f"/reports/{draft['id']}/correct", {"reason": "salah nama"})
    await over(month, correction.json()["id"])
    assert (await month.issue(correction.json()["id"])).json()["number"] == f"BA-{PERIOD}-0002"


async def test_a_correction_is_a_report_of_its_own_that_says_what_changed(month: ReportMonth) -> None:
    first = await month.issued()
    await month.correct_ledger(hours=6)
    answer = await month.cast.sari.post(f"/reports/{first['id']}/correct", {"reason": "Laporan PLN"})
    assert answer.status_code == 201, answer.text
    draft = answer.json()
    assert (draft["kind"], draft["corrects"], draft["reason"]) == (
        "correction",
        {"id": first["id"], "number": first["number"]},
        "Laporan PLN",
    )
    data = (await month.read(draft["id"]))["data"]
    assert (data["corrects"]["number"], data["corrects"]["sha256"]) == (first["number"], first["sha256"])
    assert any("14,400 s became 21,600 s" in each["en"] for each in data["corrects"]["changes"])
    assert data["parties"]["ppk"]["name"] == "Rina"
    issued = await month.agreed(draft["id"])
    assert issued["number"] == f"BA-{PERIOD}-0002"
    corrected = await month.read(first["id"])
    assert corrected["corrected_by"] == {"id": draft["id"], "number": issued["number"]}
    assert corrected["data"]["sites"][0]["counted_down_s"] == 4 * HOUR
    again = await month.cast.sari.post(f"/reports/{first['id']}/correct", {"reason": "lagi"})
    assert (again.status_code, codes(again)) == (409, ["corrected_already"])


async def test_a_draft_is_not_corrected(month: ReportMonth) -> None:
    draft = await month.draft()
    answer = await month.cast.sari.post(f"/reports/{draft['id']}/correct", {"reason": "x"})
    assert (answer.status_code, codes(answer)) == (409, ["not_issued"])


async def test_the_term_is_bounded_and_only_extended(month: ReportMonth) -> None:
    today = utc_now().astimezone(WITA).date()
    for day in (today, today + timedelta(days=61)):
        body = {"period": PERIOD, "objections_until": day.isoformat()}
        refused = await month.cast.sari.post(f"/contracts/{month.contract}/reports", body)
        assert (refused.status_code, codes(refused)) == (422, ["bad_term"])
    draft = await month.draft(objections_until=(today + timedelta(days=10)).isoformat())
    assert draft["objections_until"] == end_of(today + timedelta(days=10)).astimezone(WITA).isoformat()
    url = f"/reports/{draft['id']}"
    shorter = await month.cast.sari.patch(url, {"objections_until": (today + timedelta(days=2)).isoformat()})
    assert (shorter.status_code, codes(shorter)) == (422, ["term_shortened"])
    longer = await month.cast.sari.patch(url, {"objections_until": (today + timedelta(days=12)).isoformat()})
    assert longer.json()["objections_until"] == end_of(today + timedelta(days=12)).astimezone(WITA).isoformat()


async def test_every_step_is_in_the_audit_log(month: ReportMonth) -> None:
    draft = await month.draft(parties=PARTIES)
    await month.cast.icon.post(f"/reports/{draft['id']}/objections", {"text": "Listrik padam"})
    decision = {"decision": "partly", "text": "Sebagian"}
    await month.cast.sari.post(f"/reports/{draft['id']}/objections/1/decision", decision)
    await month.cast.sari.patch(f"/reports/{draft['id']}", {"parties": {"place": "Sangatta"}})
    await month.agreed(draft["id"])
    entries = (await get(month.cast.sari, "/audit", object="report", object_id=draft["id"]))["items"]
    assert [entry["action"] for entry in entries] == ["issue", "agree", "change", "decide", "object", "create"]
    assert entries[-2]["actor"] == "token icon"
    assert entries[0]["after"]["number"] == f"BA-{PERIOD}-0001"


@pytest.mark.parametrize(
    "change", [{"monthly_fee_idr": 9_000_000}, {"restitution": {"kind": "cliff", "below_pct": 99.9}}]
)
async def test_a_fee_or_rule_that_is_changed_after_the_provider_agreed_is_not_issued(
    month: ReportMonth, change: dict[str, Any]
) -> None:
    draft = await month.draft(parties=PARTIES)
    await month.cast.icon.post(f"/reports/{draft['id']}/no-objections")
    seen = await month.read(draft["id"])
    url, back_dated = f"/contracts/{month.contract}", change | {"effective_from": MONTH.isoformat()}
    silent = await month.cast.sari.patch(url, back_dated)
    assert (silent.status_code, codes(silent)) == (422, ["reason_needed"])
    assert (await month.cast.sari.patch(url, back_dated | {"reason": "adendum 2"})).status_code == 200
    await month.close()
    looked_at = {"If-Match": f'"{seen["version"]}"'}
    answer = await month.cast.sari.post(f"/reports/{draft['id']}/issue", headers=looked_at)
    assert (answer.status_code, codes(answer)) == (409, ["changed_meanwhile"])
    now = await month.read(draft["id"])
    assert (now["no_objections_at"], now["open_to_objections"]) == (None, True)
    assert any("Rp" in each["en"] for change in now["changes"] for each in change["changes"])


async def test_a_wrong_draft_is_withdrawn_with_a_reason_and_its_objections_stay_in_the_audit_log(
    month: ReportMonth,
) -> None:
    draft = await month.draft()
    url = f"/reports/{draft['id']}"
    await month.cast.icon.post(f"{url}/objections", {"text": "Jumlahnya keliru"})
    assert (await month.cast.sari.delete(url)).status_code == 422, "a reason is needed"
    assert (await month.cast.icon.delete(f"{url}?reason=x")).status_code == 403
    seen = {"If-Match": f'"{draft["version"]}"'}
    stale = await month.cast.sari.client.delete(f"/api/v1{url}?reason=x", headers=seen)
    assert stale.status_code == 412, "an objection came meanwhile"
    assert (await month.cast.sari.delete(f"{url}?reason=salah+kontrak")).status_code == 204
    assert (await month.cast.icon.get(url)).status_code == 404
    (entry,) = (await get(month.cast.sari, "/audit", object="report", action="withdraw"))["items"]
    assert entry["reason"] == "salah kontrak"
    assert entry["before"]["objections"][0]["text"] == "Jumlahnya keliru"
    issued = await month.issued()
    refused = await month.cast.sari.delete(f"/reports/{issued['id']}?reason=x")
    assert (refused.status_code, codes(refused)) == (409, ["issued"])


async def test_a_correction_that_is_withdrawn_can_be_drafted_again(month: ReportMonth) -> None:
    issued = await month.issued()
    url = f"/reports/{issued['id']}/correct"
    correction = (await month.cast.sari.post(url, {"reason": "PLN"})).json()
    assert (await month.cast.sari.delete(f"/reports/{correction['id']}?reason=keliru")).status_code == 204
    assert (await month.cast.sari.post(url, {"reason": "PLN"})).status_code == 201


async def test_a_name_that_would_read_otherwise_than_it_is_kept_is_refused(month: ReportMonth) -> None:
    draft = await month.draft()
    for name, code in (("Rina\0", "nul"), ("Rina\u202eiduB", "direction")):
        answer = await month.cast.sari.patch(f"/reports/{draft['id']}", {"parties": {"place": name}})
        assert (answer.status_code, codes(answer)) == (422, [code])
        answer = await month.cast.sari.patch(f"/reports/{draft['id']}", {"parties": {"ppk": {"name": name}}})
        assert answer.json()["errors"][0]["field"] == "parties.ppk.name"


async def test_a_disagreement_is_a_line_of_the_draft_and_changes_no_figure(month: ReportMonth) -> None:
    draft = await month.draft()
    before = await month.read(draft["id"])
    async with month.session.begin():
        await month.session.execute(
            text(
                "INSERT INTO telemetry_disagreement (site_id, kind, started_at, ended_at, witness, said) "
                "VALUES (:site, 'starlink_account', :start, :end, 'provider', 'up')"
            ),
            {"site": month.here, "start": OUTAGE, "end": OUTAGE + timedelta(hours=1)},
        )
    after = await month.read(draft["id"])
    (line,) = [warning for warning in after["data"]["warnings"] if warning["code"] == "telemetry_disagrees"]
    code = month.codes[month.here]
    assert line["en"] == (
        f"{code}: the provider's own system says up for 3,600 s of a time measured as down. What was measured counts."
    )
    assert "menyatakan normal selama 3.600 detik pada waktu yang terukur putus" in line["id"]
    assert after["data"]["totals"] == before["data"]["totals"]
