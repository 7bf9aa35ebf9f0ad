"""Pushes are rejected for their token, size or syntax; an invalid row is listed and the other rows are accepted."""

import gzip
import time
import zlib
from datetime import timedelta
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.agents import agent_tokens
from app.core.clock import utc_now
from app.push import admission, device_values, inbox
from app.push.dedupe import ReceivedPush
from app.push.device_cache import TTL_S, DeviceCache
from app.push.rate_limits import PushLimits
from app.settings import LimitsSettings, PushSettings
from tests.conftest import Cast
from tests.support.agent_fixtures import Agent
from tests.support.push_samples import BEAT, backdate_site


def codes(answer: dict[str, Any]) -> list[tuple[int | None, str]]:
    return [(rejected["row"], rejected["code"]) for rejected in answer["rejected"]]


async def test_the_token_may_be_in_the_body_and_the_header_takes_precedence(agent: Agent) -> None:
    by_body = await agent.client.post("/api/v1/push", json=BEAT | {"token": agent.token})
    assert by_body.json()["accepted"] == 1
    batch = {"token": agent.token, "boot": "k3f9", "batch": [BEAT]}
    assert (await agent.client.post("/api/v1/push", json=batch)).json()["duplicates"] == 1
    assert (await agent.push(BEAT | {"seq": 7, "token": "sd-other"}))["accepted"] == 1
    wrong = {"Authorization": "Bearer sd-other"}
    assert (await agent.send(BEAT | {"token": agent.token}, headers=wrong)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer sd-nobody"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer sd-\xe9"},
    ],
)
async def test_without_a_valid_token_nothing_is_stored(agent: Agent, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await agent.client.post("/api/v1/push", json=BEAT, headers=raw)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert await agent.dequeue() == []


async def test_account_tokens_do_not_push_and_device_tokens_do_nothing_else(cast: Cast, agent: Agent) -> None:
    assert (await cast.sari.post("/push", BEAT)).status_code == 401
    headers = {"Authorization": f"Bearer {agent.token}"}
    assert (await cast.stranger.get("/sites", headers=headers)).status_code == 401


async def test_a_revoked_token_is_rejected_within_seconds(agent: Agent, app: FastAPI) -> None:
    clock = [0.0]
    app.state.push.devices = DeviceCache(lambda: app.state.sessions, timer=lambda: clock[0])
    await agent.push(BEAT)
    async with agent.session.begin():
        await agent_tokens.revoke(agent.session, agent.site["id"], by="Sari")
    clock[0] += TTL_S + 0.1
    answer = await agent.send(BEAT | {"seq": 7})
    assert answer.status_code == 401
    assert "revoked" in answer.json()["detail"]


async def test_the_agent_of_a_site_that_is_retired_or_measured_otherwise_gets_409(agent: Agent, app: FastAPI) -> None:
    for change, detail in (("probe = 'icmp'", "measured by icmp"), ("lifecycle = 'retired'", "is retired")):
        await _change(agent, app, change)
        answer = await agent.send(BEAT)
        assert (answer.status_code, detail in answer.json()["detail"]) == (409, True)


async def test_rows_of_a_planned_site_are_rejected_and_its_device_is_updated(agent: Agent, app: FastAPI) -> None:
    await _change(agent, app, "lifecycle = 'planned'")
    assert codes(await agent.push(BEAT)) == [(0, "not_active")]
    assert await agent.dequeue() == []
    assert (await agent.row("device"))["last_rejection"] == "not_active"
    await _change(agent, app, "lifecycle = 'active'")
    assert (await agent.push(BEAT))["accepted"] == 1, "rejected rows are not in the receipt"


async def _change(agent: Agent, app: FastAPI, change: str) -> None:
    async with agent.session.begin():
        await agent.session.execute(text(f"UPDATE site SET {change} WHERE id = {agent.site['id']}"))
    app.state.push.devices.clear()


async def test_rejected_rows_are_listed_in_the_devices_language(agent: Agent) -> None:
    await backdate_site(agent)
    now = utc_now()
    batch = [
        {"seq": 1, "sent": 3, "rtt_ms": [20], "clock": (now - timedelta(minutes=5)).isoformat()},
        {"seq": 2, "sent": 3, "rtt_ms": [20], "clock": (now + timedelta(hours=1)).isoformat()},
        {"seq": 3, "sent": 3, "rtt_ms": [20], "clock": "1999-01-01T00:00:00Z"},
        {"seq": 4, "sent": 3, "rtt_ms": [20]},
        {"seq": 5, "sent": 3, "rtt_ms": [-1], "clock": now.isoformat()},
        {"seq": 6, "sent": "three", "rtt_ms": [20], "clock": now.isoformat()},
        {"seq": 7, "sent": 3, "rtt_ms": [20], "clock": (now - timedelta(minutes=40)).isoformat()},
    ]
    body = {"boot": "b", "sent_at": now.isoformat(), "batch": batch}
    answer = await agent.push(body, headers={"Accept-Language": "id"})
    assert answer["accepted"] == 2
    rejections = [(1, "in_future"), (2, "too_old"), (3, "no_clock"), (4, "out_of_range"), (5, "not_whole")]
    assert codes(answer) == rejections, "in the order of the rows"
    assert "di masa depan" in next(rejected["message"] for rejected in answer["rejected"] if rejected["row"] == 1)
    older, newer, arrival = await agent.dequeue()
    assert (newer.slot - older.slot, arrival.reason, arrival.sent, arrival.valid_s) == (35 * 60, "arrival", 0, 60)
    assert (await agent.row("device"))["seq"] == 7


async def test_a_rejected_row_does_not_set_the_devices_last_sequence_number(agent: Agent) -> None:
    rows = [
        {"seq": 9_000, "sent": 1, "rtt_ms": [20]},
        {"seq": 1, "uptime_s": 100, "sent": 1, "rtt_ms": [20]},
        {"seq": 2, "sent": -1},
    ]
    answer = await agent.push({"boot": "b", "uptime_s": 100, "clients": -1, "batch": rows})
    assert codes(answer) == [(0, "no_clock"), (2, "out_of_range"), (None, "out_of_range")]
    assert (await agent.row("device"))["seq"] == 1


async def test_a_push_of_invalid_rows_still_proves_the_link(agent: Agent) -> None:
    assert codes(await agent.push(BEAT | {"sent": -3})) == [(0, "out_of_range")]
    (reading,) = await agent.dequeue()
    assert (reading.outcome, reading.reason) == ("ok", "arrival")
    assert (await agent.push(BEAT))["accepted"] == 1, "a corrected row is accepted"
    await agent.dequeue()
    await agent.push({"boot": "k3f9", "batch": []})
    assert [reading.reason for reading in await agent.dequeue()] == ["arrival"]


async def test_a_repeated_row_counts_once_and_a_new_boot_counts_anew(agent: Agent) -> None:
    await backdate_site(agent)
    row = {"seq": 5, "uptime_s": 100, "sent": 1, "rtt_ms": [1]}
    answer = await agent.push({"boot": "one", "uptime_s": 160, "batch": [row, row, row | {"seq": 6, "uptime_s": 160}]})
    assert (answer["accepted"], answer["duplicates"]) == (2, 1)
    later = await agent.push({"boot": "two", "uptime_s": 5, "batch": [row | {"seq": 0, "uptime_s": 5}]})
    assert later["accepted"] == 1
    resent = await agent.push({"boot": "one", "uptime_s": 170, "batch": [row]})
    assert (resent["accepted"], resent["duplicates"]) == (0, 1)
    assert len(await agent.dequeue()) == 3


async def test_a_body_that_is_too_large_is_rejected_compressed_or_not(agent: Agent) -> None:
    for body, encoding in (
        (b" " * 10_000_000, None),
        (gzip.compress(b" " * 50_000_000), "gzip"),
        (gzip.compress(b'{"a":' + b"0" * 1_000_000), "gzip"),
    ):
        headers = {"Content-Encoding": encoding} if encoding else {}
        answer = await agent.send(content=body, headers=headers)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (413, "too-large")
    many = await agent.send({"boot": "b", "batch": [BEAT] * 1001})
    assert (many.status_code, "this one has 1001" in many.json()["detail"]) == (413, True)


async def test_a_body_may_be_compressed_with_gzip(agent: Agent) -> None:
    compressed = gzip.compress(orjson.dumps(BEAT))
    assert (await agent.push(content=compressed, headers={"Content-Encoding": "gzip"}))["accepted"] == 1
    for content, encoding, code in (
        (compressed[:-4], "gzip", "bad_gzip"),
        (compressed + compressed, "gzip", "bad_gzip"),
        (b"{}", "gzip", "bad_gzip"),
        (zlib.compress(b"{}"), "deflate", "unknown_encoding"),
    ):
        answer = await agent.send(content=content, headers={"Content-Encoding": encoding})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "json_invalid"),
        (b"[]", "model_type"),
        (b'{"seq": NaN}', "not_a_number"),
        (b"sent=3", "json_invalid"),
        (b'{"batch": {}}', "list_type"),
        (b'{"batch": 7}', "list_type"),
        (b"\x00", "json_invalid"),
    ],
)
async def test_a_body_that_is_not_a_push_is_rejected(agent: Agent, content: bytes, code: str) -> None:
    answer = await agent.send(content=content)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_push_that_cannot_be_parsed_still_proves_the_link(agent: Agent) -> None:
    """A faulty agent is not an outage."""
    gzipped, many = {"Content-Encoding": "gzip"}, orjson.dumps({"boot": "b", "batch": [BEAT] * 1001})
    for number, (content, headers, code) in enumerate(
        (
            (b'{"seq": NaN}', {}, "not_a_number"),
            (b" " * 10_000_000, {}, "too_large"),
            (many, {}, "too_large"),
            (gzip.compress(b" " * 50_000_000), gzipped, "too_large"),
            (b"?", gzipped, "bad_gzip"),
        ),
        start=1,
    ):
        assert (await agent.send(content=content, headers=headers)).status_code in {413, 422}
        (reading,) = await agent.dequeue()
        assert (reading.outcome, reading.reason, reading.sent) == ("ok", "arrival", 0)
        device = await agent.row("device")
        assert (device["rejected"], device["last_rejection"], device["boot"]) == (number, code, None)


async def test_a_long_push_that_may_not_wait_is_told_when_to_come_and_its_site_is_up(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [BEAT | {"seq": seq, "uptime_s": 60 * seq} for seq in range(100)]
    batch = {"boot": "b", "uptime_s": 6_000, "batch": rows}
    monkeypatch.setattr(admission, "MAX_WAITING", 0)
    answer = await agent.send(batch)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (503, "too-busy")
    assert 5 <= int(answer.headers["retry-after"]) <= 40
    (reading,) = await agent.dequeue()
    assert (reading.outcome, reading.reason) == ("ok", "arrival")
    assert (await agent.push(BEAT | {"boot": "b", "seq": 200}))["accepted"] == 1, "a live beat never waits"
    monkeypatch.undo()
    assert (await agent.send(batch)).status_code == 200


async def test_the_body_is_read_as_json_whatever_its_content_type(agent: Agent) -> None:
    for number, content_type in enumerate(("text/plain", "application/x-www-form-urlencoded", "nonsense")):
        body = orjson.dumps(BEAT | {"seq": number, "more": "from newer agents"})
        assert (await agent.push(content=body, headers={"Content-Type": content_type}))["accepted"] == 1


async def test_a_device_that_sends_too_often_gets_429(agent: Agent, app: FastAPI) -> None:
    app.state.push.limits = PushLimits(PushSettings(requests_per_min=1, burst=2), LimitsSettings())
    assert [(await agent.send(BEAT | {"seq": n})).status_code for n in range(3)] == [200, 200, 429]
    refused = await agent.send(BEAT | {"seq": 9})
    assert 50 <= int(refused.headers["retry-after"]) <= 60


async def test_a_device_that_keeps_sending_rows_of_hours_long_over_has_to_wait_and_is_heard_all_the_same(
    agent: Agent,
) -> None:
    """Each of these hours is written anew as a whole."""
    await backdate_site(agent)
    now_s = 8 * 86_400

    def a_row_each_hour(first: int) -> dict[str, Any]:
        rows = [{"seq": first + n, "uptime_s": now_s - 3600 * (167 - n), "sent": 3, "rtt_ms": []} for n in range(168)]
        return {"boot": "k3f9", "uptime_s": now_s, "batch": rows}

    responses = [await agent.send(a_row_each_hour(1000 * n)) for n in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert int(responses[-1].headers["retry-after"]) > 60
    assert (await agent.row("device"))["last_rejection"] == "too_many_requests", "it was heard"
    assert (await agent.push(BEAT | {"seq": 10_000}))["accepted"] == 1


async def test_made_up_tokens_count_against_their_address_and_starve_no_known_device(
    agent: Agent, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.push.rate_limits.time.monotonic", lambda: 1_000_000.0)
    limits = LimitsSettings(requests_per_s=1, burst=2)
    app.state.push.limits = PushLimits(PushSettings(requests_per_min=0), limits)
    looked_up = []
    look_up = app.state.push.devices.get

    async def get(digest: bytes) -> Any:
        looked_up.append(digest)
        return await look_up(digest)

    monkeypatch.setattr(app.state.push.devices, "get", get)
    for seq in range(10):
        await agent.push(BEAT | {"seq": seq})
    looked_up.clear()
    made_up = [{"Authorization": f"Bearer sd-{number}"} for number in range(6)]
    assert [(await agent.send(BEAT, headers=one)).status_code for one in made_up] == [401, 401, 429, 429, 429, 429]
    assert len(looked_up) == 2, "beyond the limit nothing is looked up"
    in_body = [BEAT | {"token": f"sd-{number}"} for number in range(2)]
    assert [(await agent.client.post("/api/v1/push", json=body)).status_code for body in in_body] == [429, 429]
    assert (await agent.push(BEAT | {"seq": 99}))["accepted"] == 1, "at the same address"
    own_in_body = BEAT | {"seq": 100, "token": agent.token}
    assert (await agent.client.post("/api/v1/push", json=own_in_body)).json()["accepted"] == 1, "without a header"


async def test_a_process_that_was_started_anew_knows_the_devices_whose_network_sends_made_up_tokens(
    agent: Agent, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.push.rate_limits.time.monotonic", lambda: 1_000_000.0)
    app.state.push.devices = DeviceCache(lambda: app.state.sessions)
    app.state.push.limits = PushLimits(PushSettings(), LimitsSettings(requests_per_s=1, burst=2))
    made_up = [{"Authorization": f"Bearer sd-{number}"} for number in range(3)]
    assert [(await agent.send(BEAT, headers=one)).status_code for one in made_up] == [401, 401, 429]
    assert (await agent.push(BEAT))["accepted"] == 1


async def test_the_ingest_heartbeat_is_enqueued_without_a_site(agent: Agent, session: AsyncSession) -> None:
    async with session.begin():
        _, token = await agent_tokens.mint(session, None, by="sinyal")
    answer = await agent.push({}, headers={"Authorization": f"Bearer {token}"})
    assert (answer["accepted"], answer["rejected"]) == (0, [])
    async with session.begin():
        [heartbeat] = await inbox.dequeue(session, limit=10)
        assert (await session.execute(text("SELECT count(*) FROM device"))).scalar_one() == 0
    assert (heartbeat.site_id, heartbeat.is_api_start) == (None, False)
    assert abs((utc_now() - heartbeat.received_at).total_seconds()) < 60


async def test_a_push_that_we_fail_to_store_gets_500_and_still_proves_the_link(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own fault: the device keeps its rows and sends them again, and its site is not taken for silent."""
    real = device_values.device_values

    def fail_on_rows(received: ReceivedPush, *args: Any, **options: Any) -> dict[str, Any]:
        if received.rows:
            raise TypeError("a fault of ours")
        return real(received, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(device_values, "device_values", fail_on_rows)
        answer = await agent.send(BEAT)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (500, "internal-error")
    (reading,) = await agent.dequeue()
    assert (reading.outcome, reading.reason) == ("ok", "arrival")
    assert (await agent.push(BEAT))["accepted"] == 1, "no row was entered in the receipt"


async def test_a_body_whose_sender_is_not_known_yet_is_small_and_plain(agent: Agent) -> None:
    """It is parsed for its token, whoever sent it: 1 kB of gzip became a megabyte of empty lists, 0.6 s of CPU."""
    lists = b'{"token": "sd-x", "batch": [' + b"[]," * 300_000 + b"[]]}"
    for content, headers, expected in (
        (lists, {}, (413, "too-large")),
        (gzip.compress(lists), {"Content-Encoding": "gzip"}, (422, "invalid")),
        (b'{"token": "' + b"x" * 50_000 + b'"}', {}, (422, "invalid")),
    ):
        for path in ("/api/v1/push", "/api/v1/push/end"):
            started = time.process_time()
            answer = await agent.client.post(path, content=content, headers=headers)
            assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == expected
            assert time.process_time() - started < 0.5
    many = await agent.send(content=lists)
    assert (many.status_code, many.json()["errors"][0]["code"]) == (422, "too_many_values")
