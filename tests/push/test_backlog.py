"""What a device brings of a time in which nobody heard it waits; that it is back does not."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.core.clock import to_slot
from app.postgres.engine import Sessions, transaction
from app.push import admission, backlog, dedupe, inbox, parser
from app.push.admission import Admission
from app.push.dedupe import Receipt, ReceivedPush, SequenceRanges
from app.push.group_commit import GroupCommit, TooBusy
from app.push.inbox import Delivery
from app.push.last_push import LastPush
from app.push.timestamps import ARRIVAL, PushSite, assign_slots
from probes.contract import AGENT, Outcome, Reading

NOW = datetime(2026, 11, 25, 4, tzinfo=UTC)
SITE = PushSite(7, "active", 0, 60, 60)


def deliveries(rows: int, *, heard_s_ago: int, newest_s: int = 90) -> list[Delivery]:
    """Those of a push with a row a minute, the newest so many seconds old."""
    batch = [
        {"seq": n, "uptime_s": 99_000 - newest_s - 60 * (rows - n), "sent": 1, "rtt_ms": [20]} for n in range(rows)
    ]
    push = parser.parse({"boot": "b", "uptime_s": 99_000 - 60, "batch": batch})
    received_us = to_slot(NOW) * 1_000_000
    received = ReceivedPush(SITE, NOW, received_us, 100, push, assign_slots(push, received_us, SITE))
    last = LastPush("b", NOW - timedelta(seconds=heard_s_ago), 60, None, None)
    receipts = {(7, "b"): Receipt(SequenceRanges(), is_stored=False, first_at=NOW, last_at=NOW)}
    _, readings = dedupe.accept_rows(received, SITE, receipts, last)
    return backlog.deliveries_of(received, 7, readings, last)


def test_of_a_device_that_was_away_its_arrival_goes_first() -> None:
    now, later = deliveries(500, heard_s_ago=30_000)
    assert ([reading.reason for reading in now.readings()], now.is_backlog) == ([ARRIVAL], False)
    assert (len(later.readings()), later.is_backlog) == (500, True)
    assert {reading.reason for reading in later.readings()} == {"late"}


def test_few_rows_and_rows_that_were_heard_in_time_stay_with_their_push() -> None:
    assert [(len(part.readings()), part.is_backlog) for part in deliveries(5, heard_s_ago=900)] == [(6, False)]
    (whole,) = deliveries(30, heard_s_ago=80, newest_s=70)
    assert (len(whole.readings()), whole.is_backlog) == (30, False)


async def test_the_backlog_is_dequeued_last_and_in_its_order(sessions: Sessions) -> None:
    def row(slot: int) -> list[Reading]:
        return [Reading(0, slot, Outcome.OK, 1, (20_000,), 60, source=AGENT)]

    async with transaction(sessions) as session:
        made = [
            Delivery.of_site(None, NOW, row(slot), is_backlog=later)  # type: ignore[arg-type]
            for slot, later in enumerate((True, False, True, False))
        ]
        await inbox.enqueue(session, made)
        first = await inbox.dequeue(session, limit=3)
        assert [(part.payload, part.is_backlog) for part in first] == [
            (made[index].payload, made[index].is_backlog) for index in (1, 3, 0)
        ]
        assert [part.payload for part in await inbox.dequeue(session, limit=9)] == [made[2].payload]
        assert await session.scalar(text("SELECT count(*) FROM push_inbox")) == 0


def no_sessions() -> Sessions:
    raise AssertionError("nothing is written here")


async def test_long_pushes_are_parsed_one_by_one_and_short_ones_at_once() -> None:
    queue, order = Admission(GroupCommit(no_sessions)), list[str]()

    async def push(name: str, size: int, held: asyncio.Event) -> None:
        async with queue.turn(size):
            order.append(name)
            await held.wait()

    first_done, done = asyncio.Event(), asyncio.Event()
    done.set()
    tasks = [
        asyncio.create_task(push("first", 5_000, first_done)),
        asyncio.create_task(push("second", 5_000, done)),
        asyncio.create_task(push("short", 300, done)),
    ]
    await asyncio.sleep(0.01)
    assert (order, len(queue)) == (["short", "first"], 2)
    first_done.set()
    await asyncio.gather(*tasks)
    assert (order, len(queue)) == (["short", "first", "second"], 0)


async def test_more_than_may_wait_are_told_when_to_come_again_each_at_another_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "MAX_WAITING_BYTES", 10_000)
    queue, told = Admission(GroupCommit(no_sessions)), set[int]()
    async with queue.turn(6_000):
        for _ in range(60):
            with pytest.raises(TooBusy) as refused:
                async with queue.turn(6_000):
                    pass
            told.add(refused.value.extra["retry_after_s"])
        async with queue.turn(300):
            pass
    assert len(told) > 10
    assert min(told) >= admission.RETRY_AFTER_S[0]
    assert max(told) <= admission.RETRY_AFTER_S[1]
    async with queue.turn(6_000):
        pass
