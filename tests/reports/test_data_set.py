"""A report's figures are those of the closed month: as the month's list and the contract's outages tell them."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.monthly_close import AFTERWARDS, END, MONTH, START
from tests.support.report_month import BEGAN, FEE_IDR, HOUR, MONTH_S, OUTAGE, PERIOD, ReportMonth
from tests.support.site_histories import assign, execute, set_states, site_since
from tests.support.uptime import get


async def drafted(month: ReportMonth) -> Any:
    return (await month.read((await month.draft())["id"]))["data"]


async def test_each_line_has_the_figures_of_the_months_list(month: ReportMonth) -> None:
    data = await drafted(month)
    rows = (await get(month.cast.sari, "/sla", period=PERIOD, provider="iconplus"))["items"]
    assert [line["code"] for line in data["sites"]] == [row["code"] for row in rows] == sorted(month.codes.values())
    shared = (data["sites"][0].keys() & rows[0].keys()) - {"stretches"}
    assert shared >= {"service_s", "good_s", "counted_down_s", "excluded", "unknown_s", "availability_pct", "worst_pct"}
    for line, row in zip(data["sites"], rows, strict=True):
        assert {name: line[name] for name in shared} == {name: row[name] for name in shared}
        assert line["covered_s"] == row["covered"]["seconds"]


async def test_the_outages_are_the_contracts_and_add_up_to_each_line(month: ReportMonth) -> None:
    data = await drafted(month)
    for site, code in month.codes.items():
        listed = (await get(month.cast.sari, f"/sites/{site}/contract-outages", period=PERIOD))["items"]
        reported = [outage for outage in data["outages"] if outage["site"] == code]
        shared = [{name: value for name, value in each.items() if name != "contract"} for each in listed]
        assert [{name: each[name] for name in one} for each, one in zip(reported, shared, strict=True)] == shared
        (line,) = [line for line in data["sites"] if line["code"] == code]
        assert sum(outage["counted_s"] for outage in reported) == line["counted_down_s"]


async def test_restitution_is_the_fee_for_what_is_proven_with_both_bounds(month: ReportMonth) -> None:
    data = await drafted(month)
    here, there = data["sites"]
    assert here["restitution"] | {"steps": []} == {
        "idr": round(FEE_IDR * 4 * HOUR / MONTH_S),
        "least_idr": round(FEE_IDR * 4 * HOUR / MONTH_S),
        "most_idr": round(FEE_IDR * 4 * HOUR / MONTH_S),
        "status": "due",
        "steps": [],
    }
    assert here["restitution"]["steps"][0]["id"].startswith("Biaya Rp 3.000.000")
    assert (there["restitution"]["idr"], there["restitution"]["most_idr"]) == (0, round(FEE_IDR * 10 * HOUR / MONTH_S))
    totals = data["totals"]
    assert totals["restitution_idr"] == here["restitution"]["idr"]
    assert (totals["fee_idr"], totals["payable_idr"]) == (2 * FEE_IDR, 2 * FEE_IDR - totals["restitution_idr"])
    assert totals["service_s"] == 2 * MONTH_S
    assert data["period"]["seconds"] == MONTH_S


async def test_a_corrected_month_is_told_as_corrected_and_its_outages_still_add_up(month: ReportMonth) -> None:
    await month.correct_ledger(hours=6)
    data = await drafted(month)
    line = data["sites"][0]
    assert line["counted_down_s"] == 6 * HOUR == sum(each["counted_s"] for each in data["outages"])
    assert "surat 17" in line["notes"][0]["en"]
    assert "14,400 s then, 21,600 s now" in line["notes"][0]["en"]
    assert [warning["code"] for warning in data["warnings"]] == ["corrected"]


async def test_a_figure_that_no_correction_tells_of_is_a_warning_and_never_silent(month: ReportMonth) -> None:
    await execute(
        month.session,
        "UPDATE state_segment SET ended_at = ended_at - interval '1 hour' WHERE site_id = :id AND state = 'down'",
        id=month.here,
    )
    data = await drafted(month)
    assert data["sites"][0]["counted_down_s"] == 4 * HOUR, "as closed"
    (warning,) = data["warnings"]
    assert warning["code"] == "outages_differ"
    assert "10,800 s, and 14,400 s are counted" in warning["en"]


async def test_terms_that_change_in_the_month_make_stretches_with_fees_of_their_own(month: ReportMonth) -> None:
    day = MONTH + timedelta(days=15)
    patch = {"sla_target_pct": 95, "monthly_fee_idr": 2 * FEE_IDR, "effective_from": day.isoformat(), "reason": "ad. 1"}
    answer = await month.cast.sari.patch(f"/contracts/{month.contract}", patch)
    assert answer.status_code == 200, answer.text
    await month.close()
    data = await drafted(month)
    stretches = data["sites"][0]["stretches"]
    assert [stretch["terms_on"] for stretch in stretches] == ["2020-01-01", day.isoformat()]
    assert [stretch["target_pct"] for stretch in stretches] == [99, 95]
    assert sum(stretch["covered_s"] for stretch in stretches) == MONTH_S
    days = round(MONTH_S / 86_400)
    assert data["sites"][0]["fee_idr"] == round(FEE_IDR * 15 / days + 2 * FEE_IDR * (days - 15) / days)
    assert [terms["terms_on"] for terms in data["contract"]["terms"]] == ["2020-01-01", day.isoformat()]
    assert "terms_changed" in [warning["code"] for warning in data["warnings"]]


async def test_a_site_that_joined_within_the_month_is_counted_for_its_days(month: ReportMonth) -> None:
    day = MONTH + timedelta(days=20)
    late = await site_since(month.session, month.cast, BEGAN, AFTERWARDS, provider="iconplus")
    await assign(month.session, late, month.contract, day)
    await month.close()
    data = await drafted(month)
    (line,) = [line for line in data["sites"] if line["fee_idr"] != FEE_IDR]
    covered_s = round((END - START - timedelta(days=20)).total_seconds())
    assert line["covered_s"] == covered_s
    assert line["fee_idr"] == round(FEE_IDR * covered_s / MONTH_S)
    assert line["notes"][0]["en"].startswith("Under this contract from 21 ")


async def test_a_contract_without_fee_or_rule_says_so_in_each_line(month: ReportMonth) -> None:
    await execute(month.session, "UPDATE contract_terms SET monthly_fee_idr = NULL")
    data = await drafted(month)
    assert {line["restitution"]["status"] for line in data["sites"]} == {"no_fee"}
    assert {line["fee_idr"] for line in data["sites"]} == {None} == {data["totals"]["payable_idr"]}
    assert "no_fee" in [warning["code"] for warning in data["warnings"]]


async def test_coverage_below_the_contracts_minimum_proves_nothing(month: ReportMonth) -> None:
    await execute(month.session, "UPDATE contract_terms SET min_coverage_pct = 99")
    data = await drafted(month)
    here, there = data["sites"]
    assert (here["restitution"]["status"], there["restitution"]["status"]) == ("due", "not_provable")
    assert there["coverage_pct"] < 99
    (warning,) = data["warnings"]
    assert warning["code"] == "not_provable"
    assert there["code"] in warning["id"]


async def test_a_site_taken_from_the_contract_afterwards_is_left_out_and_named(month: ReportMonth) -> None:
    await execute(month.session, "UPDATE site_contract SET withdrawn_at = now() WHERE site_id = :id", id=month.here)
    await month.invalidate()
    await month.close()
    data = await drafted(month)
    assert [line["code"] for line in data["sites"]] == [month.codes[month.there]]
    (warning,) = data["warnings"]
    assert warning["code"] == "no_longer_under_contract"
    assert month.codes[month.here] in warning["en"]


async def test_a_site_that_changed_provider_within_the_month_has_a_clear_line(month: ReportMonth) -> None:
    day = MONTH + timedelta(days=12)
    await execute(
        month.session,
        "UPDATE site_contract SET ended_on = :day WHERE site_id = :id",
        "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id",
        "INSERT INTO site_configuration (site_id, started_at, kind, lifecycle, technology, provider_id, village_code, "
        "addressed_at) SELECT site_id, :at, kind, lifecycle, technology, (SELECT id FROM provider WHERE slug = "
        "'telkom-wms'), village_code, addressed_at FROM site_configuration WHERE site_id = :id",
        id=month.here,
        day=day,
        at=START + timedelta(days=12),
    )
    await month.invalidate()
    await month.close()
    line = (await drafted(month))["sites"][0]
    assert line["covered_s"] == 12 * 86_400
    notes = [note["en"] for note in line["notes"]]
    assert notes[0] == f"Under this contract until {day - timedelta(days=1):%-d %B %Y}."
    assert notes[1] == f"Changed provider on {day:%-d %B %Y}: Icon+ to Telkom WMS."


async def test_text_with_markup_is_kept_to_the_letter(month: ReportMonth) -> None:
    name = "#let x = [*tebal*] <b>&amp;</b> $ @ \\"
    await execute(month.session, "UPDATE site SET name = :name WHERE id = :id", name=name, id=month.here)
    assert (await drafted(month))["sites"][0]["name"] == name


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("DELETE FROM closed_month", "month_not_closed"),
        ("INSERT INTO stale_month SELECT site_id, month, 'late' FROM closed_month", "being_recounted"),
        ("UPDATE site_contract SET ended_on = started_on + 1", "no_sites"),
    ],
)
async def test_a_month_that_is_not_settled_or_empty_is_refused(month: ReportMonth, change: str, code: str) -> None:
    await execute(month.session, change)
    answer = await month.cast.sari.post(f"/contracts/{month.contract}/reports", {"period": PERIOD})
    assert answer.status_code == 409, answer.text
    (fault,) = answer.json()["errors"]
    assert (fault["field"], fault["code"]) == ("period", code)


async def test_a_month_that_is_not_over_is_refused_and_what_is_none_is_a_wrong_field(month: ReportMonth) -> None:
    for period, status, code in (
        ("2099-01", 409, "month_not_over"),
        ("2099", 409, "no_month_issued"),
        ("2026-13", 422, "bad_period"),
        ("banyak", 422, "bad_period"),
        ("2019", 422, "bad_period"),
    ):
        answer = await month.cast.sari.post(f"/contracts/{month.contract}/reports", {"period": period})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code), period


async def test_an_outage_across_a_change_of_terms_has_a_part_under_each(month: ReportMonth) -> None:
    day = (OUTAGE + timedelta(hours=8)).date()
    await execute(
        month.session,
        "INSERT INTO contract_terms (contract_id, started_on, sla_target_pct, min_outage_s, excluded_causes, "
        "excuses_parent, monthly_fee_idr, fee_per) VALUES (:id, :day, 98, 300, '{}', false, 1000000, 'site')",
        id=month.contract,
        day=day + timedelta(days=1),
    )
    await month.correct_ledger(hours=30)
    data = await drafted(month)
    parts = [outage for outage in data["outages"] if outage["site"] == month.codes[month.here]]
    assert [part["counted_s"] for part in parts] == [24 * HOUR, 6 * HOUR]
    assert parts[0]["started_at"] == parts[1]["started_at"]
    assert [stretch["counted_down_s"] for stretch in data["sites"][0]["stretches"]] == [24 * HOUR, 6 * HOUR]


async def test_an_outage_across_the_months_end_is_told_where_its_length_decides(month: ReportMonth) -> None:
    bounds = (BEGAN, "up"), (START - timedelta(hours=2), "down"), (START + timedelta(hours=3), "up"), AFTERWARDS
    await set_states(month.session, month.here, *bounds)
    await month.invalidate()
    await month.close()
    before = await drafted(month)
    rule = '{"kind": "per_incident", "after_s": 14400, "per_hour_pct": 1, "cap_pct": 100, "unknown": "unproven"}'
    await execute(month.session, "UPDATE contract_terms SET restitution = cast(:rule AS jsonb)", rule=rule)
    await execute(month.session, "UPDATE contract SET version = version + 1")
    (report,) = (await get(month.cast.sari, "/reports"))["items"]
    after = (await month.read(report["id"]))["data"]
    told = [[note["en"] for note in data["sites"][0]["notes"]] for data in (before, after)]
    assert any("goes on beyond the month" in note for note in told[1])
    assert not any("goes on beyond the month" in note for note in told[0])
    assert after["sites"][0]["counted_down_s"] == 3 * HOUR


@pytest.mark.parametrize("days", [0, 20])
async def test_a_fee_for_time_out_of_service_is_told(month: ReportMonth, days: int) -> None:
    """Whoever takes a site out of service while it is down spares its provider the downtime."""
    since = START + timedelta(days=days)
    columns = "kind, technology, provider_id, parent_id, probe, addressed_at, village_code, speed_budget_mb"
    await execute(
        month.session,
        "UPDATE site_configuration SET ended_at = :since WHERE site_id = :id",
        f"INSERT INTO site_configuration (site_id, started_at, lifecycle, {columns}) "
        f"SELECT site_id, ended_at, 'suspended', {columns} FROM site_configuration WHERE site_id = :id",
        id=month.here,
        since=since,
    )
    await month.invalidate()
    await month.close()
    data = await drafted(month)
    line = data["sites"][0]
    assert (line["fee_idr"], line["service_s"]) == (FEE_IDR, days * 24 * HOUR)
    out_s = f"{MONTH_S - line['service_s']:,}"
    assert any(f"Out of service for {out_s} s" in note["en"] for note in line["notes"])
    told = [warning["en"] for warning in data["warnings"] if warning["code"] == "fee_without_service"]
    assert bool(told) == (days == 0)
    assert all(line["code"] in text for text in told)


async def test_a_second_link_of_a_site_is_told_where_it_has_a_fee_of_its_own(month: ReportMonth) -> None:
    site = {"site": month.codes[month.here], "from": MONTH.isoformat(), "link_role": "backup"}
    answer = await month.cast.sari.post(f"/contracts/{month.contract}/sites", {"sites": [site], "reason": "surat 3"})
    assert answer.status_code == 201, answer.text
    await month.close()
    data = await drafted(month)
    assert data["totals"]["fee_idr"] == 3 * FEE_IDR
    (told,) = [warning["en"] for warning in data["warnings"] if warning["code"] == "fee_per_link"]
    assert told.count(month.codes[month.here]) == 1
