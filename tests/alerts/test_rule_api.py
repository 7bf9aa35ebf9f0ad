"""Rules over the API: an office keeps its own, and a wrong one is refused field by field."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.access.models import Audit
from app.alerts import rule_faults
from app.alerts.models import AlertRule
from app.alerts.rule_schemas import RuleIn, RuleOut
from app.core.clock import utc_now
from app.postgres.engine import Sessions, transaction
from tests.conftest import Cast, Person
from tests.support.alerts import AlertDesk


def rule(**changes: Any) -> dict[str, Any]:
    return {"name": "Putus siang", "office": "64.02", "kinds": ["down"], **changes}


async def create(person: Person, **changes: Any) -> dict[str, Any]:
    answer = await person.post("/rules", rule(**changes))
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def test_a_rule_is_created_with_defaults_and_read_again(cast: Cast, desk: AlertDesk) -> None:
    channels = [await desk.channel(), await desk.channel()]
    await desk.channel(provider="iconplus")
    await desk.channel("64.03")
    made = await create(cast.ana, name="Semua", office=None)
    RuleOut.model_validate(made)
    assert (made["office"], made["region"], made["channels"]) == ("64.02", "64.02", channels), "none that tells others"
    assert (made["least_s"], made["quiet_from"], made["escalate"], made["muted"]) == (120, None, None, False)
    for person in (cast.ana, cast.sari, cast.vera):
        assert (await person.get(f"/rules/{made['id']}")).json() == made
        assert (await person.get("/rules")).json()["items"] == [made]
    assert (await cast.sari.get("/rules", params={"channel": channels[0]})).json()["items"] == [made]
    assert (await cast.sari.get("/rules", params={"region": "64.03"})).json()["items"] == []


async def test_every_field_comes_back_as_it_was_given(cast: Cast, desk: AlertDesk) -> None:
    channel, until = await desk.channel(), utc_now().replace(microsecond=0) + timedelta(hours=8)
    given = rule(
        kinds=["recovered", "down", "daily_digest", "down"],
        region="64.02.05",
        technologies=["leo", "fiber"],
        providers=["telkom-wms", "iconplus"],
        channels=[channel, channel],
        least_s=300,
        degraded_hours=12,
        quiet_from="22:00",
        quiet_to="06:30",
        keeps_power_hours=True,
        escalate={"after_min": 60, "beyond_sites": None, "to": "64"},
        remind_at="08:00",
        muted_until=until.isoformat(),
    )
    made = await create(cast.ana, **given)
    normal = given | {
        "kinds": ["down", "recovered", "daily_digest"],
        "technologies": ["fiber", "leo"],
        "providers": ["iconplus", "telkom-wms"],
        "channels": [channel],
        "muted_until": until.isoformat().replace("+00:00", "Z"),
    }
    assert {name: made[name] for name in RuleIn.model_fields} == normal
    assert (made["region_name"], made["muted"], made["created_by"]) == ("Muara Badak", True, "token ana")


PATHS = ("/rules", "/rules/preview")
WRONG: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"kinds": []}, {"kinds": "too_short"}),
    ({"kinds": ["dwn"]}, {"kinds.0": "enum"}),
    ({"name": "x" * 101}, {"name": "string_too_long"}),
    ({"office": "64.02.05"}, {"office": "unknown_office"}),
    ({"office": "6402"}, {"office": "unknown_office"}),
    ({"region": "64.03"}, {"region": "beyond_office"}),
    ({"region": "64"}, {"region": "beyond_office"}),
    ({"region": "64.0"}, {"region": "unknown_region"}),
    ({"providers": ["telkom_wms"]}, {"provider": "unknown_provider"}),
    ({"channels": []}, {"channels": "too_short"}),
    ({"channels": [2**31 - 1]}, {"channels": "unknown_channel"}),
    ({"quiet_from": "22:00"}, {"quiet_to": "missing"}),
    ({"quiet_from": "22.00", "quiet_to": "24:00"}, {"quiet_from": "bad_hour", "quiet_to": "bad_hour"}),
    ({"quiet_from": "22:00", "quiet_to": "22:00"}, {"quiet_to": "whole_day"}),
    ({"escalate": {}}, {"escalate": "missing"}),
    ({"escalate": {"after_min": 60, "to": "64.03"}}, {"escalate.to": "not_above"}),
    ({"escalate": {"after_min": 60, "to": "64.02"}}, {"escalate.to": "not_above"}),
    ({"escalate": {"after_min": 60, "to": "nobody"}}, {"escalate.to": "not_above"}),
    ({"office": "64", "escalate": {"after_min": 60}}, {"escalate": "nobody_above"}),
    ({"escalate": {"after_min": 1}}, {"escalate.after_min": "greater_than_equal"}),
    ({"muted_until": "2020-01-01"}, {"muted_until": "in_the_past"}),
    ({"muted_until": "2999-01-01"}, {"muted_until": "too_far"}),
    ({"least_s": -1}, {"least_s": "greater_than_equal"}),
    ({"kind": ["down"]}, {"kind": "extra_forbidden"}),
    (
        {"region": "64.03", "providers": ["x"], "quiet_to": "06:00", "channels": [9]},
        {
            "region": "beyond_office",
            "provider": "unknown_provider",
            "quiet_from": "missing",
            "channels": "unknown_channel",
        },
    ),
]


async def test_a_wrong_rule_gets_a_fault_for_each_field(cast: Cast, desk: AlertDesk) -> None:
    await desk.channel()
    await desk.channel("64")
    for changes, expected in WRONG:
        for path in PATHS:
            answer = await cast.sari.post(path, rule(**changes))
            assert answer.status_code == 422, answer.text
            assert {fault["field"]: fault["code"] for fault in answer.json()["errors"]} == expected, changes
    assert (await cast.sari.get("/rules")).json()["items"] == []


async def test_nobody_reads_or_changes_rules_beyond_their_scope(cast: Cast, desk: AlertDesk) -> None:
    here, there = await desk.channel(), await desk.channel("64.03")
    own = await create(cast.ana)
    path = f"/rules/{own['id']}"
    foreign = await cast.ana.post("/rules", rule(channels=[there]))
    assert foreign.json()["errors"][0]["code"] == "unknown_channel", "nobody tells through another office's channel"
    for office in ("64.02", "64"):
        assert (await cast.ben.post("/rules", rule(office=office, name="Tamu"))).status_code == (
            422 if office == "64" else 403
        )
    for person, refused in ((cast.ben, 404), (cast.icon, 404), (cast.stranger, 401)):
        assert (await person.get(path)).status_code == refused
        writes = [await person.patch(path, {"name": "x"}), await person.delete(path)]
        assert {answer.status_code for answer in writes} == {403 if person is cast.icon else refused}
    for person in (cast.ben, cast.icon):
        assert (await person.get("/rules")).json()["items"] == []
        named = await person.get("/rules", params={"channel": here})
        assert named.json()["errors"][0]["code"] == "unknown_channel"
    assert (await cast.ben.get("/rules", params={"region": "64.02"})).status_code == 403
    assert (await cast.vera.patch(path, {"name": "x"})).status_code == 403
    assert (await cast.sari.get(path)).json() == own


async def test_a_change_needs_the_version_that_was_seen_and_changes_what_is_given_alone(
    cast: Cast, desk: AlertDesk, sessions: Sessions
) -> None:
    await desk.channel()
    own = await create(cast.ana, quiet_from="22:00", quiet_to="06:00", providers=["iconplus"], remind_at="08:00")
    path, seen = f"/rules/{own['id']}", {"If-Match": f'"{own["version"]}"'}
    changed = await cast.ana.patch(path, {"quiet_to": "05:00", "remind_at": None}, headers=seen)
    assert changed.status_code == 200, changed.text
    assert changed.json() == own | {"quiet_to": "05:00", "remind_at": None, "version": changed.json()["version"]}
    assert changed.headers["etag"] == f'"{changed.json()["version"]}"'
    stale = await cast.sari.patch(path, {"name": "Lain"}, headers=seen)
    assert (stale.status_code, stale.json()["current_version"]) == (412, changed.json()["version"])
    same = await cast.ana.patch(path, {"quiet_to": "05:00"})
    assert same.json() == changed.json(), "what changes nothing makes no version"
    for body, fault in (
        ({"quiet_from": None}, ("quiet_from", "missing")),
        ({"channels": None}, ("channels", "null")),
        ({"office": "64.03"}, ("office", "scope_stays")),
        ({"region": "64.03"}, ("region", "beyond_office")),
    ):
        (found,) = (await cast.ana.patch(path, body)).json()["errors"]
        assert (found["field"], found["code"]) == fault
    async with transaction(sessions) as session:
        (entry,) = await session.scalars(select(Audit).where(Audit.object == "rule", Audit.action == "change"))
        assert (entry.object_id, entry.region_code, entry.actor) == (str(own["id"]), "64.02", "token ana")
        assert entry.before is not None
        assert entry.after is not None
        assert (entry.before["quiet_to"], entry.after["quiet_to"]) == ("06:00", "05:00")


async def test_a_deleted_rule_is_gone_and_its_name_free_and_its_row_kept(
    cast: Cast, desk: AlertDesk, sessions: Sessions
) -> None:
    await desk.channel()
    own = await create(cast.ana)
    again = await cast.ana.post("/rules", rule())
    assert (again.status_code, again.json()["errors"][0]["code"]) == (409, "duplicate_rule")
    for _ in range(2):
        assert (await cast.ana.delete(f"/rules/{own['id']}")).status_code == 204
    assert (await cast.ana.get(f"/rules/{own['id']}")).status_code == 404
    assert (await create(cast.ana))["id"] != own["id"]
    async with transaction(sessions) as session:
        kept = await session.get(AlertRule, own["id"])
        assert kept is not None
        assert kept.deleted_at is not None
        audited = await session.scalars(select(Audit.action).where(Audit.object == "rule").order_by(Audit.id))
        assert list(audited) == ["create", "delete", "create"]


async def test_a_repeated_request_creates_one_rule_and_an_office_has_so_many(
    cast: Cast, desk: AlertDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.channel()
    key = {"Idempotency-Key": "aturan-1"}
    first, second = [await cast.ana.post("/rules", rule(), headers=key) for _ in range(2)]
    assert (first.json(), second.headers["idempotent-replayed"]) == (second.json(), "true")
    monkeypatch.setattr(rule_faults, "MAX_RULES", 1)
    full = await cast.ana.post("/rules", rule(name="Satu lagi"))
    assert (full.status_code, full.json()["errors"][0]["code"]) == (409, "too_many_rules")


async def test_the_rules_of_an_office_name_so_many_channels_in_all(
    cast: Cast, desk: AlertDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = [await desk.channel(), await desk.channel()]
    made = await create(cast.ana, channels=channels[:1])
    await create(cast.ana, name="Kedua", channels=channels)
    monkeypatch.setattr(rule_faults, "MAX_PAIRS", 3)
    path = f"/rules/{made['id']}"
    for answer in (
        await cast.ana.post("/rules", rule(name="Ketiga", channels=channels[:1])),
        await cast.ana.patch(path, {"channels": channels}),
    ):
        (fault,) = answer.json()["errors"]
        assert (answer.status_code, fault["code"]) == (409, "too_many_channels_of_rules"), answer.text
        assert "3" in fault["message"]
        assert "delete rules" in fault["suggestion"]
    assert (await cast.ana.patch(path, {"channels": channels[1:]})).status_code == 200


async def test_without_a_channel_no_rule_tells_anybody(cast: Cast) -> None:
    answer = await cast.ana.post("/rules", rule())
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "no_channel")
