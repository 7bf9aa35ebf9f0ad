"""Sites are put under contracts, moved and taken back over the API, also for days that are over."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts import assignment_faults
from app.contracts.assignment_schemas import (
    SiteAssignmentIn,
    SiteAssignmentOut,
    SiteAssignmentPatch,
    SiteAssignmentsIn,
    SiteAssignmentsOut,
)
from app.core.clock import parse_moment
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from tests.conftest import Cast, Person
from tests.factories import BERAU_VILLAGE, register
from tests.support.contracts import LONG_AGO, TODAY, assign_days, create_contract
from tests.support.monthly_close import AFTERWARDS, CLOSES, MONTH, START, close
from tests.support.site_histories import day as moment
from tests.support.site_histories import site_since


def day(offset: int) -> str:
    return (TODAY + timedelta(days=offset)).isoformat()


async def put(person: Person, contract: dict[str, Any], *sites: dict[str, Any], reason: str | None = "x") -> Any:
    return await person.post(f"/contracts/{contract['id']}/sites", {"sites": list(sites), "reason": reason})


async def assigned(person: Person, contract: dict[str, Any], *sites: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await put(person, contract, *sites)
    assert answer.status_code == 201, answer.text
    return answer.json()["items"]  # type: ignore[no-any-return]


def codes(answer: Any) -> dict[str, str]:
    assert answer.status_code in {409, 422}, answer.text
    return {fault["field"]: fault["code"] for fault in answer.json()["errors"]}


async def listed(person: Person, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = await person.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]  # type: ignore[no-any-return]


@pytest.fixture
def invalidated(monkeypatch: pytest.MonkeyPatch) -> list[DirtyRange]:
    """The ranges that were to be counted again; nothing is."""
    ranges: list[DirtyRange] = []

    async def invalidate(session: AsyncSession, dirty: Sequence[DirtyRange], *, reason: str = "") -> None:
        ranges.extend(dirty)

    monkeypatch.setattr(invalidation, "invalidate", invalidate)
    return ranges


async def test_many_sites_are_put_under_a_contract_by_id_or_code_each_for_its_days(
    cast: Cast, invalidated: list[DirtyRange]
) -> None:
    contract = await create_contract(cast)
    site, other = await register(cast), await register(cast, host="198.51.100.21", link_role="backup")
    first, second = await assigned(
        cast.sari,
        contract,
        {"site": site["id"], "from": day(-9), "to": day(-2)},
        {"site": other["code"], "from": day(3)},
    )
    SiteAssignmentOut.model_validate(first)
    assert (first["site"], first["from"], first["to"], first["link_role"]) == (
        site["code"],
        day(-9),
        day(-2),
        "primary",
    )
    assert (second["site_id"], second["from"], second["to"], second["link_role"]) == (
        other["id"],
        day(3),
        None,
        "backup",
    )
    assert (first["recorded_by"], first["reason"], first["contract"]) == ("token sari", "x", contract["number"])
    assert await listed(cast.ana, f"/contracts/{contract['id']}/sites") == [first, second]
    assert await listed(cast.ana, f"/sites/{site['code']}/contracts") == [first]
    assert (await cast.ana.get(f"/contracts/{contract['id']}/sites/{first['id']}")).json() == first
    assert [dirty.site_id for dirty in invalidated] == [site["id"]]


async def test_a_site_shows_the_contract_that_is_in_force_today(cast: Cast) -> None:
    now, later = await create_contract(cast), await create_contract(cast, number="K-2", valid_to=day(60))
    site = await register(cast)
    url = f"/sites/{site['id']}"
    await assigned(cast.sari, now, {"site": site["id"], "from": day(-3), "to": day(5)})
    await assigned(cast.sari, later, {"site": site["id"], "from": day(5)})
    assert (await cast.sari.get(url)).json()["contract_id"] == now["id"]
    await assigned(cast.sari, later, {"site": site["id"], "from": day(-3), "link_role": "backup"})
    assert (await cast.sari.get(url)).json()["contract_id"] == now["id"], "of two links the primary one's"
    (listed_site,) = await listed(cast.sari, "/sites")
    assert listed_site["contract_id"] == now["id"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"site": 999}, {"sites.1.site": "unknown_site"}),
        ({"site": "64.02.05.2003-77"}, {"sites.1.site": "unknown_site"}),
        ({"from": "1 Oktober"}, {"sites.1.from": "bad_date"}),
        ({"from": None}, {"sites.1.from": "bad_date"}),
        ({"from": day(5), "to": day(5)}, {"sites.1.to": "ends_before_start"}),
        ({"from": day(-300)}, {"sites.1.from": "before_contract"}),
        ({"from": day(100)}, {"sites.1.from": "after_contract"}),
        ({"from": day(50), "to": day(101)}, {"sites.1.to": "after_contract"}),
        ({"link_role": "spare"}, {"sites.1.link_role": "enum"}),
        ({"since": day(5)}, {"sites.1.since": "extra_forbidden"}),
        ({"from": day(5), "to": day(9), "site": None}, {"sites.1.from": "repeated_site"}),
    ],
)
async def test_of_many_rows_a_wrong_one_refuses_all_and_is_named(
    cast: Cast, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    contract = await create_contract(cast, valid_to=day(100))
    site = await register(cast)
    other = await register(cast, host="198.51.100.21")
    if "site" in changes and changes["site"] is None:
        changes = {**changes, "site": site["id"]}
    row = {"site": other["id"], "from": day(1), **changes}
    answer = await put(cast.sari, contract, {"site": site["id"], "from": day(1)}, row)
    assert codes(answer) == expected
    assert await listed(cast.sari, f"/contracts/{contract['id']}/sites") == []


async def test_every_wrong_row_is_told_at_once(cast: Cast) -> None:
    contract = await create_contract(cast)
    node = await register(cast, kind="node")
    answer = await put(
        cast.sari, contract, {"site": 998, "from": day(-3)}, {"site": node["id"], "from": day(-3)}, reason=None
    )
    assert codes(answer) == {
        "sites.0.site": "unknown_site",
        "sites.1.site": "node_contract",
        "reason": "reason_needed",
    }
    assert [fault["row"] for fault in answer.json()["errors"]] == [0, 1, None]


async def test_days_before_today_need_a_reason_which_is_audited_where_the_site_is(cast: Cast) -> None:
    contract, site = await create_contract(cast), await register(cast)
    assert codes(await put(cast.sari, contract, {"site": site["id"], "from": day(-1)}, reason=None)) == {
        "reason": "reason_needed"
    }
    assert (await put(cast.sari, contract, {"site": site["id"], "from": day(0)}, reason=None)).status_code == 201
    other = await register(cast, host="198.51.100.21")
    (made,) = await assigned(cast.sari, contract, {"site": other["id"], "from": day(-1)})
    url = f"/contracts/{contract['id']}/sites/{made['id']}"
    assert codes(await cast.sari.patch(url, {"from": day(2)})) == {"reason": "reason_needed"}
    assert (await cast.sari.patch(url, {"to": day(2)})).status_code == 200
    refused = await cast.sari.delete(url)
    assert codes(refused) == {"reason": "reason_needed"}
    assert (await cast.sari.delete(f"{url}?reason=keliru")).status_code == 204
    entries = await listed(cast.sari, "/audit", object="site_contract", object_id=str(made["id"]), region="64.02.05")
    assert [(e["action"], e["actor"], e["reason"]) for e in entries] == [
        ("withdraw", "token sari", "keliru"),
        ("change", "token sari", None),
        ("create", "token sari", "x"),
    ]
    assert entries[1]["before"]["to"] is None
    assert entries[1]["after"]["to"] == day(2)
    assert await listed(cast.sari, "/audit", object="site_contract", region="64.03") == []


async def test_a_site_is_under_one_contract_a_link_at_a_time(cast: Cast) -> None:
    first, second = await create_contract(cast), await create_contract(cast, number="K-2")
    site = await register(cast)
    (made,) = await assigned(cast.sari, first, {"site": site["id"], "from": day(-9), "to": day(9)})
    answer = await put(cast.sari, second, {"site": site["id"], "from": day(8)})
    assert codes(answer) == {"sites.0.from": "under_contract"}
    (fault,) = answer.json()["errors"]
    assert all(word in fault["message"] for word in (first["number"], day(-9), day(9)))
    assert f"/contracts/{first['id']}/sites/{made['id']}" in fault["suggestion"]
    await assigned(cast.sari, second, {"site": site["id"], "from": day(9)})
    await assigned(cast.sari, second, {"site": site["id"], "from": day(-20), "to": day(-9)})
    url = f"/contracts/{first['id']}/sites/{made['id']}"
    for changes in ({"to": day(10)}, {"to": None}, {"from": day(-10)}):
        assert codes(await cast.sari.patch(url, {**changes, "reason": "x"})) == {"from": "under_contract"}


async def test_days_that_another_writer_took_meanwhile_are_a_conflict(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a writer had not waited for the registry's counter: the database has the last word."""
    first, second = await create_contract(cast), await create_contract(cast, number="K-2")
    site = await register(cast)
    await assigned(cast.sari, first, {"site": site["id"], "from": day(1)})
    monkeypatch.setattr(assignment_faults, "check_overlaps", lambda *_: ())
    answer = await put(cast.sari, second, {"site": site["id"], "from": day(1)})
    assert (answer.status_code, codes(answer)) == (409, {"from": "under_contract"})
    assert await listed(cast.sari, f"/contracts/{second['id']}/sites") == []


async def test_an_assignment_without_an_end_ends_with_its_contract_and_makes_room_for_the_next(cast: Cast) -> None:
    old = await create_contract(cast, valid_to=day(-10))
    new, site = await create_contract(cast, number="K-2", valid_from=day(-10)), await register(cast)
    (first,) = await assigned(cast.sari, old, {"site": site["id"], "from": day(-20)})
    assert (first["to"], first["valid_from"], first["valid_to"]) == (None, day(-20), day(-10))
    (second,) = await assigned(cast.sari, new, {"site": site["id"], "from": day(-10)})
    extended = await cast.sari.patch(f"/contracts/{old['id']}", {"valid_to": day(30), "reason": "adendum"})
    assert extended.status_code == 200
    days = [(row["valid_from"], row["valid_to"]) for row in await listed(cast.sari, f"/sites/{site['id']}/contracts")]
    assert days == [(day(-20), day(-10)), (day(-10), None)], "what went over to the next contract stays there"
    assert second["id"] > first["id"]


async def test_days_on_which_another_contract_is_not_valid_make_room_for_a_move(
    cast: Cast, session: AsyncSession
) -> None:
    first, later = await create_contract(cast), await create_contract(cast, number="K-2", valid_from=day(-10))
    site = await register(cast)
    (made,) = await assigned(cast.sari, first, {"site": site["id"], "from": day(-40), "to": day(-30)})
    await assign_days(session, site["id"], later["id"], TODAY - timedelta(days=30))
    url = f"/contracts/{first['id']}/sites/{made['id']}"
    moved = await cast.sari.patch(url, {"to": day(-10), "reason": "x"})
    assert moved.status_code == 200, moved.text
    days = [(row["from"], row["to"]) for row in await listed(cast.sari, f"/sites/{site['id']}/contracts")]
    assert days == [(day(-40), day(-10)), (day(-10), None)]


async def test_the_contract_must_be_the_providers_of_those_days(cast: Cast, session: AsyncSession) -> None:
    telkom, icon = await create_contract(cast), await create_contract(cast, number="K-2", provider="iconplus")
    site = await site_since(session, cast, moment(20))
    assert (await cast.sari.patch(f"/sites/{site}", {"provider": "iconplus"})).status_code == 200
    async with session.begin():
        changed = {"at": moment(5, 12), "id": site}
        for statement in (
            "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id AND ended_at IS NOT NULL",
            "UPDATE site_configuration SET started_at = :at WHERE site_id = :id AND ended_at IS NULL",
        ):
            await session.execute(text(statement), changed)
    answer = await put(cast.sari, telkom, {"site": site, "from": day(-9)})
    assert codes(answer) == {"sites.0.from": "other_provider"}
    assert all(word in answer.json()["errors"][0]["message"] for word in (day(-5), "iconplus", "telkom-wms"))
    (made,) = await assigned(cast.sari, telkom, {"site": site, "from": day(-9), "to": day(-5)})
    url = f"/contracts/{telkom['id']}/sites/{made['id']}"
    assert codes(await cast.sari.patch(url, {"to": day(-4), "reason": "x"})) == {"from": "other_provider"}
    assert codes(await put(cast.sari, icon, {"site": site, "from": day(-6), "link_role": "backup"})) == {
        "sites.0.from": "other_provider"
    }
    await assigned(cast.sari, icon, {"site": site, "from": day(-5)})


async def test_a_withdrawn_assignment_never_was_and_stays_to_be_read(cast: Cast) -> None:
    contract, site = await create_contract(cast), await register(cast)
    (made,) = await assigned(cast.sari, contract, {"site": site["id"], "from": day(-3)})
    url = f"/contracts/{contract['id']}/sites/{made['id']}"
    assert (await cast.sari.delete(f"{url}?reason=keliru")).status_code == 204
    first = (await cast.sari.get(url)).json()
    assert first["withdrawn_at"] is not None
    assert (await cast.sari.delete(f"{url}?reason=keliru")).status_code == 204
    assert (await cast.sari.get(url)).json() == first
    assert (await cast.sari.get(f"/sites/{site['id']}")).json()["contract_id"] is None
    assert await listed(cast.sari, f"/contracts/{contract['id']}/sites") == []
    assert await listed(cast.sari, f"/contracts/{contract['id']}/sites", withdrawn="true") == [first]
    assert codes(await cast.sari.patch(url, {"to": day(9), "reason": "x"})) == {"id": "withdrawn"}
    await assigned(cast.sari, contract, {"site": site["id"], "from": day(-3)})


async def test_a_stale_version_and_a_repeated_request_change_nothing(cast: Cast) -> None:
    contract, site = await create_contract(cast), await register(cast)
    body = {"sites": [{"site": site["id"], "from": day(1)}]}
    headers = {"Idempotency-Key": "one"}
    first = await cast.sari.post(f"/contracts/{contract['id']}/sites", body, headers=headers)
    again = await cast.sari.post(f"/contracts/{contract['id']}/sites", body, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    (made,) = first.json()["items"]
    url = f"/contracts/{contract['id']}/sites/{made['id']}"
    seen = await cast.sari.get(url)
    assert seen.headers["etag"] == f'"{made["version"]}"'
    changed = await cast.sari.patch(url, {"to": day(9)}, headers={"If-Match": seen.headers["etag"]})
    assert changed.headers["etag"] == f'"{changed.json()["version"]}"'
    stale = await cast.sari.patch(url, {"to": day(8)}, headers={"If-Match": seen.headers["etag"]})
    assert (stale.status_code, stale.json()["current_version"]) == (412, changed.json()["version"])
    assert (await cast.sari.patch(url, {"to": day(9)})).json() == changed.json()
    assert changed.json()["changed_at"] > changed.json()["recorded_at"]
    assert (seen.json()["changed_by"], changed.json()["changed_by"]) == (None, "token sari")


async def test_only_the_province_assigns_and_everybody_reads_within_their_scope(cast: Cast) -> None:
    contract = await create_contract(cast)
    own = await create_contract(cast, number="K-2", provider="iconplus")
    here, there = await register(cast), await register(cast, host="198.51.100.21", village_code=BERAU_VILLAGE)
    icons = await register(cast, host="198.51.100.22", provider="iconplus")
    first, second = await assigned(
        cast.sari, contract, {"site": here["id"], "from": day(-2)}, {"site": there["id"], "from": day(-1)}
    )
    (third,) = await assigned(cast.sari, own, {"site": icons["id"], "from": day(0)})
    sites, url = f"/contracts/{contract['id']}/sites", f"/contracts/{contract['id']}/sites/{first['id']}"
    assert await listed(cast.sari, sites) == [first, second]
    assert await listed(cast.sari, sites, region="64.03") == [second]
    assert await listed(cast.ana, sites) == [first]
    assert await listed(cast.ben, sites) == [second]
    assert (await cast.ben.get(sites, params={"region": "64.02"})).status_code == 403
    assert (await cast.ben.get(url)).status_code == 404
    assert (await cast.icon.get(sites)).status_code == (await cast.icon.get(url)).status_code == 404
    nameless = {**third, "recorded_by": None}
    assert await listed(cast.icon, f"/contracts/{own['id']}/sites") == [nameless]
    assert (await cast.icon.get(f"/contracts/{own['id']}/sites/{third['id']}")).json() == nameless
    assert (await cast.icon.get(f"/sites/{here['id']}/contracts")).status_code == 404
    for person in (cast.ana, cast.vera, cast.icon):
        assert (await put(person, own, {"site": here["id"], "from": day(3)})).status_code == 403
        assert (await person.patch(url, {"to": day(3)})).status_code == 403
        assert (await person.delete(url)).status_code == 403
    assert (await cast.stranger.get(sites)).status_code == 401


async def test_a_provider_reads_the_days_of_a_site_under_its_own_contracts_only(
    cast: Cast, session: AsyncSession
) -> None:
    telkom, icon = await create_contract(cast), await create_contract(cast, number="K-2", provider="iconplus")
    site = (await register(cast, provider="iconplus"))["id"]
    await assign_days(session, site, telkom["id"], LONG_AGO, TODAY)
    (own,) = await assigned(cast.sari, icon, {"site": site, "from": day(0)})
    assert await listed(cast.icon, f"/sites/{site}/contracts") == [{**own, "recorded_by": None}]
    assert len(await listed(cast.sari, f"/sites/{site}/contracts")) == 2


async def test_assignments_are_paged(cast: Cast) -> None:
    contract, site = await create_contract(cast), await register(cast)
    made = [
        (await assigned(cast.sari, contract, {"site": site["id"], "from": day(n), "to": day(n + 1)}))[0]
        for n in (8, 2, 5)
    ]
    for path in (f"/contracts/{contract['id']}/sites", f"/sites/{site['id']}/contracts"):
        first = (await cast.sari.get(path, params={"limit": 2})).json()
        rest = (await cast.sari.get(path, params={"limit": 2, "cursor": first["next_cursor"]})).json()
        assert first["items"] + rest["items"] == [made[1], made[2], made[0]]
        assert rest["next_cursor"] is None


async def test_a_move_has_the_days_counted_again_that_it_adds_or_takes(
    cast: Cast, invalidated: list[DirtyRange]
) -> None:
    contract, site = await create_contract(cast), await register(cast)
    (made,) = await assigned(cast.sari, contract, {"site": site["id"], "from": day(-20), "to": day(-10)})
    invalidated.clear()
    url = f"/contracts/{contract['id']}/sites/{made['id']}"
    moved = await cast.sari.patch(url, {"from": day(-22), "to": day(-12), "reason": "adendum"})
    assert moved.status_code == 200, moved.text
    assert [(dirty.start, dirty.end) for dirty in invalidated] == [
        (moment(22), moment(20)),
        (moment(12), moment(10)),
    ]


async def close_month(session: AsyncSession) -> list[Any]:
    """What is closed of MONTH, and its corrections; the months after it are due by now, too."""
    rows = await close(session, CLOSES)
    return [row for row in rows if parse_moment(row[2]["start"]) == START]


async def test_a_site_put_under_a_contract_back_in_time_corrects_a_closed_month_and_recounts_others(
    cast: Cast, session: AsyncSession
) -> None:
    contract = await create_contract(cast, valid_from=MONTH.isoformat(), sla_target_pct=99.5)
    outage = START + timedelta(days=9)
    site = await site_since(session, cast, START, (outage, "down"), (outage + timedelta(hours=8), "up"), AFTERWARDS)
    await assign_days(session, site, contract["id"], MONTH, MONTH + timedelta(days=5))
    ((_, _, closed),) = await close(session, CLOSES)
    assert closed["sla_verdict"] == "met"
    (row,) = await listed(cast.sari, f"/contracts/{contract['id']}/sites")
    url = f"/contracts/{contract['id']}/sites/{row['id']}"
    assert (await cast.sari.patch(url, {"to": None, "reason": "adendum 2"})).status_code == 200
    (_, _, still), (_, reason, corrected) = await close_month(session)
    assert (reason, corrected["sla_verdict"]) == ("adendum 2", "missed")
    assert still == closed


async def test_a_site_that_was_under_no_contract_when_its_month_was_due_is_corrected_not_closed_afresh(
    cast: Cast, session: AsyncSession
) -> None:
    outage = START + timedelta(days=9)
    site = await site_since(session, cast, START, (outage, "down"), (outage + timedelta(hours=8), "up"), AFTERWARDS)
    assert await close(session, CLOSES) == []
    contract = await create_contract(cast, valid_from=MONTH.isoformat(), sla_target_pct=99.5)
    await assigned(cast.sari, contract, {"site": str(site), "from": MONTH.isoformat()})
    (_, _, closed), (_, reason, corrected) = await close_month(session)
    assert (closed["contract"], closed["seconds"]) == (None, corrected["seconds"])
    assert (reason, corrected["contract"]["verdict"]) == ("x", "missed")


async def test_a_contract_that_is_extended_over_a_month_that_was_due_corrects_it(
    cast: Cast, session: AsyncSession
) -> None:
    contract = await create_contract(cast, valid_from=LONG_AGO.isoformat(), valid_to=MONTH.isoformat())
    site = await site_since(session, cast, START - timedelta(days=3), AFTERWARDS)
    await assigned(cast.sari, contract, {"site": str(site), "from": (MONTH - timedelta(days=2)).isoformat()})
    change = {"valid_to": None, "reason": "adendum 3"}
    assert (await cast.sari.patch(f"/contracts/{contract['id']}", change)).status_code == 200
    (_, _, closed), (_, reason, corrected) = await close_month(session)
    assert (closed["contract"], reason, corrected["sla_verdict"]) == (None, "adendum 3", "met")


def test_the_examples_in_the_schema_are_valid() -> None:
    for model in (SiteAssignmentIn, SiteAssignmentsIn, SiteAssignmentPatch, SiteAssignmentOut, SiteAssignmentsOut):
        for example in model.model_json_schema()["examples"]:
            model.model_validate(example)
