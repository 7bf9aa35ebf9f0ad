"""A simulated past holds what a month is argued about: causes, windows, claims, objections, each with its date."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.access import api_tokens
from app.access.models import Role
from app.api.app import create_app
from app.availability.contract_schemas import VERDICT
from app.core.clock import midnight, today, utc_now
from app.judging.invalidation import CLOSES_AFTER_DAYS
from app.postgres.engine import transaction
from app.settings import Settings
from tests.support.written_history import WrittenHistory, written_history

pytestmark = pytest.mark.real_time

MONTH = (today().replace(day=1) - timedelta(days=1)).replace(day=1)
DAYS, SITES = (today() - MONTH).days + 1, 100
SECONDS = ("service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s")


@pytest.fixture(scope="module")
async def past(server_url: str) -> AsyncIterator[WrittenHistory]:
    """The month that is over, and the days since."""
    async with written_history(server_url, days=DAYS, sites=SITES, towers=3) as past:
        yield past


@pytest.fixture
async def client(past: WrittenHistory) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(canaries=["127.255.0.1"], database_url=None))
    app.state.sessions, app.state.engine = past.sessions, past.engine
    async with transaction(past.sessions) as session:
        secret = await api_tokens.create_token(session, name="sari", role=Role.PROVINCE_ADMIN)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test/api/v1", headers={"Authorization": f"Bearer {secret}"}
    ) as client:
        yield client


async def test_causes_are_set_by_the_offices_soon_after_the_outage_and_a_few_of_them_late(past: WrittenHistory) -> None:
    rows = await past.rows("SELECT ended_at, recorded_at, confirmed_by, cause FROM outage_cause")
    assert len(rows) > 20
    assert {by.split()[0] for _, _, by, _ in rows} == {"Diskominfo"}
    assert {"power", "link"} <= {cause for *_, cause in rows}
    late = [row for row in rows if row[1] > utc_now() - timedelta(minutes=10) > row[0] + timedelta(days=2)]
    assert 0 < len(late) < 10
    assert all(ended < recorded < ended + timedelta(days=2) for ended, recorded, *_ in set(rows) - set(late))


async def test_what_becomes_known_after_the_month_is_closed_is_a_correction_beside_it(past: WrittenHistory) -> None:
    is_closed = today() >= today().replace(day=1) + timedelta(days=CLOSES_AFTER_DAYS)
    reasons = {reason for (reason,) in await past.rows("SELECT reason FROM month_correction")}
    assert bool(reasons) == is_closed
    assert all(reason.startswith("cause power") for reason in reasons)


async def test_windows_were_announced_before_and_after_and_one_is_to_come(past: WrittenHistory) -> None:
    rows = await past.rows("SELECT started_at, ended_at, created_at FROM maintenance_window ORDER BY started_at")
    assert sorted((created < start, created < end) for start, end, created in rows) == [
        (False, False),
        (True, True),
        (True, True),
    ]
    assert rows[-1][0] > utc_now()
    assert all(start >= midnight(MONTH) for start, *_ in rows)


async def test_devices_contest_some_outages(past: WrittenHistory) -> None:
    contested = await past.rows(
        "SELECT refuted_s, ended_at - started_at FROM incident_site WHERE refuted_at IS NOT NULL"
    )
    assert 0 < len(contested) <= 3
    assert all(0 < refuted_s < length.total_seconds() for refuted_s, length in contested)


async def test_providers_object_to_outages_that_nobody_has_explained(past: WrittenHistory) -> None:
    notes = await past.rows(
        "SELECT n.text, n.provider_id, i.cause FROM incident_note n JOIN incident i ON i.id = n.incident_id"
    )
    assert len(notes) == 8
    assert all("keberatan" in text and provider is not None and cause is None for text, provider, cause in notes)


async def test_every_row_of_the_months_list_adds_up_and_so_do_its_totals(client: httpx.AsyncClient) -> None:
    rows, totals = await read_list(client)
    assert {None, "met", "missed"} <= {row["verdict"] for row in rows}
    assert len({row["site_id"] for row in rows}) == SITES < len(rows), "some sites were under two contracts"
    for row in rows:
        parts = row["good_s"] + row["counted_down_s"] + sum(row["excluded"].values()) + row["unknown_s"]
        assert parts == row["service_s"], row["code"]
    require_sum(totals["all"], rows)
    for total in totals["by_contract"]:
        require_sum(total, [row for row in rows if row["contract"] == total["contract"]])
    for total in totals["by_provider"]:
        require_sum(total, [row for row in rows if row["provider"] == total["provider"]])
    for total in totals["by_district"]:
        require_sum(total, [row for row in rows if row["village_code"].startswith(f"{total['code']}.")])
    for name in ("by_provider", "by_district"):
        assert sum(total["service_s"] for total in totals[name]) == totals["all"]["service_s"]


def require_sum(total: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    assert {name: total[name] for name in SECONDS} == {name: sum(row[name] for row in rows) for name in SECONDS}
    assert total["excluded"] == dict(sum((Counter(row["excluded"]) for row in rows), Counter()))


async def test_the_months_list_agrees_with_each_site_and_each_region_and_provider(client: httpx.AsyncClient) -> None:
    rows, totals = await read_list(client)
    for site_id in {row["site_id"] for row in rows}:
        own = (await read(client, f"/sites/{site_id}/uptime"))["total"]
        verdicts = own["contracts"] or [own["contract"]]
        of_site = [row for row in rows if row["site_id"] == site_id]
        assert [{name: row[name] for name in VERDICT} if row["contract"] else None for row in of_site] == verdicts
    for path, total in (
        *((f"/regions/{total['code']}", total) for total in totals["by_district"]),
        *((f"/providers/{total['provider']}", total) for total in totals["by_provider"]),
        ("/regions/64", totals["all"]),
    ):
        assert (await read(client, f"{path}/uptime"))["total"]["verdicts"] == total["verdicts"], path


async def read_list(client: httpx.AsyncClient) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows of all pages of the month's list, and its totals."""
    rows: list[dict[str, Any]] = []
    page = await read(client, "/sla", limit=50)
    rows += page["items"]
    while page["next_cursor"]:
        page = await read(client, "/sla", limit=50, cursor=page["next_cursor"])
        rows += page["items"]
    return rows, page["totals"]


async def read(client: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(path, params={"period": f"{MONTH:%Y-%m}", **params})
    assert answer.status_code == 200, answer.text
    return answer.json()
