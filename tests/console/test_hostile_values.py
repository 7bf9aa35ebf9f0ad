"""Values that are numbers or days by their letters alone: the API says so, or the page goes on without them."""

import pytest

from tests.conftest import Cast
from tests.factories import register
from tests.support.console import Visitor

HUGE = "9" * 5_000


@pytest.mark.parametrize("number", ["inf", "nan", "1e300", "-1e999", HUGE, "1_0", "٣"])
async def test_a_number_that_is_none_is_said_beside_its_field(province: Visitor, cast: Cast, number: str) -> None:
    await register(cast)  # and with it its provider
    page = await province.get("/console/contracts/new")
    typed = {"number": "K-1", "provider": "telkom-wms", "valid_from": "2026-01-01", "sla_target_pct": "95"}
    page = await province.submit(page, "", **typed, monthly_fee_idr=number, min_outage_s=number)
    assert page.status in {303, 422}
    if number not in {"1_0", "٣"}:
        assert {"monthly_fee_idr", "min_outage_s"} <= set(page.errors())


async def test_no_id_or_month_is_a_fault_of_ours(officer: Visitor) -> None:
    page = await officer.get("/console/incidents")
    token = page.form("/console/sign-out")
    for ids in (HUGE, "9" * 19, "9" * 18, "٣", "-1"):
        answer = await officer.post("/console/incidents", token | {"ids": ids, "status": "acknowledged"})
        assert answer.status in {404, 422}, ids[:30]
    for month in ("9999-12", "0001-01", "2026-13", "x", "2026-11-01"):
        assert (await officer.get(f"/console/maintenance?month={month}")).status == 200, month
    for path in (
        f"accounts/{'9' * 30}",
        f"incidents/{'9' * 30}",
        "incidents/x",
        f"maintenance/{'9' * 30}",
        "sites/%00",
    ):
        assert (await officer.get(f"/console/{path}")).status in {403, 404, 422}, path
