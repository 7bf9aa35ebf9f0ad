"""Channels over the API: their URLs go in and never come out; whom they tell is the office's own affair."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select, text, update

from app.alerts import channel_faults, trial
from app.alerts.channel_schemas import ChannelOut
from app.alerts.models import Channel, Notification, NotificationState
from app.core.clock import utc_now
from app.postgres.engine import Sessions, transaction
from tests.conftest import Cast, Person
from tests.support.alerts import AlertDesk

HOOK = "https://hooks.example.go.id/T0PSECRET/path?key=T0PSECRET"
TELEGRAM = "tgram://123456789:AAT0PSECRETabcdefghijklmnopqrstuvw/12345/"
MARK = "T0PSECRET"


def channel(**changes: Any) -> dict[str, Any]:
    return {"name": "Grup jaga", "office": "64.02", "url": HOOK, "default_rules": False, **changes}


async def create(person: Person, **changes: Any) -> dict[str, Any]:
    answer = await person.post("/channels", channel(**changes))
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def fault(person: Person, **changes: Any) -> tuple[str, str]:
    answer = await person.post("/channels", channel(**changes))
    (found,) = answer.json()["errors"]
    return found["field"], found["code"]


async def stored(sessions: Sessions, channel_id: int) -> Channel:
    async with transaction(sessions) as session:
        return (await session.scalars(select(Channel).where(Channel.id == channel_id))).one()


async def test_a_channel_is_created_sealed_and_its_url_and_secret_are_told_to_nobody(
    app: FastAPI, cast: Cast, sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    key = {"Idempotency-Key": "saluran-1"}
    answer = await cast.ana.post("/channels", channel(), headers=key)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (made["service"], made["target"], made["state"]) == (
        "webhook",
        "https://hooks.example.go.id/…",
        "untested",
    )
    secret = made.pop("secret")
    assert len(secret) >= 32
    again = await cast.ana.post("/channels", channel(), headers=key)
    assert (again.headers["idempotent-replayed"], again.json()) == ("true", made | {"secret": None})
    other = await cast.ana.post("/channels", channel(url=HOOK + "2"), headers=key)
    assert other.status_code == 422, "the key of another request"
    seen = {name: made[name] for name in ChannelOut.model_fields}
    path = f"/channels/{made['id']}"
    assert (await cast.sari.get(path)).json() == seen
    assert (await cast.vera.get(path)).json() == seen | {"target": None}, "who only reads sees no target"
    row = await stored(sessions, made["id"])
    sealer = app.state.sealer
    assert (sealer.unseal(row.target), sealer.unseal(row.secret)) == (HOOK, secret)
    changed = await cast.ana.patch(path, {"url": HOOK + "3", "rotate_secret": True})
    assert changed.json()["secret"] not in {None, secret}
    everything = [
        *[(await person.get(p)).text for person in (cast.sari, cast.vera) for p in ("/channels", path)],
        (await cast.sari.get("/audit")).text,
        *capsys.readouterr(),
    ]
    async with transaction(sessions) as session:
        for table in ("audit", "idempotent_answer", "channel"):
            everything += await session.scalars(text(f"SELECT row_to_json(t)::text FROM {table} t"))
    for told in everything:
        assert not any(hidden in told for hidden in (MARK, secret, changed.json()["secret"])), told
    entries = (await cast.sari.get("/audit", params={"object": "channel"})).json()["items"]
    assert [(entry["action"], entry["region_code"]) for entry in entries] == [("change", "64.02"), ("create", "64.02")]
    assert (entries[0]["after"]["url"], entries[0]["after"]["secret"]) == ("***", "***"), "that it changed is told"


WRONG: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"url": "no url"}, ("url", "bad_url")),
    ({"url": 7}, ("url", "bad_url")),
    ({"url": "https://hooks.example.go.id/" + "x" * 2_000}, ("url", "bad_url")),
    ({"url": "https://hooks.example.go.id/a\0b"}, ("url", "bad_url")),
    ({"url": "https://ana:T0PSECRET@hooks.example.go.id/"}, ("url", "bad_url")),
    ({"url": "gopher://T0PSECRET/"}, ("url", "unknown_service")),
    ({"url": "https://169.254.169.254/latest/meta-data"}, ("url", "forbidden_address")),
    ({"url": "https://localhost/"}, ("url", "forbidden_address")),
    ({"url": TELEGRAM, "secret": "sixteen letters it has"}, ("secret", "not_a_webhook")),
    ({"secret": "T0PSECRET"}, ("secret", "bad_secret")),
    ({"office": "64.02.05"}, ("office", "unknown_office")),
    ({"provider": "telkom_wms"}, ("provider", "unknown_provider")),
    ({"fallback": 2**31 - 1}, ("fallback", "unknown_channel")),
    ({"language": "jv"}, ("language", "literal_error")),
    ({"form": "tiny"}, ("form", "enum")),
    ({"ulr": "tgram://T0PSECRET"}, ("ulr", "extra_forbidden")),
    ({"name": "x" * 101}, ("name", "string_too_long")),
]


async def test_a_wrong_channel_is_refused_by_its_field_and_what_it_hides_is_not_repeated(cast: Cast) -> None:
    for changes, expected in WRONG:
        answer = await cast.ana.post("/channels", channel(**changes))
        assert answer.status_code == 422, answer.text
        assert MARK not in answer.text, changes
        (found,) = answer.json()["errors"]
        assert (found["field"], found["code"]) == expected
    assert (await cast.ana.get("/channels")).json()["items"] == []


async def test_nobody_reads_or_changes_channels_beyond_their_scope(cast: Cast, desk: AlertDesk) -> None:
    own = await create(cast.ana, office=None, provider="iconplus")
    province = await create(cast.sari, office="64")
    path = f"/channels/{own['id']}"
    assert own["office"] == "64.02"
    for person, visible in ((cast.sari, [own, province]), (cast.vera, [own, province]), (cast.ana, [own])):
        listed = (await person.get("/channels")).json()["items"]
        assert [each["id"] for each in listed] == [each["id"] for each in visible]
    for person in (cast.ben, cast.icon):
        assert (await person.get("/channels")).json()["items"] == [], "not even the provider that it tells"
        assert (await person.get(path)).status_code == 404
    for person, status in ((cast.ben, 404), (cast.icon, 403), (cast.vera, 403), (cast.stranger, 401)):
        refused = [
            await person.patch(path, {"name": "x"}),
            await person.delete(path),
            await person.post(f"{path}/test"),
        ]
        assert {answer.status_code for answer in refused} == {status}
    assert (await cast.ana.get(f"/channels/{province['id']}")).status_code == 404
    assert (await cast.ben.post("/channels", channel())).status_code == 403
    assert (await cast.ana.post("/channels", channel(office="64"))).status_code == 403
    assert (await cast.ben.get("/channels", params={"region": "64.02"})).status_code == 403
    assert [c["id"] for c in (await cast.sari.get("/channels", params={"region": "64.02"})).json()["items"]] == [
        own["id"]
    ]
    assert (await cast.sari.get("/channels", params={"provider": "telkom-wms"})).json()["items"] == []


async def test_a_change_needs_the_version_that_was_seen_and_a_new_url_begins_untested(
    cast: Cast, sessions: Sessions
) -> None:
    own = await create(cast.ana)
    path, seen = f"/channels/{own['id']}", {"If-Match": f'"{own["version"]}"'}
    async with transaction(sessions) as session:
        await session.execute(update(Channel).values(accepted_at=utc_now(), failures=3, problem="HTTP 500"))
    assert (await cast.ana.get(path)).json()["state"] == "failing"
    paused = await cast.ana.patch(path, {"paused": True, "name": "Jeda"}, headers=seen)
    assert (paused.status_code, paused.json()["state"], paused.json()["name"]) == (200, "paused", "Jeda")
    assert (await cast.sari.patch(path, {"name": "x"}, headers=seen)).status_code == 412
    same = await cast.ana.patch(path, {"paused": True})
    assert same.json() == paused.json(), "what changes nothing makes no version"
    moved = (await cast.ana.patch(path, {"url": TELEGRAM, "paused": False})).json()
    assert (moved["service"], moved["state"], moved["failures"], moved["problem"], moved["secret"]) == (
        "tgram",
        "untested",
        0,
        None,
        None,
    )
    assert (await stored(sessions, own["id"])).secret is None
    back = (await cast.ana.patch(path, {"url": HOOK})).json()
    assert back["secret"], "a webhook again, with a new secret"
    kept = (await cast.ana.patch(path, {"url": HOOK + "2"})).json()
    assert kept["secret"] is None, "it keeps its secret"
    for body, expected in (
        ({"office": "64.03"}, ("office", "scope_stays")),
        ({"provider": None}, ("provider", "scope_stays")),
        ({"url": None}, ("url", "null")),
        ({"url": "https://10.0.0.1/"}, ("url", "forbidden_address")),
        ({"fallback": own["id"]}, ("fallback", "unknown_channel")),
    ):
        (found,) = (await cast.ana.patch(path, body)).json()["errors"]
        assert (found["field"], found["code"]) == expected


async def test_a_fallback_is_a_channel_of_the_same_office_that_leads_on_and_tells_nobody_else(
    cast: Cast, desk: AlertDesk
) -> None:
    foreign = await desk.channel("64.03")
    first = await create(cast.ana, name="satu")
    second = await create(cast.ana, name="dua", fallback=first["id"])
    third = await create(cast.ana, name="tiga", fallback=second["id"])
    to_provider = await create(cast.ana, name="icon", provider="iconplus", fallback=third["id"])
    assert await fault(cast.ana, name="empat", fallback=foreign) == ("fallback", "unknown_channel")
    assert await fault(cast.ana, name="empat", fallback=to_provider["id"]) == ("fallback", "other_provider")
    assert await fault(cast.ana, name="empat", provider="telkom-wms", fallback=to_provider["id"]) == (
        "fallback",
        "other_provider",
    )
    for candidate in (second, third):
        (found,) = (await cast.ana.patch(f"/channels/{first['id']}", {"fallback": candidate["id"]})).json()["errors"]
        assert (found["field"], found["code"]) == ("fallback", "fallback_cycle")
    freed = await cast.ana.patch(f"/channels/{second['id']}", {"fallback": None})
    assert freed.json()["fallback"] is None
    assert (await cast.ana.patch(f"/channels/{first['id']}", {"fallback": third["id"]})).status_code == 200


async def test_a_channel_that_is_named_is_kept_and_one_that_is_deleted_forgets_where_it_led(
    cast: Cast, desk: AlertDesk, sessions: Sessions
) -> None:
    own = await create(cast.ana)
    other = await create(cast.ana, name="lain", fallback=own["id"])
    rule = await desk.rule(own["id"])
    path = f"/channels/{own['id']}"
    refused = await cast.ana.delete(path)
    assert refused.status_code == 409
    assert [fault["code"] for fault in refused.json()["errors"]] == ["used_by_rule", "used_as_fallback"]
    assert f"Rule {rule} " in refused.json()["errors"][0]["message"]
    assert (await cast.ana.delete(f"/rules/{rule}")).status_code == 204
    assert (await cast.ana.patch(f"/channels/{other['id']}", {"fallback": None})).status_code == 200
    waiting = (await cast.ana.post(f"{path}/test")).json()
    for _ in range(2):
        assert (await cast.ana.delete(path)).status_code == 204
    row = await stored(sessions, own["id"])
    assert (row.target, row.secret, row.deleted_at is not None) == (b"", None, True)
    assert (await cast.ana.get(path)).status_code == 404
    assert [each["id"] for each in (await cast.ana.get("/channels")).json()["items"]] == [other["id"]]
    given_up = (await cast.ana.get(f"/notifications/{waiting['id']}")).json()
    assert (given_up["state"], given_up["channel"]["name"]) == ("dead", "Grup jaga"), "what was sent stays listed"
    assert (await create(cast.ana))["name"] == "Grup jaga", "its name is free"


async def test_an_offices_first_channel_brings_default_rules_and_an_office_has_so_many_channels(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await create(cast.ana, default_rules=True)
    listed = (await cast.ana.get("/rules")).json()["items"]
    assert [rule["id"] for rule in listed] == first["rules"]
    assert {tuple(rule["channels"]) for rule in listed} == {(first["id"],)}
    assert (await create(cast.ana, name="kedua", default_rules=True))["rules"] == []
    audited = (await cast.sari.get("/audit", params={"object": "rule"})).json()["items"]
    assert len(audited) == len(listed)
    taken = await cast.ana.post("/channels", channel())
    assert (taken.status_code, taken.json()["errors"][0]["code"]) == (409, "duplicate_channel")
    monkeypatch.setattr(channel_faults, "MAX_CHANNELS", 2)
    full = await cast.ana.post("/channels", channel(name="ketiga"))
    assert (full.status_code, full.json()["errors"][0]["code"]) == (409, "too_many_channels")


async def test_a_test_message_is_queued_for_the_courier_a_few_times_a_minute(
    cast: Cast, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = await create(cast.ana, provider="iconplus")
    path = f"/channels/{own['id']}"
    sent = await cast.ana.post(f"{path}/test")
    assert sent.status_code == 202, sent.text
    told = sent.json()
    assert (told["kind"], told["state"], told["channel"]["id"], told["incidents"]) == ("test", "queued", own["id"], 0)
    assert sent.headers["location"] == f"/api/v1/notifications/{told['id']}"
    assert (await cast.icon.get(f"/notifications/{told['id']}")).status_code == 200, "the provider that it tells"
    assert (await cast.ana.get(path)).json()["queued"] == 1
    statuses = [(await cast.ana.post(f"{path}/test")).status_code for _ in range(5)]
    assert statuses == [202] * 4 + [429]
    monkeypatch.setattr(trial, "MAX_OF_OFFICE", 6)
    other = await create(cast.ana, name="lain")
    statuses = [(await cast.ana.post(f"/channels/{other['id']}/test")).status_code for _ in range(2)]
    assert statuses == [202, 429], "nor many through its office's channels together"
    assert (await cast.ana.patch(path, {"paused": True})).status_code == 200
    paused = await cast.ana.post(f"{path}/test")
    assert (paused.status_code, paused.json()["errors"][0]["code"]) == (409, "paused")
    assert (await cast.ana.patch(path, {"paused": False})).json()["state"] == "untested"
    async with transaction(sessions) as session:
        await session.execute(update(Notification).values(created_at=utc_now() - timedelta(hours=25)))
    assert (await cast.ana.get(path)).json()["state"] == "silent", "none of a day ago was accepted"
    async with transaction(sessions) as session:
        await session.execute(update(Notification).values(state=NotificationState.ACCEPTED))
        await session.execute(update(Channel).values(accepted_at=utc_now()))
    assert (await cast.ana.get(path)).json()["state"] == "ok"


async def test_without_its_key_the_service_seals_nothing_and_pauses_all_the_same(app: FastAPI, cast: Cast) -> None:
    path = f"/channels/{(await create(cast.ana))['id']}"
    app.state.sealer, app.state.settings.secret_key = None, ["another key that seals other things"]
    refused = await cast.ana.post("/channels", channel(name="lain"))
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (503, "secret-key-unusable")
    for body in ({"url": HOOK}, {"rotate_secret": True}, {"secret": "sixteen letters it has"}):
        assert (await cast.ana.patch(path, body)).status_code == 503
    assert (await cast.ana.patch(path, {"paused": True, "name": "Jeda"})).json()["state"] == "paused"
    assert (await cast.ana.get("/channels")).status_code == 200
