"""The provider's objections: of its own reports, within the term, bounded, each with a decision."""

from datetime import timedelta
from typing import Any

import pytest

from app.access.models import Role
from app.reports import objections as filing
from tests.access.browser import account
from tests.conftest import Person
from tests.support.report_month import OUTAGE, PARTIES, ReportMonth
from tests.support.site_histories import execute
from tests.support.uptime import get


def codes(answer: Any) -> list[str]:
    return [fault["code"] for fault in answer.json()["errors"]]


async def test_an_objection_names_site_outage_and_evidence_and_is_part_of_the_report(month: ReportMonth) -> None:
    draft = await month.draft(parties=PARTIES)
    body = {
        "site": month.codes[month.here],
        "outage_started_at": OUTAGE.isoformat(),
        "text": "Listrik PLN padam <b>#di desa</b>",
        "evidence": "Laporan PLN no. 88213",
    }
    filed = await month.cast.icon.post(f"/reports/{draft['id']}/objections", body)
    assert filed.status_code == 201, filed.text
    assert (filed.json()["no"], filed.json()["filed_by"], filed.json()["decision"]) == (1, "token icon", None)
    blocked = await month.cast.sari.get(f"/reports/{draft['id']}")
    assert (blocked.json()["objections"], blocked.json()["undecided"]) == (1, 1)
    decision = {"decision": "rejected", "text": "Titik lain di desa itu normal."}
    decided = await month.cast.sari.post(f"/reports/{draft['id']}/objections/1/decision", decision)
    assert (decided.json()["decision"], decided.json()["decided_by"]) == ("rejected", "token sari")
    (shown,) = (await month.read(draft["id"]))["data"]["objections"]
    assert shown == decided.json()
    assert (await get(month.cast.icon, f"/reports/{draft['id']}/objections"))["items"] == [shown]


async def test_undecided_objections_hold_up_the_issue(month: ReportMonth) -> None:
    draft = await month.draft(parties=PARTIES)
    await month.cast.icon.post(f"/reports/{draft['id']}/objections", {"text": "Listrik padam"})
    await month.cast.icon.post(f"/reports/{draft['id']}/no-objections")
    refused = await month.issue(draft["id"])
    assert (refused.status_code, codes(refused)) == (409, ["undecided"])


async def test_an_objection_takes_back_that_there_is_none(month: ReportMonth) -> None:
    draft = await month.draft(parties=PARTIES)
    await month.cast.icon.post(f"/reports/{draft['id']}/no-objections")
    await month.cast.icon.post(f"/reports/{draft['id']}/objections", {"text": "Listrik padam"})
    assert (await month.read(draft["id"]))["no_objections_at"] is None


async def test_nobody_else_objects_in_the_providers_name(month: ReportMonth) -> None:
    draft = await month.draft()
    for path, body in (("objections", {"text": "x"}), ("no-objections", None)):
        for person in (month.cast.sari, month.cast.ana, month.cast.vera):
            answer = await person.post(f"/reports/{draft['id']}/{path}", body)
            assert answer.status_code == 403


async def test_another_provider_sees_nothing_of_it(month: ReportMonth, telkom: Person) -> None:
    draft = await month.draft()
    url = f"/reports/{draft['id']}"
    assert (await get(telkom, "/reports"))["items"] == []
    for path in ("", "/objections", "/files/sites.csv"):
        assert (await telkom.get(url + path)).status_code == 404
    for path, body in (("/objections", {"text": "x"}), ("/no-objections", None)):
        assert (await telkom.post(url + path, body)).status_code == 404
    assert (await telkom.get(f"/contracts/{month.contract}/reports")).status_code == 404


async def test_after_the_term_nothing_is_filed(month: ReportMonth) -> None:
    draft = await month.draft()
    await execute(month.session, "UPDATE report SET objections_until = now()")
    for path, body in (("objections", {"text": "x"}), ("no-objections", None)):
        answer = await month.cast.icon.post(f"/reports/{draft['id']}/{path}", body)
        assert (answer.status_code, codes(answer)) == (409, ["term_over"])


async def test_what_is_not_in_the_report_is_refused(month: ReportMonth) -> None:
    draft = await month.draft()
    code, later = month.codes[month.here], (OUTAGE + timedelta(seconds=1)).isoformat()
    for body, status, code_ in (
        ({"site": "64.02.05.2003-99", "text": "x"}, 422, "not_in_report"),
        ({"site": code, "outage_started_at": later, "text": "x"}, 422, "no_such_outage"),
        ({"outage_started_at": later, "text": "x"}, 422, "missing"),
        ({"text": "lihat https://bukti.example/1"}, 422, "no_links"),
        ({"text": "x", "evidence": "www.bukti.example"}, 422, "no_links"),
        ({"text": " "}, 422, "string_too_short"),
        ({"text": "x" * 2001}, 422, "string_too_long"),
        ({"text": "x\n" * 41 + "y"}, 422, "too_many_lines"),
        ({"text": "x", "evidence": "x\u2028" * 41 + "y"}, 422, "too_many_lines"),
        ({"text": "a\0b"}, 422, "nul"),
    ):
        answer = await month.cast.icon.post(f"/reports/{draft['id']}/objections", body)
        assert (answer.status_code, codes(answer)) == (status, [code_]), body


async def test_a_flood_is_bounded(month: ReportMonth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filing, "MOST", 2)
    url = f"/reports/{(await month.draft())['id']}/objections"
    body = {"site": month.codes[month.here], "outage_started_at": OUTAGE.isoformat(), "text": "Padam"}
    assert (await month.cast.icon.post(url, body)).status_code == 201
    same = await month.cast.icon.post(url, body | {"text": "Padam!"})
    assert (same.status_code, codes(same)) == (409, ["objected_already"])
    assert (await month.cast.icon.post(url, {"text": "Seluruhnya"})).status_code == 201
    beyond = await month.cast.icon.post(url, {"text": "Lagi"})
    assert (beyond.status_code, codes(beyond)) == (409, ["too_many"])


async def test_a_decision_is_made_once_and_the_same_again_changes_nothing(month: ReportMonth) -> None:
    draft = await month.draft(parties=PARTIES)
    await month.cast.icon.post(f"/reports/{draft['id']}/objections", {"text": "Listrik padam"})
    url = f"/reports/{draft['id']}/objections/1/decision"
    first = await month.cast.sari.post(url, {"decision": "partly", "text": "-"})
    again = await month.cast.sari.post(url, {"decision": "partly", "text": "-"})
    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())
    other = await month.cast.sari.post(url, {"decision": "rejected", "text": "-"})
    assert (other.status_code, codes(other)) == (409, ["decided_already"])
    assert (await month.read(draft["id"]))["data"]["objections"][0]["decision"] == "partly"
    unknown = await month.cast.sari.post(
        f"/reports/{draft['id']}/objections/2/decision", {"decision": "partly", "text": "-"}
    )
    assert unknown.status_code == 404


async def test_an_accepted_objection_changes_the_figures_by_what_they_rest_on(month: ReportMonth) -> None:
    """Set the cause, and the draft follows: no figure is edited."""
    await execute(month.session, "UPDATE contract_terms SET excluded_causes = '{power}'")
    draft = await month.draft(parties=PARTIES)
    before = (await month.read(draft["id"]))["data"]
    await execute(
        month.session,
        "INSERT INTO outage_cause (site_id, started_at, ended_at, cause, confirmed_by) "
        "VALUES (:id, :at, :until, 'power', 'ana')",
        id=month.here,
        at=OUTAGE,
        until=OUTAGE + timedelta(hours=4),
    )
    await month.invalidate()
    await month.close()
    after = (await month.read(draft["id"]))["data"]
    assert before["sites"][0]["counted_down_s"] == after["sites"][0]["excluded"]["power"] == 4 * 3600
    assert after["totals"]["restitution_idr"] == 0
    (outage,) = [outage for outage in after["outages"] if outage["site"] == month.codes[month.here]]
    assert (outage["cause"], outage["cause_set_by"]) == ("power", "ana")


async def test_an_objection_names_who_filed_it_where_the_account_has_a_name(month: ReportMonth) -> None:
    draft = await month.draft()
    await month.cast.icon.post(f"/reports/{draft['id']}/objections", {"text": "Jumlahnya keliru"})
    await account(month.session, "rudi", Role.VIEWER, "64")
    await execute(
        month.session,
        "UPDATE report_objection SET filed_by = 'rudi'",
    )
    [listed] = (await get(month.cast.sari, f"/reports/{draft['id']}/objections"))["items"]
    assert (listed["filed_by"], listed["filed_by_name"], listed["decided_by_name"]) == ("rudi", "Rudi", None)
