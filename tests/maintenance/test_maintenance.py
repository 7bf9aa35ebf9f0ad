"""Maintenance windows: planned within the caller's scope, overlaps counted once, cancelled ones kept."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import maintenance_overlay, retroactive_changes
from app.availability.maintenance_overlay import RunningMaintenance
from app.core.clock import floor_second, utc_now
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from app.maintenance.schemas import WindowIn, WindowOut, WindowPatch
from tests.conftest import Cast, Person
from tests.factories import BERAU_VILLAGE, register
from tests.support.incident_scenario import IncidentScenario

NOW = floor_second(utc_now())
HOUR = timedelta(hours=1)


def at(hours: float) -> str:
    return (NOW + hours * HOUR).isoformat()


def window(start: float = 24, end: float = 26, **changes: Any) -> dict[str, Any]:
    return {"started_at": at(start), "ended_at": at(end), "title": "Ganti kabel", **changes}


async def plan(person: Person, start: float = 24, end: float = 26, **changes: Any) -> dict[str, Any]:
    late = {"reason": "baru dilaporkan"} if start < 0 else {}
    answer = await person.post("/maintenance", window(start, end, **late | changes))
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def faults(person: Person, **changes: Any) -> dict[str, str]:
    answer = await person.post("/maintenance", window(**{"region": "64.02"} | changes))
    assert answer.status_code == 422, answer.text
    return {fault["field"]: fault["code"] for fault in answer.json()["errors"]}


async def ids(person: Person, **params: Any) -> list[int]:
    answer = await person.get("/maintenance", params=params)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


@pytest.fixture
def invalidated(monkeypatch: pytest.MonkeyPatch) -> list[DirtyRange]:
    """The ranges that were to be counted again; nothing is."""
    ranges: list[DirtyRange] = []

    async def invalidate(session: AsyncSession, dirty: Sequence[DirtyRange], *, reason: str = "") -> None:
        ranges.extend(dirty)

    monkeypatch.setattr(invalidation, "invalidate", invalidate)
    return ranges


async def registered_long_ago(session: AsyncSession) -> None:
    async with session.begin():
        await session.execute(text("UPDATE site_configuration SET started_at = started_at - interval '300 days'"))


async def test_a_window_is_planned_for_a_site_a_region_a_provider_or_a_providers_region(cast: Cast) -> None:
    here = await register(cast)
    await register(cast, host="198.51.100.21", provider="iconplus")
    await register(cast, host="198.51.100.22", village_code=BERAU_VILLAGE)
    by_id, by_code = await plan(cast.ana, site=here["id"]), await plan(cast.ana, 25, site=here["code"])
    assert by_id["site_id"] == by_code["site_id"] == here["id"]
    assert (by_id["site"], by_id["sites"], by_id["region"], by_id["provider"]) == (here["code"], 1, None, None)
    district = await plan(cast.ana, region="64.02")
    assert (district["region_name"], district["sites"]) == ("Kabupaten Kutai Kartanegara", 2)
    assert (await plan(cast.sari, provider="telkom-wms"))["sites"] == 2
    both = await plan(cast.ana, region="64.02", provider="telkom-wms")
    assert (both["sites"], both["status"], both["created_by"], both["duration_s"]) == (1, "planned", "token ana", 7200)
    WindowOut.model_validate(both)
    assert (await cast.ana.get(f"/maintenance/{both['id']}")).json() == both


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"start": 3, "end": 2}, {"ended_at": "ends_before_start"}),
        ({"start": 3, "end": 3}, {"ended_at": "ends_before_start"}),
        ({"end": 24.0001}, {"ended_at": "ends_before_start"}),
        ({"end": 24 + 24 * 31 + 1}, {"ended_at": "too_long_window"}),
        ({"start": 24 * 367, "end": 24 * 367 + 1}, {"started_at": "too_far"}),
        ({"started_at": "2026-11-24T06:00:00"}, {"started_at": "naive_time"}),
        ({"started_at": "tomorrow", "ended_at": None}, {"started_at": "bad_time", "ended_at": "bad_time"}),
        ({"ended_at": "9999-12-31T23:59:59-12:00"}, {"ended_at": "bad_time"}),
        ({"title": ""}, {"title": "string_too_short"}),
        ({"title": "a\0b"}, {"title": "nul"}),
        ({"region": None}, {"site": "no_scope"}),
        ({"site": "1"}, {"site": "two_scopes"}),
        ({"region": "6402"}, {"region": "unknown_region"}),
        ({"provider": "telkom_wms"}, {"provider": "unknown_provider"}),
        ({"region": None, "site": 999}, {"site": "unknown_site"}),
        ({"region": None, "site": "64.02.05.2003-77"}, {"site": "unknown_site"}),
        ({"region": None, "site": True}, {"site": "string_type"}),
        (
            {"region": "6402", "provider": "x", "start": 3, "end": 2},
            {"region": "unknown_region", "provider": "unknown_provider", "ended_at": "ends_before_start"},
        ),
        ({"reasn": "x"}, {"reasn": "extra_forbidden"}),
    ],
)
async def test_an_invalid_window_gets_a_fault_for_each_field(
    cast: Cast, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    assert await faults(cast.sari, **changes) == expected
    assert await ids(cast.sari) == []


async def test_nobody_plans_beyond_their_scope(cast: Cast) -> None:
    here = await register(cast)
    assert (await cast.ben.post("/maintenance", window(region="64.02"))).status_code == 403
    assert (await cast.ana.post("/maintenance", window(region="64"))).status_code == 403
    whole = await cast.ana.post("/maintenance", window(provider="telkom-wms"))
    assert whole.status_code == 403
    assert "64.02" in whole.json()["detail"]
    assert await faults(cast.ben, region=None, site=here["id"]) == {"site": "unknown_site"}
    for reader in (cast.vera, cast.icon):
        assert (await reader.post("/maintenance", window(region="64.02"))).status_code == 403
    assert (await cast.stranger.post("/maintenance", window(region="64.02"))).status_code == 401
    assert await ids(cast.sari) == []


async def test_callers_see_the_windows_that_overlap_their_scope(cast: Cast) -> None:
    site = await register(cast)
    own = await register(cast, host="198.51.100.21", provider="iconplus")
    on_site, on_own = await plan(cast.ana, site=site["id"]), await plan(cast.ana, site=own["id"])
    subdistrict, province = await plan(cast.ana, region="64.02.05"), await plan(cast.sari, region="64")
    telkom, iconplus = await plan(cast.sari, provider="telkom-wms"), await plan(cast.sari, provider="iconplus")
    everything = [w["id"] for w in (on_site, on_own, subdistrict, province, telkom, iconplus)]
    assert await ids(cast.sari) == await ids(cast.vera) == await ids(cast.ana) == everything
    assert await ids(cast.ben) == [province["id"], telkom["id"], iconplus["id"]]
    assert await ids(cast.icon) == [on_own["id"], subdistrict["id"], province["id"], iconplus["id"]]
    for person, hidden in ((cast.ben, on_site), (cast.ben, subdistrict), (cast.icon, on_site), (cast.icon, telkom)):
        assert (await person.get(f"/maintenance/{hidden['id']}")).status_code == 404
        for answer in (
            await person.patch(f"/maintenance/{hidden['id']}", {"title": "x"}),
            await person.delete(f"/maintenance/{hidden['id']}"),
        ):
            assert answer.status_code == (403 if person is cast.icon else 404)
    assert (await cast.ben.patch(f"/maintenance/{province['id']}", {"title": "x"})).status_code == 403
    assert (await cast.ana.delete(f"/maintenance/{telkom['id']}")).status_code == 403
    assert (await cast.vera.delete(f"/maintenance/{on_site['id']}")).status_code == 403
    seen = (await cast.icon.get(f"/maintenance/{province['id']}")).json()
    assert seen["sites"] == 1
    assert (province["created_by"], seen["created_by"]) == ("token sari", None)
    assert (await cast.sari.delete(f"/maintenance/{province['id']}")).status_code == 204
    cancelled = [(await who.get(f"/maintenance/{province['id']}")).json() for who in (cast.ana, cast.icon)]
    assert [one["cancelled_by"] for one in cancelled] == ["token sari", None]
    for ident in ("0", "x", "9" * 30):
        assert (await cast.sari.get(f"/maintenance/{ident}")).status_code == 404


async def test_windows_are_filtered_by_period_status_and_scope(cast: Cast) -> None:
    site, other = await register(cast), await register(cast, host="198.51.100.21", provider="iconplus")
    gone = await plan(cast.sari, -5, -4, site=site["id"])
    running = await plan(cast.sari, -1, 1, region="64.02.05")
    planned = await plan(cast.sari, 30, 31, provider="iconplus")
    far = await plan(cast.sari, 24 * 100, 24 * 100 + 1, region="64.03")
    cancelled = await plan(cast.sari, 5, 6, region="64.03.01")
    await cast.sari.delete(f"/maintenance/{cancelled['id']}")
    assert await ids(cast.sari) == [w["id"] for w in (gone, running, cancelled, planned)]
    assert await ids(cast.sari, **{"from": at(20), "to": at(24 * 120)}) == [planned["id"], far["id"]]
    assert await ids(cast.sari, **{"from": at(24 * 99)}) == [far["id"]]
    assert await ids(cast.sari, to=at(-4.5)) == [gone["id"]]
    assert await ids(cast.sari, period="24h") == [gone["id"], running["id"]]
    month = (NOW + 24 * 100 * HOUR + 8 * HOUR).strftime("%Y-%m")
    assert far["id"] in await ids(cast.sari, period=month)
    for status, expected in (("past", gone), ("running", running), ("planned", planned), ("cancelled", cancelled)):
        assert await ids(cast.sari, status=status) == [expected["id"]]
        assert (await cast.sari.get(f"/maintenance/{expected['id']}")).json()["status"] == status
    assert await ids(cast.sari, region="64.02") == await ids(cast.sari, region=site["village_code"])
    assert await ids(cast.sari, region="64.02") == [gone["id"], running["id"], planned["id"]]
    assert await ids(cast.sari, site=other["code"]) == [running["id"], planned["id"]]
    assert await ids(cast.sari, provider="telkom-wms") == [gone["id"]]


@pytest.mark.parametrize(
    "params",
    [
        {"status": "done"},
        {"region": "6402"},
        {"site": "999"},
        {"provider": "nobody"},
        {"from": "yesterday"},
        {"from": "2026-11-24T06:00:00"},
        {"period": "2026-13"},
        {"period": "7d", "to": at(1)},
        {"from": at(2), "to": at(1)},
        {"from": "9999-01-01"},
        {"cursor": "%%"},
        {"until": "x"},
    ],
)
async def test_invalid_filters_are_refused(cast: Cast, params: dict[str, str]) -> None:
    assert (await cast.sari.get("/maintenance", params=params)).status_code == 422
    assert (await cast.ben.get("/maintenance", params={"region": "64.02"})).status_code == 403


async def test_windows_are_paged_by_their_start(cast: Cast) -> None:
    made = [(await plan(cast.sari, start, start + 1, region="64.02"))["id"] for start in (9, 3, 6)]
    first = (await cast.sari.get("/maintenance", params={"limit": 2})).json()
    rest = (await cast.sari.get("/maintenance", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    seen = [item["id"] for item in first["items"] + rest["items"]]
    assert (seen, rest["next_cursor"]) == ([made[1], made[2], made[0]], None)


async def test_the_same_window_twice_is_a_conflict_and_windows_may_overlap(cast: Cast) -> None:
    first = await plan(cast.sari, 3, 5, region="64.02")
    again = await cast.ana.post("/maintenance", window(3, 5, region="64.02", title="other"))
    assert (again.status_code, again.json()["errors"][0]["code"]) == (409, "duplicate_window")
    assert str(first["id"]) in again.json()["errors"][0]["message"]
    second = await plan(cast.sari, 4, 6, region="64.02")
    moved = await cast.ana.patch(f"/maintenance/{second['id']}", {"started_at": at(3), "ended_at": at(5)})
    assert moved.status_code == 409
    assert (await cast.sari.get(f"/maintenance/{second['id']}")).json() == second
    await cast.ana.delete(f"/maintenance/{first['id']}")
    await plan(cast.ana, 3, 5, region="64.02")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ended_at": at(20)}, {"ended_at": "ends_before_start"}),
        ({"ended_at": at(24 * 60)}, {"ended_at": "too_long_window"}),
        ({"started_at": None}, {"started_at": "null"}),
        ({"title": None}, {"title": "null"}),
        ({"started_at": "2026-11-24T06:00:00"}, {"started_at": "naive_time"}),
        ({"region": "64.03"}, {"region": "scope_stays"}),
        ({"site": None}, {"site": "scope_stays"}),
        ({"cancelled_at": at(1)}, {"cancelled_at": "extra_forbidden"}),
    ],
)
async def test_an_invalid_change_of_a_window_is_refused_as_a_whole(
    cast: Cast, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    made = await plan(cast.ana, region="64.02")
    answer = await cast.ana.patch(f"/maintenance/{made['id']}", {"reason": "x", **changes})
    assert answer.status_code == 422, answer.text
    assert {fault["field"]: fault["code"] for fault in answer.json()["errors"]} == expected
    assert (await cast.ana.get(f"/maintenance/{made['id']}")).json() == made


async def test_only_given_fields_change_and_a_stale_version_is_refused(cast: Cast) -> None:
    made = await plan(cast.ana, region="64.02")
    url = f"/maintenance/{made['id']}"
    changed = (await cast.ana.patch(url, {"title": "Tiang"}, headers={"If-Match": str(made["version"])})).json()
    assert (changed["title"], changed["started_at"]) == ("Tiang", made["started_at"])
    stale = await cast.ana.patch(url, {"title": "x"}, headers={"If-Match": f'"{made["version"]}"'})
    assert (stale.status_code, stale.json()["current_version"]) == (412, changed["version"])
    assert (await cast.ana.patch(url, {"title": "Tiang"})).json() == changed


async def test_cancelling_is_idempotent_and_the_row_is_kept(cast: Cast) -> None:
    made = await plan(cast.ana, region="64.02")
    url = f"/maintenance/{made['id']}"
    assert (await cast.ana.delete(url)).status_code == 204
    first = (await cast.ana.get(url)).json()
    assert (first["status"], first["cancelled_by"]) == ("cancelled", "token ana")
    assert (await cast.sari.delete(url)).status_code == 204
    assert (await cast.ana.get(url)).json() == first
    late = await cast.ana.patch(url, {"title": "x"})
    assert (late.status_code, late.json()["errors"][0]["code"]) == (409, "cancelled")


async def test_past_seconds_are_counted_again_and_future_ones_are_not(
    cast: Cast, session: AsyncSession, invalidated: list[DirtyRange]
) -> None:
    here = await register(cast)
    await register(cast, host="198.51.100.21", village_code=BERAU_VILLAGE)
    await registered_long_ago(session)
    planned = await plan(cast.ana, 2, 4, region="64.02")
    await cast.ana.patch(f"/maintenance/{planned['id']}", {"ended_at": at(5)})
    assert invalidated == []
    made = await plan(cast.ana, -6, -4, region="64.02")
    assert invalidated == [DirtyRange(here["id"], NOW - 6 * HOUR, NOW - 4 * HOUR)]
    invalidated.clear()
    moved = {"started_at": at(-7), "ended_at": at(-5), "reason": "x"}
    await cast.ana.patch(f"/maintenance/{made['id']}", moved)
    assert [(s.start, s.end) for s in invalidated] == [
        (NOW - 7 * HOUR, NOW - 6 * HOUR),
        (NOW - 5 * HOUR, NOW - 4 * HOUR),
    ]
    invalidated.clear()
    await cast.ana.patch(f"/maintenance/{made['id']}", {"title": "Tiang"})
    assert invalidated == []
    await cast.ana.delete(f"/maintenance/{made['id']}?reason=x")
    assert invalidated == [DirtyRange(here["id"], NOW - 7 * HOUR, NOW - 5 * HOUR)]


async def test_changes_of_the_past_need_a_reason_and_are_audited(
    cast: Cast, session: AsyncSession, invalidated: list[DirtyRange]
) -> None:
    await register(cast)
    await registered_long_ago(session)
    assert await faults(cast.ana, start=-2, end=3) == {"reason": "reason_needed"}
    assert (invalidated, await ids(cast.sari, **{"from": at(-3)})) == ([], [])
    made = await plan(cast.ana, -2, 3, region="64.02", reason="laporan terlambat")
    url = f"/maintenance/{made['id']}"
    for changes in ({"ended_at": at(-1)}, {"started_at": at(-3)}, {"started_at": at(1)}):
        answer = await cast.ana.patch(url, changes)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "reason_needed")
    for harmless in ({"title": "Tiang"}, {"ended_at": at(4)}, {"ended_at": utc_now().isoformat()}):
        assert (await cast.ana.patch(url, harmless)).status_code == 200
    refused = await cast.ana.delete(url)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "reason")
    assert (await cast.ana.get(url)).json()["status"] == "past"
    assert (await cast.ana.delete(f"{url}?reason=salah%20tanggal")).status_code == 204
    entries = (await cast.sari.get("/audit", params={"object": "maintenance"})).json()["items"]
    assert [(e["action"], e["actor"], e["reason"], e["region_code"]) for e in entries] == [
        ("cancel", "token ana", "salah tanggal", "64.02"),
        *[("change", "token ana", None, "64.02")] * 3,
        ("create", "token ana", "laporan terlambat", "64.02"),
    ]


async def test_a_window_that_was_announced_late_says_so_and_a_later_move_hides_nothing(
    cast: Cast, session: AsyncSession
) -> None:
    await register(cast)
    late, ahead = await plan(cast.ana, -2, 3, region="64.02"), await plan(cast.ana, 2, 4, region="64.02")
    just_now = await plan(cast.ana, 0, 1, region="64.02.05", started_at=utc_now().isoformat())
    assert [w["announced_late"] for w in (late, ahead, just_now)] == [True, False, False]
    url = f"/maintenance/{ahead['id']}"
    sooner = (await cast.ana.patch(url, {"started_at": at(1)})).json()
    assert (sooner["announced_late"], sooner["announced_at"]) == (False, ahead["announced_at"])
    back = (await cast.ana.patch(url, {"started_at": at(-5), "ended_at": at(-4), "reason": "x"})).json()
    assert back["announced_late"]
    assert back["announced_at"] > back["created_at"]
    listed = (await cast.ana.get("/maintenance")).json()["items"]
    assert {w["id"]: w["announced_late"] for w in listed} == {back["id"]: True, late["id"]: True, just_now["id"]: False}


def test_a_moved_window_affects_what_only_one_of_its_two_ranges_covers() -> None:
    a, b, c, d = (NOW + n * HOUR for n in range(4))
    assert retroactive_changes.symmetric_difference((a, b), (a, b)) == []
    assert retroactive_changes.symmetric_difference((a, c), (b, d)) == [(a, b), (c, d)]
    assert retroactive_changes.symmetric_difference((a, d), (b, c)) == [(a, b), (c, d)]
    assert retroactive_changes.symmetric_difference((a, b), (c, d)) == [(a, b), (c, d)]


async def windows(session: AsyncSession, *site_ids: int, start: float = -48, end: float = 48) -> dict[int, Any]:
    def hours(moment: datetime) -> float:
        return (moment - NOW) / HOUR

    async with session.begin():
        by_site = await maintenance_overlay.windows_of(session, site_ids, NOW + start * HOUR, NOW + end * HOUR)
    return {site_id: [(hours(a), hours(b)) for a, b in ranges] for site_id, ranges in by_site.items()}


async def test_windows_cover_a_site_by_itself_its_region_and_its_provider_and_overlaps_count_once(
    cast: Cast, session: AsyncSession
) -> None:
    site = await register(cast)
    other = await register(cast, host="198.51.100.21", provider="iconplus")
    berau = await register(cast, host="198.51.100.22", village_code=BERAU_VILLAGE)
    await registered_long_ago(session)
    await plan(cast.sari, -10, -8, site=site["id"])
    await plan(cast.sari, -9, -7, region="64.02.05")
    await plan(cast.sari, -9, -8, provider="telkom-wms")
    await plan(cast.sari, -6, -5, region="64.03", provider="iconplus")
    await plan(cast.sari, -4, -3, region="64.02", provider="iconplus")
    await plan(cast.sari, 40, 60, region="64")
    cancelled = await plan(cast.sari, -2, -1, region="64")
    assert (await cast.sari.delete(f"/maintenance/{cancelled['id']}?reason=x")).status_code == 204
    assert await windows(session, site["id"], other["id"], berau["id"]) == {
        site["id"]: [(-10, -7), (40, 48)],
        other["id"]: [(-9, -7), (-4, -3), (40, 48)],
        berau["id"]: [(-9, -8), (40, 48)],
    }
    assert await windows(session, site["id"], start=-9.5, end=-9) == {site["id"]: [(-9.5, -9)]}
    assert await windows(session) == {}


async def test_a_providers_window_covers_a_site_only_while_it_was_that_providers(
    cast: Cast, session: AsyncSession
) -> None:
    site = await register(cast)
    await registered_long_ago(session)
    await cast.sari.patch(f"/sites/{site['id']}", {"provider": "iconplus"})
    async with session.begin():
        for was, column in (("telkom-wms", "ended_at"), ("iconplus", "started_at")):
            await session.execute(
                text(
                    f"UPDATE site_configuration SET {column} = :at WHERE provider_id = "
                    "(SELECT id FROM provider WHERE slug = :was)"
                ),
                {"at": NOW - 5 * HOUR, "was": was},
            )
    await plan(cast.sari, -6, -4, provider="telkom-wms")
    await plan(cast.sari, -5.5, -3, provider="iconplus")
    assert await windows(session, site["id"]) == {site["id"]: [(-6, -3)]}
    await plan(cast.sari, -20, -19, provider="iconplus")
    await plan(cast.sari, -2, -1, provider="telkom-wms")
    assert await windows(session, site["id"]) == {site["id"]: [(-6, -3)]}


async def test_running_maintenance_is_returned_with_the_time_of_its_next_change(
    cast: Cast, session: AsyncSession
) -> None:
    site, other = await register(cast), await register(cast, host="198.51.100.21", village_code=BERAU_VILLAGE)

    async def running(hours: float = 0) -> RunningMaintenance:
        async with session.begin():
            return await maintenance_overlay.running_now(session, NOW + hours * HOUR)

    assert await running() == RunningMaintenance()
    await plan(cast.sari, -1, 2, site=site["id"])
    await plan(cast.sari, 1, 3, region="64.03")
    assert await running() == RunningMaintenance(frozenset({site["id"]}), NOW + HOUR)
    assert await running(1) == RunningMaintenance(frozenset({site["id"], other["id"]}), NOW + 2 * HOUR)
    assert await running(2) == RunningMaintenance(frozenset({other["id"]}), NOW + 3 * HOUR)
    assert await running(3) == RunningMaintenance()


def test_the_examples_in_the_schema_are_valid() -> None:
    for model in (WindowIn, WindowPatch, WindowOut):
        for example in model.model_json_schema()["examples"]:
            model.model_validate(example)


async def test_a_running_window_is_ended_early_by_a_new_end(cast: Cast, session: AsyncSession) -> None:
    site = await register(cast)
    await registered_long_ago(session)
    made = await plan(cast.ana, -3, 3, site=site["id"])
    ended = await cast.ana.patch(f"/maintenance/{made['id']}", {"ended_at": at(-1), "reason": "selesai"})
    assert (ended.status_code, ended.json()["status"]) == (200, "past")
    assert await windows(session, site["id"]) == {site["id"]: [(-3, -1)]}


async def test_a_preview_says_what_a_window_would_cover_and_plans_nothing(cast: Cast) -> None:
    await register(cast)
    await register(cast, host="198.51.100.21", village_code=BERAU_VILLAGE)
    preview = await cast.sari.post("/maintenance/preview", window(region="64"))
    assert (preview.status_code, preview.json()) == (
        200,
        {"sites": 2, "outages": 0, "duration_s": 7200, "announced_late": False, "reason_required": False},
    )
    late = (await cast.ana.post("/maintenance/preview", window(-2, 1, region="64.02"))).json()
    assert (late["sites"], late["announced_late"], late["reason_required"]) == (1, True, True)
    assert await ids(cast.sari) == []
    for refused, status in (
        (await cast.vera.post("/maintenance/preview", window(region="64")), 403),
        (await cast.ben.post("/maintenance/preview", window(region="64.02")), 403),
        (await cast.ana.post("/maintenance/preview", window(3, 2, region="64.02")), 422),
    ):
        assert refused.status_code == status
    await plan(cast.ana, region="64.02")
    assert (await cast.ana.post("/maintenance/preview", window(region="64.02"))).status_code == 409


async def test_a_window_says_which_of_its_sites_stayed_down_beyond_it(scenario: IncidentScenario) -> None:
    sites = [await scenario.site() for _ in range(3)]
    for site, start, end in zip(sites, (100, 100, 10), (800, 500, 900), strict=True):
        await scenario.write(site, (0, start, "up"), (start, end, "down"), (end, None, "up"))
    body = {"started_at": scenario.at(50).isoformat(), "ended_at": scenario.at(600).isoformat(), "title": "Ganti kabel"}
    body |= {"region": "64.02", "reason": "baru dilaporkan"}
    ana = scenario.cast.ana
    preview = (await ana.post("/maintenance/preview", body)).json()
    assert (preview["sites"], preview["outages"]) == (3, 3)
    planned = (await ana.post("/maintenance", body)).json()
    assert (planned["overrun_sites"], planned["overrun_s"]) == (1, 200), "one began before it, one ended within it"
