"""Restitution rules as dated terms of contracts, and fees of a site's own, over the API."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.restitution_rule import EXAMPLE
from tests.conftest import Cast
from tests.factories import register
from tests.support.contracts import LONG_AGO, TODAY, assign_contract, contract, create_contract

RULE = {"kind": "proportional", "cap_pct": 50}
BAND = {"below_pct": 99, "share_pct": 1}


async def test_a_rule_is_a_dated_term_with_its_words_and_its_example(cast: Cast) -> None:
    made = await create_contract(cast, monthly_fee_idr=4_500_000, fee_per="site", restitution=RULE)
    assert made["restitution"]["cap_pct"] == 50
    assert made["restitution"]["unknown"] == "unproven"
    assert [said["en"] for said in made["paid_back"]] == [
        "Fee a month: Rp 4,500,000 for each site",
        "Restitution: fee × seconds counted as down ÷ service seconds",
        "Restitution of at most 50% of the fee",
        "Unknown time: only what is proven is claimed",
    ]
    assert "Rp 4.500.000 × 36.000 detik ÷ 2.592.000 detik = Rp 62.500" in made["restitution_example"]["id"]
    later = (TODAY + timedelta(days=9)).isoformat()
    change = {"restitution": EXAMPLE, "min_coverage_pct": 90.5, "effective_from": later}
    changed = (await cast.sari.patch(f"/contracts/{made['id']}", change)).json()
    assert changed["restitution"] == made["restitution"], "in force today"
    assert [each["restitution"]["kind"] for each in changed["terms"]] == ["proportional", "banded"]
    assert changed["terms"][1]["restitution"]["bands"] == EXAMPLE["bands"]
    assert changed["terms"][1]["min_coverage_pct"] == 90.5
    same = await cast.sari.patch(
        f"/contracts/{made['id']}", change | {"restitution": changed["terms"][1]["restitution"]}
    )
    assert same.json() == changed, "what an answer shows, sent back, changes nothing"
    none = {"restitution": None, "effective_from": later}
    assert (await cast.sari.patch(f"/contracts/{made['id']}", none)).json()["terms"][1]["restitution"] is None


async def test_without_a_rule_nothing_is_computed_and_the_contract_says_so(cast: Cast) -> None:
    made = await create_contract(cast)
    assert (made["restitution"], made["restitution_example"], made["fee_per"]) == (None, None, "contract")
    assert [said["en"] for said in made["paid_back"]] == ["No restitution rule: nothing is computed"]


async def test_a_rule_of_the_past_needs_a_reason_which_is_recorded(cast: Cast) -> None:
    made = await create_contract(cast, restitution=RULE)
    change = {"restitution": RULE | {"cap_pct": 1}, "effective_from": LONG_AGO.isoformat()}
    refused = await cast.sari.patch(f"/contracts/{made['id']}", change)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "reason_needed")
    allowed = await cast.sari.patch(f"/contracts/{made['id']}", change | {"reason": "Adendum 3"})
    assert allowed.json()["restitution"]["cap_pct"] == 1
    entry = (await cast.sari.get("/audit", params={"object": "contract"})).json()["items"][0]
    assert (entry["reason"], entry["before"]["restitution"]["cap_pct"]) == ("Adendum 3", 50)
    assert entry["after"]["restitution"]["cap_pct"] == 1


@pytest.mark.parametrize(
    ("rule", "field", "code"),
    [
        ({}, "kind", "missing"),
        ({"kind": "lottery"}, "kind", "enum"),
        ({"kind": "proportional", "rate": 2}, "rate", "extra_forbidden"),
        ({"kind": "proportional", "cap_pct": 100.001}, "cap_pct", "less_than_equal"),
        ({"kind": "proportional", "divisor_pct": 0.1}, "divisor_pct", "greater_than_equal"),
        ({"kind": "cliff"}, "below_pct", "missing"),
        ({"kind": "cliff", "below_pct": -5}, "below_pct", "greater_than_equal"),
        ({"kind": "cliff", "below_pct": 99.9999}, "below_pct", "decimal_max_places"),
        ({"kind": "cliff", "below_pct": "NaN"}, "below_pct", "finite_number"),
        ({"kind": "cliff", "below_pct": "1e999999999"}, "below_pct", "less_than_equal"),
        ({"kind": "cliff", "below_pct": "sembilan"}, "below_pct", "decimal_parsing"),
        ({"kind": "cliff", "below_pct": True}, "below_pct", "decimal_type"),
        ({"kind": "banded", "bands": {}}, "bands", "tuple_type"),
        ({"kind": "banded", "bands": []}, "bands", "missing"),
        ({"kind": "banded", "bands": [BAND] * 13}, "bands", "too_long"),
        ({"kind": "banded", "bands": [BAND | {"share_pct": 120}]}, "bands.0.share_pct", "less_than_equal"),
        ({"kind": "banded", "bands": [BAND, {"below_pct": 100, "share_pct": 9}]}, "bands.1.below_pct", "bands_overlap"),
        ({"kind": "per_incident", "after_s": 604_801, "per_hour_pct": 1}, "after_s", "less_than_equal"),
        ({"kind": "per_incident", "after_s": 0, "per_hour_idr": 10**15 + 1}, "per_hour_idr", "less_than_equal"),
    ],
)
async def test_a_rule_that_cannot_be_is_refused_by_field(
    cast: Cast, rule: dict[str, Any], field: str, code: str
) -> None:
    answer = await cast.sari.post("/contracts", contract(restitution=rule))
    assert answer.status_code == 422, answer.text
    assert {fault["field"]: fault["code"] for fault in answer.json()["errors"]} == {f"restitution.{field}": code}


async def test_whose_the_fee_is_and_the_least_coverage_are_refused_beside_the_rule(cast: Cast) -> None:
    wrong = contract(restitution="proportional", fee_per="village", min_coverage_pct=0)
    faults = (await cast.sari.post("/contracts", wrong)).json()["errors"]
    assert {fault["field"]: fault["code"] for fault in faults} == {
        "restitution": "model_attributes_type",
        "fee_per": "enum",
        "min_coverage_pct": "greater_than_equal",
    }
    made = await create_contract(cast)
    emptied = await cast.sari.patch(f"/contracts/{made['id']}", {"fee_per": None})
    assert emptied.json()["errors"][0]["code"] == "null"


async def test_a_site_has_a_fee_of_its_own_under_a_contract_and_a_change_of_it_needs_a_reason(cast: Cast) -> None:
    made, here = await create_contract(cast), await register(cast)
    url = f"/contracts/{made['id']}/sites"
    put = {"sites": [{"site": here["code"], "from": TODAY.isoformat(), "monthly_fee_idr": 650_000}]}
    (row,) = (await cast.sari.post(url, put)).json()["items"]
    assert row["monthly_fee_idr"] == 650_000
    future = (await cast.sari.patch(f"{url}/{row['id']}", {"monthly_fee_idr": 700_000})).json()
    assert (future["monthly_fee_idr"], future["from"]) == (700_000, row["from"])
    assert future["version"] > row["version"]
    unchanged = (await cast.sari.patch(f"{url}/{row['id']}", {"monthly_fee_idr": 700_000})).json()
    assert unchanged["version"] == future["version"]
    back = {"from": TODAY.isoformat(), "monthly_fee_idr": None}
    assert (await cast.sari.patch(f"{url}/{row['id']}", back)).json()["monthly_fee_idr"] is None
    wrong = await cast.sari.patch(f"{url}/{row['id']}", {"monthly_fee_idr": -1})
    assert wrong.json()["errors"][0]["code"] == "greater_than_equal"


async def test_a_sites_own_fee_of_days_that_are_over_changes_with_a_reason_only(
    cast: Cast, session: AsyncSession
) -> None:
    made, here = await create_contract(cast), await register(cast)
    await assign_contract(session, here["id"], made["id"], LONG_AGO)
    (row,) = (await cast.sari.get(f"/contracts/{made['id']}/sites")).json()["items"]
    url = f"/contracts/{made['id']}/sites/{row['id']}"
    refused = await cast.sari.patch(url, {"monthly_fee_idr": 1})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "reason_needed")
    allowed = await cast.sari.patch(url, {"monthly_fee_idr": 1, "reason": "Harga menurut lampiran 2"})
    assert allowed.json()["monthly_fee_idr"] == 1
    entry = (await cast.sari.get("/audit", params={"object": "site_contract"})).json()["items"][0]
    assert (entry["before"]["monthly_fee_idr"], entry["after"]["monthly_fee_idr"]) == (None, 1)
