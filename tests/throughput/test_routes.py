"""The throughput API: single tests, budgets, and medians of sites, never averages."""

import csv
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import parse_moment, utc_now
from app.throughput.models import Mode, SpeedtestStatus, ThroughputTest
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, register

NOW = utc_now()


async def add_tests(session: AsyncSession, site: dict[str, Any], *down_mbps: float | None, **changes: Any) -> None:
    """Insert one test per hour back from now; None: it was skipped."""
    async with session.begin():
        provider = await session.scalar(text("SELECT provider_id FROM site WHERE id = :id"), {"id": site["id"]})
        for hours, down in enumerate(down_mbps, start=1):
            at = NOW - timedelta(hours=hours)
            values: dict[str, Any] = {
                "mode": Mode.PULL,
                "status": SpeedtestStatus.SKIPPED if down is None else SpeedtestStatus.DONE,
                "down_mbps": down,
                "reason": "not_up" if down is None else None,
                "started_at": None if down is None else at,
                "up_mbps": None,
                "rtt_idle_ms": 20.0,
                "rtt_loaded_ms": 60.0,
                "contract_down_mbps": 20.0,
                "down_bytes": 0 if down is None else 10_000_000,
                **changes,
            }
            session.add(
                ThroughputTest(
                    site_id=site["id"],
                    planned_at=at,
                    month=month_of(NOW),
                    technology=site["technology"],
                    provider_id=provider,
                    village_code=site["village_code"],
                    max_s=10,
                    allowed_down_bytes=10_000_000,
                    allowed_up_bytes=0,
                    reserved_bytes=0,
                    waits_until=at,
                    up_bytes=0,
                    **values,
                )
            )


def month_of(moment: datetime) -> Any:
    return (moment + timedelta(hours=8)).date().replace(day=1)


async def test_a_sites_tests_come_with_reasons_totals_and_what_is_left_to_spend(
    cast: Cast, session: AsyncSession
) -> None:
    site = await register(cast, speed_url="http://198.51.100.20/speed", speed_budget_mb=200)
    await add_tests(session, site, 18.0, None, 8.0, 19.0)
    answer = (await cast.ana.get(f"/sites/{site['id']}/throughput?period=24h&limit=3")).json()
    assert [one["down_mbps"] for one in answer["items"]] == [18.0, None, 8.0]
    assert answer["items"][1]["reason"] == "not_up"
    rest = await cast.ana.get(f"/sites/{site['id']}/throughput?period=24h&limit=3&cursor={answer['next_cursor']}")
    assert [one["down_mbps"] for one in rest.json()["items"]] == [19.0]
    assert rest.json()["next_cursor"] is None
    total = answer["total"]
    assert (total["planned"], total["done"], total["skipped"]) == (4, 3, 1)
    assert (total["down_mbps"], total["down_of_contract_pct"], total["under_half"]) == (18.0, 90.0, 1)
    assert total["bufferbloat_ms"] == 40.0
    budget = answer["budget"]
    assert (budget["budget_mb"], budget["tests_mb"], budget["left_mb"]) == (200, 30, 170)


async def test_a_site_that_reports_itself_keeps_room_for_its_reports(cast: Cast, session: AsyncSession) -> None:
    site = await register(cast, probe="push", host=None, technology="geo")
    async with session.begin():
        await session.execute(
            text("INSERT INTO push_traffic VALUES (:id, :month, 100, 5000000)"),
            {"id": site["id"], "month": month_of(NOW)},
        )
    budget = (await cast.ana.get(f"/sites/{site['id']}/throughput")).json()["budget"]
    assert (budget["budget_mb"], budget["push_mb"], budget["spent_mb"]) == (500, 5, 5)
    assert budget["push_to_come_mb"] > 0
    assert budget["left_mb"] == pytest.approx(495 - budget["push_to_come_mb"], abs=0.01)


async def test_a_whole_months_budget_is_that_months(cast: Cast) -> None:
    site = await register(cast)
    answer = (await cast.ana.get(f"/sites/{site['id']}/throughput?period=2026-10")).json()
    assert answer["budget"]["month"] == "2026-10-01"


async def test_a_region_is_the_median_of_its_sites_and_not_of_their_tests(cast: Cast, session: AsyncSession) -> None:
    eager = await register(cast)
    slow = await register(cast, host="198.51.100.21")
    fast = await register(cast, host="198.51.100.22")
    never = await register(cast, host="198.51.100.23")
    await add_tests(session, eager, *[10.0] * 9)
    await add_tests(session, slow, 4.0)
    await add_tests(session, fast, 18.0, 20.0)
    await add_tests(session, never, None)
    answer = (await cast.ana.get("/regions/64.02/throughput?period=24h")).json()
    (fiber,) = answer["series"]
    assert fiber["technology"] == "fiber"
    assert answer["total"] == fiber | {"technology": None}
    assert (fiber["sites"], fiber["without_result"], fiber["tests"]) == (3, 1, 12)
    assert (fiber["down_mbps"], fiber["down_p10_mbps"]) == (10.0, 5.2)
    assert (fiber["under_half"], fiber["under_half_pct"]) == (1, 33.333)
    assert (fiber["down_of_contract_pct"], fiber["bufferbloat_ms"]) == (50.0, 40.0)


async def test_sites_are_listed_by_their_share_of_the_contract(cast: Cast, session: AsyncSession) -> None:
    names = [f"198.51.100.{number}" for number in range(30, 35)]
    half, worst, fine, unbound, untested = [await register(cast, host=host) for host in names]
    await add_tests(session, half, 9.0, 10.0, 9.5)
    await add_tests(session, worst, 2.0, None, 4.0, up_mbps=1.23456)
    await add_tests(session, fine, 20.0)
    await add_tests(session, unbound, 5.0, contract_down_mbps=None)
    await add_tests(session, untested, None)
    for asked in ("/regions/64.02", "/providers/telkom-wms"):
        whole = (await cast.ana.get(f"{asked}/throughput/sites?period=24h")).json()
        codes = [one["code"] for one in whole["items"]]
        assert codes == [one["code"] for one in (worst, half, fine, unbound, untested)]
        under = (await cast.ana.get(f"{asked}/throughput/sites?period=24h&under_pct=50&technology=fiber")).json()
        assert [one["code"] for one in under["items"]] == codes[:2]
        assert (
            len(under["items"]) == (await cast.ana.get(f"{asked}/throughput?period=24h")).json()["total"]["under_half"]
        )
        paged: list[str] = []
        cursor = ""
        while cursor is not None:
            page = (await cast.ana.get(f"{asked}/throughput/sites?period=24h&limit=1{cursor}")).json()
            paged += [one["code"] for one in page["items"]]
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        assert paged == codes
        table = (await cast.ana.get(f"{asked}/throughput/sites?period=24h&format=csv&lang=api")).text.lstrip("\ufeff")
        assert [row["code"] for row in csv.DictReader(table.splitlines())] == codes
    first = whole["items"][0]
    assert {name: first[name] for name in first.keys() - {"last_test_at", "name"}} == {
        "site_id": worst["id"],
        "code": worst["code"],
        "village_code": worst["village_code"],
        "technology": "fiber",
        "provider": "telkom-wms",
        "tests": 2,
        "down_mbps": 3.0,
        "up_mbps": 1.235,
        "contract_down_mbps": 20.0,
        "share_pct": 15.0,
        "under_half": True,
        "spent_mb": 20.0,
    }
    assert parse_moment(first["last_test_at"]) == NOW - timedelta(hours=1)
    wrong = await cast.ana.get("/regions/64.02/throughput/sites?cursor=MX4y")
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "bad_cursor")


async def test_sites_are_listed_only_within_the_scope(cast: Cast, session: AsyncSession) -> None:
    moved, icons = await register(cast), await register(cast, host="198.51.100.21", provider="iconplus")
    await add_tests(session, moved, 10.0)
    await add_tests(session, icons, 5.0)
    async with session.begin():
        await session.execute(
            text("UPDATE site SET village_code = :there WHERE id = :id"), {"there": BERAU_VILLAGE, "id": moved["id"]}
        )
    listed = "/regions/64.02/throughput/sites?period=24h"
    assert [one["code"] for one in (await cast.vera.get(listed)).json()["items"]] == [icons["code"], moved["code"]]
    assert [one["code"] for one in (await cast.ana.get(listed)).json()["items"]] == [icons["code"]]
    seen = (await cast.icon.get("/regions/64/throughput/sites?period=24h")).json()
    assert [one["code"] for one in seen["items"]] == [icons["code"]]
    assert (await cast.ben.get(listed)).status_code == 403
    assert (await cast.icon.get("/providers/telkom-wms/throughput/sites")).status_code == 404


async def test_group_figures_include_their_cost(cast: Cast, session: AsyncSession) -> None:
    pushing = await register(cast, probe="push", host=None, technology="geo")
    pulled = await register(cast, host="198.51.100.21")
    await add_tests(session, pushing, 10.0)
    await add_tests(session, pulled, 10.0, 20.0)
    async with session.begin():
        await session.execute(
            text("INSERT INTO push_traffic VALUES (:id, :month, 100, 5000000)"),
            {"id": pushing["id"], "month": month_of(NOW)},
        )
    asked = f"period={month_of(NOW):%Y-%m}"
    cost = (await cast.vera.get(f"/regions/64.02/throughput?{asked}")).json()["cost"]
    month = month_of(NOW).isoformat()
    spent = {"spent_mb": 35, "tests_mb": 30, "push_mb": 5, "visits_mb": 0}
    assert cost == {"first_month": month, "last_month": month, **spent}
    fiber = (await cast.vera.get(f"/regions/64.02/throughput?{asked}&technology=fiber")).json()["cost"]
    assert (fiber["tests_mb"], fiber["push_mb"]) == (20, 0)
    others = (await cast.vera.get(f"/providers/iconplus/throughput?{asked}")).json()["cost"]
    assert others["spent_mb"] == 0


async def test_noise_is_no_negative_delay_and_figures_have_three_decimals(cast: Cast, session: AsyncSession) -> None:
    site = await register(cast)
    await add_tests(session, site, 18.123456, rtt_idle_ms=20.123456, rtt_loaded_ms=19.0)
    one = (await cast.ana.get(f"/sites/{site['id']}/throughput?period=24h")).json()
    assert one["total"]["bufferbloat_ms"] == 0
    assert (one["items"][0]["down_mbps"], one["items"][0]["rtt_idle_ms"]) == (18.123, 20.123)
    many = (await cast.ana.get("/regions/64.02/throughput?period=24h")).json()
    assert many["series"][0]["bufferbloat_ms"] == many["total"]["bufferbloat_ms"] == 0


async def test_other_regions_and_providers_are_not_visible(cast: Cast, session: AsyncSession) -> None:
    site = await register(cast)
    other = await register(cast, host="198.51.100.21", provider="iconplus", technology="radio")
    await add_tests(session, site, 10.0)
    await add_tests(session, other, 5.0)
    assert (await cast.ben.get(f"/sites/{site['id']}/throughput")).status_code == 404
    assert (await cast.ben.get("/regions/64.02/throughput")).status_code == 403
    assert (await cast.icon.get(f"/sites/{site['id']}/throughput")).status_code == 404
    seen = (await cast.icon.get("/regions/64/throughput?period=24h")).json()
    assert [row["technology"] for row in seen["series"]] == ["radio"]
    assert (await cast.icon.get("/providers/telkom-wms/throughput")).status_code == 404
    whole = (await cast.vera.get("/providers/telkom-wms/throughput?period=24h")).json()
    assert (whole["total"]["sites"], whole["total"]["down_mbps"]) == (1, 10.0)
    empty = (await cast.vera.get("/regions/64.03/throughput?period=24h&technology=geo")).json()
    assert (empty["series"], empty["total"]["sites"], empty["total"]["down_mbps"]) == ([], 0, None)


async def test_tests_and_figures_come_as_tables_too(cast: Cast, session: AsyncSession) -> None:
    site = await register(cast)
    await add_tests(session, site, 18.0, None, 8.0)
    tests = (await cast.ana.get(f"/sites/{site['id']}/throughput?period=24h&format=csv&lang=api")).text.lstrip("\ufeff")
    rows = list(csv.DictReader(tests.splitlines()))
    assert [(row["status"], row["reason"], row["down_mbps"]) for row in rows] == [
        ("done", "", "18"),
        ("skipped", "not_up", ""),
        ("done", "", "8"),
    ]
    assert (await cast.ana.get(f"/sites/{site['id']}/throughput?format=csv&limit=1")).status_code == 422
    for asked in ("/regions/64.02", "/providers/telkom-wms"):
        told = (await cast.ana.get(f"{asked}/throughput?period=24h&format=csv&lang=api")).text.lstrip("\ufeff")
        rows = list(csv.DictReader(told.splitlines()))
        assert [(row["row"], row["technology"], row["sites"], row["down_mbps"]) for row in rows] == [
            ("part", "fiber", "1", "13"),
            ("total", "", "1", "13"),
        ]


async def test_only_what_is_done_counts_as_a_speed(cast: Cast, session: AsyncSession) -> None:
    site = await register(cast)
    await add_tests(session, site, 900.0, status=SpeedtestStatus.INVALID, reason="buffered")
    total = (await cast.ana.get(f"/sites/{site['id']}/throughput")).json()["total"]
    assert (total["invalid"], total["done"], total["down_mbps"]) == (1, 0, None)


async def test_a_spreadsheet_brings_budgets_and_what_is_tested_with(cast: Cast) -> None:
    head = "Kode desa/kelurahan;Teknologi;Penyedia;Cara ukur;Alamat IP atau host;URL uji kecepatan;"
    head += "Kuota uji kecepatan (MB per bulan)\n"
    row = "64.02.05.2003;serat optik;Telkom WMS;icmp;198.51.100.77;{url};{quota}\n"
    for url, quota, fault in (
        ("http://198.51.100.77/uji", "1.500", None),
        ("http://169.254.169.254/uji", "1500", ("speed_url", "forbidden_host")),
        ("ftp://198.51.100.77/uji", "1500", ("speed_url", "bad_url")),
        ("", "-5", ("speed_budget_mb", "greater_than_equal")),
        ("", "banyak", ("speed_budget_mb", "float_parsing")),
    ):
        sheet = (head + row.format(url=url, quota=quota)).encode()
        answer = await cast.ana.client.post(
            "/api/v1/sites/import",
            content=sheet,
            headers={
                "Content-Type": "application/octet-stream",
            },
            params={"dry_run": "true"} if fault else {},
        )
        if fault:
            (found,) = [one for told in answer.json()["rows"] for one in told["errors"]]
            assert (found["field"], found["code"]) == fault, url or quota
    (site,) = (await cast.ana.get("/sites?q=198.51.100.77")).json()["items"]
    assert (site["speed_url"], site["speed_budget_mb"]) == ("http://198.51.100.77/uji", 1500)


async def test_budgets_name_first_who_is_near_the_end_of_theirs(cast: Cast, session: AsyncSession) -> None:
    spent = await register(cast, speed_url="http://198.51.100.20/speed", speed_budget_mb=40)
    idle = await register(cast, host="198.51.100.21", speed_url="http://198.51.100.21/speed", speed_budget_mb=1000)
    await register(cast, host="198.51.100.22")
    there = await register(
        cast, village_code=BERAU_VILLAGE, host="198.51.100.23", speed_url="http://198.51.100.23/speed"
    )
    await add_tests(session, spent, 18.0, 8.0, 19.0, 20.0, 21.0)
    budgets = (await cast.ana.get("/throughput/budgets")).json()
    assert [row["code"] for row in budgets["items"]] == [spent["code"], idle["code"]]
    first = budgets["items"][0]
    assert (first["budget_mb"], first["spent_mb"], first["spent_pct"], first["expected_pct"]) == (40, 50, 125, 125)
    [technology] = budgets["technologies"]
    assert technology | {"sites": 2, "over": 1, "near": 0, "spent_mb": 50} == technology
    assert [row["code"] for row in (await cast.ben.get("/throughput/budgets")).json()["items"]] == [there["code"]]
    assert (await cast.ben.get("/throughput/budgets?region=64.02")).status_code == 403
