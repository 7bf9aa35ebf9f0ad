"""Terms entered for a month that is over: who may, and that draft and paper say so."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.access import api_tokens
from app.access.models import Role
from app.reports.berita_acara_parties import describe_terms
from app.reports.paper_schemas import ReportTerms
from tests.conftest import Person
from tests.support.monthly_close import MONTH
from tests.support.report_month import ReportMonth
from tests.support.shared_start import SharedStart

WHOLE_FEE = {"kind": "cliff", "below_pct": 100, "share_pct": 100, "unknown": "as_down"}
BACKWARDS: dict[str, Any] = {
    "restitution": WHOLE_FEE,
    "effective_from": MONTH.isoformat(),
    "reason": "adendum 2",
}


@pytest.fixture
async def dewi(month: ReportMonth, made: tuple[SharedStart, ReportMonth]) -> AsyncIterator[Person]:
    """An operator of the province."""
    async with month.session.begin():
        secret = await api_tokens.create_token(month.session, name="dewi", role=Role.PROVINCE_OPERATOR)
    headers, transport = {"Authorization": f"Bearer {secret}"}, httpx.ASGITransport(made[0].app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        yield Person(client)


async def enter_backwards(month: ReportMonth) -> None:
    answer = await month.cast.sari.patch(f"/contracts/{month.contract}", BACKWARDS)
    assert answer.status_code == 200, answer.text
    await month.close()


async def test_only_who_issues_changes_the_terms_of_a_closed_month(month: ReportMonth, dewi: Person) -> None:
    refused = await dewi.patch(f"/contracts/{month.contract}", BACKWARDS)
    assert refused.status_code == 403, refused.text
    assert f"{MONTH:%Y-%m}" in refused.json()["detail"]
    ended = await dewi.patch(f"/contracts/{month.contract}", {"valid_to": MONTH.isoformat(), "reason": "selesai"})
    assert ended.status_code == 403, "the end of a contract moves as much"
    from_today = await dewi.patch(f"/contracts/{month.contract}", {"restitution": WHOLE_FEE})
    assert from_today.status_code == 200, from_today.text


async def test_only_who_issues_changes_a_sites_own_fee_of_a_closed_month(month: ReportMonth, dewi: Person) -> None:
    path = f"/contracts/{month.contract}/sites"
    row = (await month.cast.sari.get(path)).json()["items"][0]
    change = {"monthly_fee_idr": 1, "reason": "salah ketik"}
    refused = await dewi.patch(f"{path}/{row['id']}", change)
    assert refused.status_code == 403, refused.text
    assert "which is closed" in refused.json()["detail"]
    assert (await month.cast.sari.patch(f"{path}/{row['id']}", change)).status_code == 200


async def test_an_open_draft_tells_of_terms_that_were_entered_backwards(month: ReportMonth) -> None:
    draft = await month.draft()
    assert (await month.cast.icon.post(f"/reports/{draft['id']}/no-objections")).status_code == 200
    await enter_backwards(month)
    seen = await month.read(draft["id"])
    (changed,) = seen["changes"]
    gone, told = [each["en"] for each in changed["changes"] if "terms" in each["en"].lower()]
    assert gone == "The terms from 1 January 2020 do not apply any more"
    assert told.startswith(f"New terms from {MONTH.day} ")
    assert "recorded on" in told
    assert told.endswith("by token sari, reason: adendum 2)")
    assert seen["no_objections_at"] is None, "the provider agreed to other terms"


async def test_a_draft_made_afterwards_warns_and_its_paper_says_when_they_were_recorded(month: ReportMonth) -> None:
    await enter_backwards(month)
    data = (await month.read((await month.draft())["id"]))["data"]
    (warning,) = [each for each in data["warnings"] if each["code"] == "terms_recorded_later"]
    assert "by token sari, reason: adendum 2: that was after the end of the month" in warning["en"]
    terms = data["contract"]["terms"][-1]
    assert (terms["recorded_by"], terms["recorded_because"]) == ("token sari", "adendum 2")
    rows = dict(describe_terms(ReportTerms.model_validate(terms))["rows"])
    assert rows["Ketentuan ini"].endswith("oleh token sari, alasan: adendum 2")


async def test_terms_changed_in_place_say_what_they_said_before(month: ReportMonth) -> None:
    draft = await month.draft()
    patch = {"sla_target_pct": 50, "effective_from": "2020-01-01", "reason": "salah ketik"}
    assert (await month.cast.sari.patch(f"/contracts/{month.contract}", patch)).status_code == 200
    await month.close()
    told = [each["id"] for each in (await month.read(draft["id"]))["changes"][0]["changes"]]
    assert any("berubah: target 99% menjadi target 50% (dicatat" in each for each in told)
