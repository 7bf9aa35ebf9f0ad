"""Contracts with dated terms, and sites under contract."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.audit_routes import AuditOut
from app.contracts import dated_terms
from app.contracts.schemas import ContractCreated, ContractIn, ContractOut, ContractPatch, TermsOut
from app.core.clock import midnight, utc_now
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from app.registry.models import ContractTerms
from tests.conftest import Cast
from tests.factories import register, site
from tests.support.contracts import LONG_AGO, TODAY, assign_contract, contract, create_contract


def day(offset: int) -> str:
    return (TODAY + timedelta(days=offset)).isoformat()


@pytest.fixture
def invalidated(monkeypatch: pytest.MonkeyPatch) -> list[DirtyRange]:
    """The ranges that were to be counted again; nothing is."""
    ranges: list[DirtyRange] = []

    async def invalidate(session: AsyncSession, dirty: Sequence[DirtyRange], *, reason: str = "") -> None:
        ranges.extend(dirty)

    monkeypatch.setattr(invalidation, "invalidate", invalidate)
    return ranges


def without_defaulted(made: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in made.items() if name != "defaulted"}


async def test_a_contract_is_registered_with_defaults(cast: Cast) -> None:
    made = await cast.sari.post("/contracts", contract())
    found = await cast.sari.get(f"/contracts/{made.json()['id']}")
    assert (made.status_code, found.json()) == (201, without_defaulted(made.json()))
    assert made.headers["location"].endswith(f"/contracts/{made.json()['id']}")
    assert made.headers["etag"] == found.headers["etag"] == f'"{made.json()["version"]}"'
    ContractCreated.model_validate(made.json())
    usual = ("min_outage_s", "excluded_causes", "excuses_parent", "service_from", "valid_to", "provider")
    assert [made.json()[name] for name in usual] == [300, ["power"], False, None, None, "telkom-wms"]
    assert [terms["started_on"] for terms in made.json()["terms"]] == [LONG_AGO.isoformat()]
    again = await cast.sari.post("/contracts", contract(sla_target_pct=95))
    assert (again.status_code, again.json()["errors"][0]["code"]) == (409, "duplicate_contract")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"number": " "}, {"number": "string_too_short"}),
        ({"provider": "telkom_wms"}, {"provider": "unknown_provider"}),
        ({"valid_from": "2026-13-01"}, {"valid_from": "bad_date"}),
        ({"valid_from": "0001-01-01"}, {"valid_from": "bad_date"}),
        ({"valid_from": "2026-01-01T00:00:00+08:00"}, {"valid_from": "bad_date"}),
        ({"valid_to": 20261231}, {"valid_to": "bad_date"}),
        ({"valid_to": LONG_AGO.isoformat()}, {"valid_to": "ends_before_start"}),
        ({"valid_to": "2001-01-01"}, {"valid_to": "ends_before_start"}),
        ({"sla_target_pct": 0}, {"sla_target_pct": "greater_than_equal"}),
        ({"sla_target_pct": 100.1}, {"sla_target_pct": "less_than_equal"}),
        ({"sla_target_pct": 99.99995}, {"sla_target_pct": "too_precise"}),
        ({"sla_target_pct": "high"}, {"sla_target_pct": "float_parsing"}),
        ({"min_outage_s": -1}, {"min_outage_s": "greater_than_equal"}),
        ({"min_outage_s": 86_401}, {"min_outage_s": "less_than_equal"}),
        ({"excluded_causes": ["rain"]}, {"excluded_causes.0": "enum"}),
        ({"excluded_causes": "power"}, {"excluded_causes": "list_type"}),
        ({"excluded_causes": ["power"] * 13}, {"excluded_causes": "too_long"}),
        ({"service_from": "07:00"}, {"service_to": "missing"}),
        ({"service_to": "21:00"}, {"service_from": "missing"}),
        ({"service_from": "21:00", "service_to": "07:00"}, {"service_to": "bad_service_hours"}),
        ({"service_from": "07:00", "service_to": "07:00"}, {"service_to": "bad_service_hours"}),
        ({"service_from": "7", "service_to": "24:00"}, {"service_from": "bad_hour", "service_to": "bad_hour"}),
        ({"bandwidth_down_mbps": 0}, {"bandwidth_down_mbps": "greater_than"}),
        ({"monthly_fee_idr": -5}, {"monthly_fee_idr": "greater_than_equal"}),
        ({"monthly_fee_idr": 10**18}, {"monthly_fee_idr": "less_than_equal"}),
        ({"monthly_fee_idr": 10**20}, {"monthly_fee_idr": "int_parsing_size"}),
        ({"terms": []}, {"terms": "extra_forbidden"}),
    ],
)
async def test_an_invalid_contract_gets_a_fault_for_each_field(
    cast: Cast, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    answer = await cast.sari.post("/contracts", contract(**changes))
    assert answer.status_code == 422, answer.text
    assert {fault["field"]: fault["code"] for fault in answer.json()["errors"]} == expected
    assert (await cast.sari.get("/contracts")).json()["items"] == []


async def test_only_the_province_makes_contracts_and_a_provider_sees_its_own(cast: Cast) -> None:
    theirs, own = (
        await create_contract(cast),
        await create_contract(cast, number="2", provider="iconplus", monthly_fee_idr=4_500_000),
    )
    for person in (cast.ana, cast.vera, cast.icon):
        assert (await person.post("/contracts", contract(number="3"))).status_code == 403
        refused = await person.patch(f"/contracts/{own['id']}", {"sla_target_pct": 90})
        assert refused.status_code == 403
    assert (await cast.stranger.get("/contracts")).status_code == 401
    assert [item["id"] for item in (await cast.ana.get("/contracts")).json()["items"]] == [theirs["id"], own["id"]]
    assert [item["id"] for item in (await cast.icon.get("/contracts")).json()["items"]] == [own["id"]]
    assert (await cast.icon.get(f"/contracts/{theirs['id']}")).status_code == 404
    for ident in ("0", "999", "nonsense", "9" * 40):
        assert (await cast.sari.get(f"/contracts/{ident}")).status_code == 404
    by_provider = (await cast.sari.get("/contracts", params={"provider": "iconplus"})).json()["items"]
    assert [item["id"] for item in by_provider] == [own["id"]]


async def test_contracts_are_paged(cast: Cast) -> None:
    made = [(await create_contract(cast, number=str(n)))["id"] for n in range(3)]
    first = (await cast.sari.get("/contracts", params={"limit": 2})).json()
    rest = (await cast.sari.get("/contracts", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert ([item["id"] for item in first["items"] + rest["items"]], rest["next_cursor"]) == (made, None)


async def test_changed_terms_leave_those_of_earlier_days_unchanged(cast: Cast) -> None:
    made = await create_contract(cast, bandwidth_down_mbps=50)
    url = f"/contracts/{made['id']}"
    now = (await cast.sari.patch(url, {"sla_target_pct": 98.5})).json()
    later = (await cast.sari.patch(url, {"bandwidth_down_mbps": 20, "effective_from": day(10)})).json()
    assert now["sla_target_pct"] == later["sla_target_pct"] == 98.5
    assert later["bandwidth_down_mbps"] == 50
    rows = [(t["started_on"], t["sla_target_pct"], t["bandwidth_down_mbps"]) for t in later["terms"]]
    assert rows == [(LONG_AGO.isoformat(), 99, 50), (day(0), 98.5, 50), (day(10), 98.5, 20)]
    same_day = (await cast.sari.patch(url, {"min_outage_s": 60, "effective_from": day(10)})).json()
    assert [t["min_outage_s"] for t in same_day["terms"]] == [300, 300, 60]
    assert same_day["version"] > later["version"] > now["version"] > made["version"]


async def test_a_patch_that_changes_nothing_makes_no_version_and_no_terms(cast: Cast) -> None:
    made = await create_contract(cast)
    for nothing in ({}, {"sla_target_pct": 99}, {"number": made["number"]}, {"provider": "telkom-wms"}):
        assert (await cast.sari.patch(f"/contracts/{made['id']}", nothing)).json() == made


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sla_target_pct": None}, {"sla_target_pct": "null"}),
        ({"provider": "iconplus"}, {"provider": "provider_stays"}),
        ({"effective_from": day(1)}, {"effective_from": "nothing_to_date"}),
        ({"effective_from": day(-300), "sla_target_pct": 90}, {"effective_from": "before_contract"}),
        ({"valid_to": day(5), "effective_from": day(5), "sla_target_pct": 90}, {"effective_from": "after_contract"}),
        ({"valid_to": day(-300)}, {"valid_to": "ends_before_start"}),
        ({"service_from": "08:00"}, {"service_to": "missing"}),
        ({"excluded_causes": ["power", "rain"]}, {"excluded_causes.1": "enum"}),
        ({"effective_from": "soon", "sla_target_pct": 90}, {"effective_from": "bad_date"}),
        ({"sla": 90}, {"sla": "extra_forbidden"}),
    ],
)
async def test_an_invalid_change_of_a_contract_is_refused_as_a_whole(
    cast: Cast, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    made = await create_contract(cast)
    answer = await cast.sari.patch(f"/contracts/{made['id']}", {"number": "other", **changes})
    assert answer.status_code == 422, answer.text
    assert {fault["field"]: fault["code"] for fault in answer.json()["errors"]} == expected
    assert (await cast.sari.get(f"/contracts/{made['id']}")).json() == made


async def test_a_stale_version_and_a_number_that_is_taken_are_refused(cast: Cast) -> None:
    made, other = await create_contract(cast), await create_contract(cast, number="2")
    url = f"/contracts/{made['id']}"
    changed = await cast.sari.patch(url, {"min_outage_s": 60}, headers={"If-Match": f'"{made["version"]}"'})
    assert changed.status_code == 200
    stale = await cast.sari.patch(url, {"min_outage_s": 90}, headers={"If-Match": f'"{made["version"]}"'})
    assert (stale.status_code, stale.json()["current_version"]) == (412, changed.json()["version"])
    taken = await cast.sari.patch(url, {"number": other["number"], "min_outage_s": 90})
    assert (taken.status_code, taken.json()["errors"][0]["field"]) == (409, "number")
    assert (await cast.sari.get(url)).json() == changed.json()


async def test_changed_terms_of_a_future_contract_begin_with_it(cast: Cast) -> None:
    made = await create_contract(cast, valid_from=day(30), valid_to=day(60))
    changed = (await cast.sari.patch(f"/contracts/{made['id']}", {"sla_target_pct": 97})).json()
    assert [(t["started_on"], t["sla_target_pct"]) for t in changed["terms"]] == [(day(30), 97)]
    earlier = (await cast.sari.patch(f"/contracts/{made['id']}", {"valid_from": day(20)})).json()
    assert [t["started_on"] for t in earlier["terms"]] == [day(20)]


async def test_past_days_whose_terms_change_are_counted_again(
    cast: Cast, session: AsyncSession, invalidated: list[DirtyRange]
) -> None:
    made, here = await create_contract(cast), await register(cast)
    since = TODAY - timedelta(days=2)
    await assign_contract(session, here["id"], made["id"], since)
    await cast.sari.patch(f"/contracts/{made['id']}", {"min_outage_s": 60, "effective_from": day(3)})
    assert invalidated == []
    change = {"min_outage_s": 90, "effective_from": since.isoformat(), "reason": "adendum"}
    await cast.sari.patch(f"/contracts/{made['id']}", change)
    (span,) = invalidated
    assert (span.site_id, span.start) == (here["id"], midnight(since))
    assert abs((utc_now() - span.end).total_seconds()) < 60
    invalidated.clear()
    await cast.sari.patch(f"/contracts/{made['id']}", {"valid_to": day(-1), "reason": "putus kontrak"})
    assert [(s.site_id, s.start) for s in invalidated] == [(here["id"], midnight(TODAY - timedelta(days=1)))]


async def test_a_change_of_days_before_today_needs_a_reason_which_is_recorded(
    cast: Cast, session: AsyncSession, invalidated: list[DirtyRange]
) -> None:
    made, here = await create_contract(cast), await register(cast)
    change = {"sla_target_pct": 95, "effective_from": day(-1)}
    await assign_contract(session, here["id"], made["id"], LONG_AGO)
    for without in (change, {"valid_from": day(-300)}, {"valid_to": day(-1)}):
        answer = await cast.sari.patch(f"/contracts/{made['id']}", without)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "reason_needed")
    refused = await cast.sari.patch(f"/contracts/{made['id']}", change)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "reason_needed")
    assert day(-1) in refused.json()["errors"][0]["message"]
    assert (invalidated, (await cast.sari.get(f"/contracts/{made['id']}")).json()) == ([], made)
    allowed = await cast.sari.patch(f"/contracts/{made['id']}", {**change, "reason": "adendum 2"})
    assert (allowed.status_code, len(invalidated)) == (200, 1)
    entry = (await cast.sari.get("/audit", params={"object": "contract"})).json()["items"][0]
    assert (entry["actor"], entry["action"], entry["reason"]) == ("token sari", "change", "adendum 2")
    assert (entry["before"]["sla_target_pct"], len(entry["after"]["terms"])) == (99, 2)
    first, second = allowed.json()["terms"]
    assert first["recorded_at"] == made["terms"][0]["recorded_at"] < second["recorded_at"]
    again = {"sla_target_pct": 90, "effective_from": day(-1), "reason": "adendum 3"}
    rewritten = (await cast.sari.patch(f"/contracts/{made['id']}", again)).json()["terms"]
    assert rewritten[0] == first
    assert rewritten[1]["recorded_at"] > second["recorded_at"]


def test_the_examples_in_the_schema_are_valid() -> None:
    for model in (ContractIn, ContractPatch, ContractOut, ContractCreated, TermsOut, AuditOut):
        for example in model.model_json_schema()["examples"]:
            model.model_validate(example)


def test_terms_are_in_force_from_their_day_until_the_next() -> None:
    first, second = (ContractTerms(started_on=date(2026, month, 1)) for month in (1, 6))
    in_force = [
        dated_terms.in_force([first, second], day) for day in (date(2025, 1, 1), date(2026, 5, 31), date(2026, 6, 1))
    ]
    assert in_force == [first, first, second]
    assert dated_terms.days_in_force([first, second], date(2026, 1, 1), None) == (date(2026, 1, 1), date(2026, 6, 1))
    assert dated_terms.days_in_force([first, second], date(2026, 6, 1), None) == (date(2026, 6, 1), date.max)


async def test_what_terms_leave_out_is_said_in_words_and_what_nobody_gave_is_named(cast: Cast) -> None:
    made = (await cast.sari.post("/contracts", contract(min_outage_s=300))).json()
    assert made["defaulted"] == ["excluded_causes", "excuses_parent", "degraded_counts", "fee_per"]
    assert [said["en"] for said in made["leaves_out"]] == [
        "Outages shorter than 300 s",
        "Outages with cause power",
        "Time under maintenance",
        "Degraded time: it counts as good",
    ]
    assert made["leaves_out"][1]["id"] == "Putus layanan dengan penyebab listrik padam"
    assert made["terms"][0]["leaves_out"] == made["leaves_out"]
    strict = {
        "min_outage_s": 0,
        "excluded_causes": [],
        "excuses_parent": True,
        "degraded_counts": True,
        "service_from": "07:00",
        "service_to": "17:00",
    }
    changed = (await cast.sari.patch(f"/contracts/{made['id']}", {**strict, "effective_from": day(0)})).json()
    assert [said["en"] for said in changed["leaves_out"]] == [
        "Time while a parent node is down",
        "Time outside 07:00-17:00 WITA",
        "Time under maintenance",
    ]
    assert [terms["degraded_counts"] for terms in changed["terms"]] == [False, True]
    assert "defaulted" not in changed


async def test_a_contract_of_another_provider_is_refused_and_its_own_are_suggested(cast: Cast) -> None:
    theirs, own = await create_contract(cast), await create_contract(cast, number="027/9", provider="iconplus")
    refused = await cast.sari.post("/sites", site(contract_id=own["id"]))
    fault = refused.json()["errors"][0]
    assert (refused.status_code, fault["field"], fault["code"]) == (422, "contract_id", "other_provider")
    assert f"{theirs['id']} (027/1123/2026)" in fault["suggestion"]
    unknown = await cast.sari.post("/sites", site(contract_id=999))
    assert unknown.json()["errors"][0]["code"] == "unknown_contract"
    assert (await cast.sari.get("/sites")).json()["items"] == []


async def test_a_site_changes_its_contract_together_with_its_provider(cast: Cast) -> None:
    made, own = await create_contract(cast), await create_contract(cast, number="027/9", provider="iconplus")
    url = f"/sites/{(await register(cast, contract_id=made['id']))['id']}"
    refused = await cast.sari.patch(url, {"provider": "iconplus"})
    assert refused.json()["errors"][0]["code"] == "other_provider"
    assert f"{own['id']} (027/9)" in refused.json()["errors"][0]["suggestion"]
    assert (await cast.sari.get(url)).json()["provider"] == "telkom-wms"
    moved = await cast.sari.patch(url, {"provider": "iconplus", "contract_id": own["id"]})
    assert (moved.status_code, moved.json()["contract_id"]) == (200, own["id"])
    back = await cast.sari.patch(url, {"provider": "telkom-wms", "contract_id": None})
    assert (back.status_code, back.json()["contract_id"]) == (200, None)
