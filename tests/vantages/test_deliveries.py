"""What probers deliver: once, only of their vantage, and never lost between the answer and the inbox."""

import gzip
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import to_slot, utc_now
from app.vantages import inbox, prober_gate, prober_routes
from app.vantages.models import ProberInbox, ProberReceipt, RegisteredProber
from tests.conftest import Cast
from tests.factories import register
from tests.support.delivering_probers import DeliveringProber, block, make_prober, make_vantage, ok


@pytest.fixture
async def site(cast: Cast, session: AsyncSession) -> int:
    """Registered an hour ago."""
    return await registered(cast, session)


async def registered(cast: Cast, session: AsyncSession, **fields: Any) -> int:
    site = int((await register(cast, **fields))["id"])
    async with session.begin():
        await session.execute(
            text("UPDATE site_configuration SET started_at = now() - interval '8 days' WHERE site_id = :id"),
            {"id": site},
        )
    return site


@pytest.fixture
async def prober(app: FastAPI, cast: Cast) -> DeliveringProber:
    return await make_prober(app, cast)


def ago(seconds: float) -> int:
    return to_slot(utc_now() - timedelta(seconds=seconds))


async def waiting(session: AsyncSession) -> list[tuple[int, int, str]]:
    """The readings in the inbox: site, slot, source."""
    async with session.begin():
        blocks = await inbox.dequeue(session, limit=100, most_readings=10**6)
    readings = [reading for each in blocks for reading in each.block().readings.readings()]
    return [(reading.key, reading.slot, reading.source) for reading in readings]


async def stored(session: AsyncSession, prober: DeliveringProber) -> RegisteredProber:
    async with session.begin():
        row = await session.get(RegisteredProber, prober.id, populate_existing=True)
    assert row is not None
    return row


async def test_what_is_acknowledged_waits_to_be_judged_once(
    prober: DeliveringProber, site: int, session: AsyncSession
) -> None:
    slot = ago(9)
    blocks = [block(4, [ok(site, slot)]), block(5, [ok(site, slot + 1), ok(site, slot + 2)])]
    answer = (await prober.deliver(blocks)).json()
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == ([4, 5], [], [])
    again = (await prober.deliver(blocks)).json()
    assert (again["accepted"], again["duplicates"], again["changed"]) == ([], [4, 5], [])
    other_boot = (await prober.deliver(blocks[:1], boot="b2")).json()
    assert other_boot["accepted"] == [4]
    expected = [(site, slot + n, "central") for n in (0, 1, 2, 0)]
    assert await waiting(session) == expected
    row = await stored(session, prober)
    assert (row.readings, row.address) == (4, "198.51.100.7")


async def test_the_answer_names_the_clock_the_registry_and_the_database(
    prober: DeliveringProber, session: AsyncSession
) -> None:
    answer = (await prober.send_beat()).json()
    assert abs(datetime.fromisoformat(answer["server_time"]) - utc_now()) < timedelta(seconds=30)
    registry = await session.scalar(text("SELECT version FROM change_counter WHERE name = 'registry'"))
    system, timeline = answer["database"].split("-")
    assert (answer["assignment"], timeline, answer["ack_keep_s"]) == (registry or 0, "00000001", 900)
    assert system == str(await session.scalar(text("SELECT system_identifier FROM pg_control_system()")))
    delivered = (await prober.deliver([])).json()
    assert delivered["database"] == answer["database"]


async def test_a_sequence_number_that_comes_again_with_other_readings_changes_nothing_and_is_told(
    prober: DeliveringProber, site: int, session: AsyncSession
) -> None:
    slot = ago(9)
    await prober.deliver([block(4, [ok(site, slot)])])
    answer = (await prober.deliver([block(4, [ok(site, slot + 1)])])).json()
    assert (answer["accepted"], answer["duplicates"], answer["changed"]) == ([], [4], [4])
    assert await waiting(session) == [(site, slot, "central")]
    assert (await stored(session, prober)).last_rejection == "changed"


async def test_a_token_tells_nothing_of_what_its_vantage_does_not_look_at(
    app: FastAPI, cast: Cast, session: AsyncSession
) -> None:
    """Sites of other vantages, sites that push, retired and unknown ones, and a time before they were registered."""
    await make_vantage(cast)
    prober = await make_prober(app, cast, vantage="telkom")
    ours = await registered(cast, session, host="198.51.100.21", vantages=[1])
    both = await registered(cast, session, host="198.51.100.22", vantages=[0, 1])
    others = await registered(cast, session, host="198.51.100.23")
    pushing = await registered(cast, session, probe="push", host=None, technology="leo", vantages=[1])
    retired = await registered(cast, session, host="198.51.100.24", vantages=[1])
    await cast.sari.delete(f"/sites/{retired}")
    new = int((await register(cast, host="198.51.100.25", vantages=[1]))["id"])
    slot = to_slot(utc_now())
    readings = [ok(site, slot) for site in (ours, both, others, pushing, retired, 99_999)] + [ok(new, slot - 60)]
    answer = (await prober.deliver([block(1, readings), block(2, [ok(others, slot)])])).json()
    assert (answer["accepted"], answer["not_assigned"]) == ([1, 2], 6)
    assert await waiting(session) == [(ours, slot, "vantage-1"), (both, slot, "vantage-1")]


async def test_from_where_a_block_was_read_is_its_probers_vantage_whatever_it_says(
    app: FastAPI, cast: Cast, session: AsyncSession
) -> None:
    await make_vantage(cast)
    prober = await make_prober(app, cast, vantage="telkom")
    site = await registered(cast, session, vantages=[0, 1])
    slot = ago(9)
    forged = {**block(1, [ok(site, slot)]), "source": ["central"], "vantage": 0, "prober_id": 1}
    assert (await prober.deliver([forged], vantage=0)).json()["accepted"] == [1]
    assert await waiting(session) == [(site, slot, "vantage-1")]


async def test_no_look_holds_a_state_for_longer_than_the_longest_interval(
    prober: DeliveringProber, site: int, session: AsyncSession
) -> None:
    """Else one answer would keep a site up for 22 hours after its prober was gone."""
    await prober.deliver([block(1, [replace(ok(site, ago(9)), valid_s=32_767)])])
    async with session.begin():
        (waiting_block,) = await inbox.dequeue(session, limit=1, most_readings=1)
    assert waiting_block.block().readings.valid_s.tolist() == [60]


async def test_a_flood_of_blocks_is_slowed_before_it_is_stored(
    prober: DeliveringProber, site: int, session: AsyncSession, app: FastAPI
) -> None:
    limits = app.state.probers.limits
    limits._blocks = type(limits._blocks)(per_s=0.1, burst=3)
    blocks = [block(seq, [ok(site, ago(9))]) for seq in range(3)]
    assert (await prober.deliver(blocks)).status_code == 200
    refused = await prober.deliver([block(3, [ok(site, ago(9))])])
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
    assert len((await session.scalars(select(ProberReceipt.seq))).all()) == 3


async def test_blocks_of_the_future_of_long_ago_and_of_nonsense_are_rejected_one_by_one(
    prober: DeliveringProber, site: int, session: AsyncSession
) -> None:
    good = block(1, [ok(site, ago(9))])
    blocks = [
        good,
        block(2, [ok(site, ago(-60))]),
        block(3, [ok(site, ago(8 * 86_400))]),
        {**good, "seq": 4, "key": [site, site]},
        {**good, "seq": 5, "slot": ["x"]},
        block(6, []),
        {"seq": 7},
    ]
    answer = (await prober.deliver(blocks, headers=None)).json()
    assert answer["accepted"] == [1]
    codes = {rejected["seq"]: rejected["code"] for rejected in answer["rejected"]}
    assert codes == {2: "clock", 3: "too_old", 4: "malformed", 5: "malformed", 6: "empty", 7: "malformed"}
    assert len(await waiting(session)) == 1
    row = await stored(session, prober)
    assert (row.rejected_readings, row.last_rejection) == (5, "malformed")


@pytest.mark.parametrize(
    ("changes", "status", "where"),
    [
        ({"protocol": 2}, 426, None),
        ({"protocol": "1"}, 422, "protocol"),
        ({"instance": "a b"}, 422, "instance"),
        ({"boot": 7}, 422, "boot"),
        ({"sent_at": "2026-11-24T06:00:00"}, 422, "sent_at"),
        ({"blocks": {}}, 422, "blocks"),
        ({"blocks": [{"seq": -1}]}, 422, "blocks.seq"),
        ({"blocks": [{"seq": 1}, {"seq": 1}]}, 422, "blocks.seq"),
        ({"blocks": [{"seq": n} for n in range(51)]}, 413, None),
        ({"blocks": [{"seq": 1, "key": [1] * 60_001}]}, 413, None),
        ({"beat": {"protocol": 1}}, 422, "beat.version"),
        ({"beat": []}, 422, "beat"),
    ],
)
async def test_what_is_wrong_with_a_whole_delivery_is_told_by_field(
    prober: DeliveringProber, changes: dict[str, Any], status: int, where: str | None
) -> None:
    answer = await prober.deliver(**{"blocks": [], **changes})
    assert answer.status_code == status, answer.text
    assert where is None or where in {fault["field"] for fault in answer.json()["errors"]}


async def test_bodies_that_swell_are_refused_before_they_are_unpacked(prober: DeliveringProber) -> None:
    gzipped = {"Content-Encoding": "gzip"}
    bomb = await prober.post("readings", gzip.compress(b" " * 20_000_000), gzipped)
    assert bomb.status_code == 413
    deep = await prober.post("readings", gzip.compress(b"[" * 1_000_000), gzipped)
    assert (deep.status_code, deep.json()["errors"][0]["code"]) == (422, "too_many_values")
    cut = await prober.post("readings", gzip.compress(orjson.dumps({"protocol": 1}))[:-9], gzipped)
    assert (cut.status_code, cut.json()["errors"][0]["code"]) == (422, "bad_gzip")
    assert (await prober.post("readings", b"x" * 4_000_001)).status_code == 413
    assert (await prober.post("beat", b"\xff")).status_code == 422


async def test_the_process_that_began_last_speaks_and_the_other_one_is_told_to_end(
    prober: DeliveringProber, session: AsyncSession, site: int
) -> None:
    first = prober
    second = DeliveringProber(prober.client, prober.token, prober.id, "p2", first.started_at + timedelta(minutes=1))
    assert (await first.send_beat()).status_code == 200
    assert (await second.deliver([], beat=None)).json()["errors"][0]["code"] == "beat_first"
    assert (await second.send_beat()).status_code == 200
    refused = await first.deliver([block(1, [ok(site, ago(9))])])
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "superseded")
    assert await waiting(session) == []
    assert (await first.send_beat()).status_code == 409
    row = await stored(session, prober)
    assert (row.instance, row.superseded) == ("p2", 2)
    async with session.begin():
        silent = update(RegisteredProber).values(seen_at=utc_now() - timedelta(seconds=31))
        await session.execute(silent)
    assert (await first.send_beat()).status_code == 200, "nobody else speaks"


async def test_a_process_that_claims_to_begin_in_the_future_does_not_keep_its_place_for_ever(
    prober: DeliveringProber,
) -> None:
    prober.started_at = utc_now() + timedelta(days=900)
    assert (await prober.send_beat()).status_code == 200
    next_one = DeliveringProber(prober.client, prober.token, prober.id, "p2", utc_now() + timedelta(seconds=1))
    assert (await next_one.send_beat()).status_code == 200


async def test_a_beat_says_how_a_prober_is(prober: DeliveringProber, session: AsyncSession) -> None:
    spool = {"readings": 12, "oldest_at": "2026-11-24T06:00:00Z", "bytes": 4096, "lost": 1}
    blind = utc_now() - timedelta(seconds=20)
    await prober.send_beat(blind_since=blind.isoformat(), clock_offset_ms=-812, spool=spool, figures={"sites": 3})
    row = await stored(session, prober)
    assert (row.blind_since, row.clock_offset_ms, row.spooled_readings) == (blind, -812, 12)
    assert row.figures == {"sites": 3, "spool_bytes": 4096, "spool_lost": 1}
    await prober.send_beat(figures={})
    assert (await stored(session, prober)).blind_since is None


async def test_strangers_are_refused_before_their_body_is_read(app: FastAPI, cast: Cast) -> None:
    nobody = DeliveringProber(cast.stranger.client, "sp-made-up", 0)
    for answer in (
        await nobody.deliver([]),
        await nobody.post("beat", b"no json"),
        await cast.sari.post("/prober/beat"),
    ):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert (await cast.stranger.post("/prober/readings")).status_code == 401


async def test_too_much_at_once_waits_in_the_spool(
    prober: DeliveringProber, site: int, monkeypatch: pytest.MonkeyPatch, session: AsyncSession, app: FastAPI
) -> None:
    monkeypatch.setattr(prober_gate, "MOST_WAITING", 1)
    monkeypatch.setattr(prober_gate, "WAITING_S", 0)
    readings = [ok(site, ago(9)), ok(site, ago(8))]
    assert (await prober.deliver([block(1, readings)])).status_code == 200
    full = await prober.deliver([block(2, readings)])
    assert (full.status_code, "retry-after" in full.headers) == (503, True)
    assert len((await session.scalars(select(ProberInbox))).all()) == 1
    assert (await session.scalars(select(ProberReceipt.seq))).all() == [1]
    monkeypatch.setattr(
        app.state.probers.limits, "_requests", type(app.state.probers.limits._requests)(per_s=1, burst=1)
    )
    assert (await prober.send_beat()).status_code == 200
    limited = await prober.send_beat()
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")


async def test_who_fills_the_inbox_keeps_no_other_prober_from_delivering_nor_loses_its_lease(
    prober: DeliveringProber,
    site: int,
    monkeypatch: pytest.MonkeyPatch,
    session: AsyncSession,
    app: FastAPI,
    cast: Cast,
) -> None:
    monkeypatch.setattr(prober_gate, "MOST_OF_ONE", 1)
    monkeypatch.setattr(prober_gate, "WAITING_S", 0)
    other = await make_prober(app, cast, "samarinda-2")
    readings = [ok(site, ago(9)), ok(site, ago(8))]
    assert (await prober.deliver([block(1, readings)])).status_code == 200
    before = (await stored(session, prober)).seen_at
    assert (await prober.deliver([block(2, readings)])).status_code == 503
    after = (await stored(session, prober)).seen_at
    assert before is not None
    assert after is not None
    assert after > before, "it lives, and its sites stay with it"
    assert (await other.deliver([block(1, readings)])).status_code == 200


async def test_large_deliveries_are_unpacked_beside_the_event_loop(
    prober: DeliveringProber, site: int, monkeypatch: pytest.MonkeyPatch, session: AsyncSession
) -> None:
    monkeypatch.setattr(prober_routes, "BESIDE_BYTES", 1)
    assert (await prober.deliver([block(1, [ok(site, ago(9))])])).json()["accepted"] == [1]
    assert len(await waiting(session)) == 1
