"""What becomes of notifications whose receivers accept, refuse, hang or fail: on a real PostgreSQL, over real HTTP."""

import asyncio
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.access.sealer import open_sealer
from app.alerts.models import MessageForm, NotificationKind
from app.core.clock import utc_now
from app.core.sealing import Sealer
from app.courier.deliverer import Deliverer
from app.postgres.engine import transaction
from app.settings import Settings, SettingsError
from tests.courier.conftest import CourierDesk
from tests.support.receivers import FAILURE, HANG, OK, HttpReceiver, Reply, busy, http_receiver


@pytest.fixture(scope="module")
def http() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


async def test_what_waits_is_delivered_once_in_its_order_with_each_attempt_in_the_ledger(
    courier: CourierDesk, http: HttpReceiver
) -> None:
    channel = await courier.channel(f"{http.url}/order", secret="shared secret")
    told = [await courier.notify(channel, f"Putus {number}") for number in range(5)]
    await courier.run()
    await courier.run()
    assert [received.key for received in http.accepted("/order")] == [await courier.key(each) for each in told]
    first = await courier.get(told[0])
    assert (first.state, first.attempts, first.http_status, first.receiver_id) == ("accepted", 1, 200, "receiver-1")
    assert first.settled_at is not None
    [attempt] = await courier.attempts(told[0])
    assert (attempt.outcome, attempt.http_status, attempt.problem) == ("accepted", 200, None)
    of_channel = await courier.of_channel(channel)
    assert of_channel.accepted_at is not None
    assert (of_channel.failures, of_channel.problem) == (0, None)


async def test_a_failing_receiver_is_tried_again_later_with_the_same_key_and_nothing_overtakes(
    courier: CourierDesk, http: HttpReceiver
) -> None:
    http.reply("/failing", FAILURE, busy(2_000), Reply(503), OK)
    channel = await courier.channel(f"{http.url}/failing")
    onset, recovery = await courier.notify(channel), await courier.notify(channel, "Pulih")
    waits = []
    for _ in range(3):
        await courier.retry()
        retry_at = (await courier.of_channel(channel)).retry_at
        assert retry_at is not None
        waits.append((retry_at - utc_now()).total_seconds())
        assert (await courier.state(onset), (await courier.get(recovery)).attempts) == ("queued", 0)
    assert 3 < waits[0] < 7
    assert 1_990 < waits[1] <= 2_000, "as the receiver asked"
    await courier.run()
    assert len(http.received) > 2, "not before"
    assert (await courier.get(onset)).attempts == 3
    await courier.retry()
    keys = [received.key for received in http.received if received.path == "/failing"]
    assert keys == [await courier.key(onset)] * 4 + [await courier.key(recovery)]
    assert [attempt.problem for attempt in await courier.attempts(onset)] == ["HTTP 500", "HTTP 429", "HTTP 503", None]


async def test_a_receiver_that_hangs_holds_up_its_own_channel_alone(courier: CourierDesk, http: HttpReceiver) -> None:
    http.reply("/hang", HANG)
    hanging = await courier.channel(f"{http.url}/hang")
    others = [await courier.channel(f"{http.url}/beside/{number}") for number in range(3)]
    stuck = await courier.notify(hanging)
    told = [await courier.notify(channel) for channel in others]
    deliverer = Deliverer(courier.sessions, courier.settings, deadline_s=3)
    await deliverer.start_due()
    await deliverer.start_due()
    await deliverer.idle()
    assert [await courier.state(each) for each in told] == ["accepted"] * 3
    assert (await courier.get(stuck)).problem == "no answer within 3 s"
    assert len([received for received in http.received if received.path == "/hang"]) == 1


async def test_what_a_receiver_refuses_bounces_and_what_follows_is_delivered(
    courier: CourierDesk, http: HttpReceiver
) -> None:
    http.reply("/refusing", Reply(404), OK)
    channel = await courier.channel(f"{http.url}/refusing")
    refused, next_one = await courier.notify(channel), await courier.notify(channel)
    await courier.run()
    bounced = await courier.get(refused)
    assert (bounced.state, bounced.problem, bounced.settled_at is None) == ("bounced", "HTTP 404", False)
    assert await courier.state(next_one) == "accepted"


async def test_one_that_a_receiver_cannot_take_holds_up_the_others_for_a_while_only(
    courier: CourierDesk, http: HttpReceiver
) -> None:
    http.reply("/poison", *[FAILURE] * 11, OK, FAILURE, OK)
    channel = await courier.channel(f"{http.url}/poison")
    poison, good, later = [await courier.notify(channel, title) for title in ("Racun", "Baik", "Nanti")]
    for _ in range(11):
        await courier.retry()
    assert (await courier.get(poison)).attempts == 11
    await courier.retry()  # the second oldest is accepted, then the oldest fails again and steps aside
    assert await courier.state(good) == "accepted"
    await courier.retry()
    assert (await courier.state(poison), await courier.state(later)) == ("queued", "accepted")


async def test_a_fallback_takes_over_after_three_failures_and_the_original_is_rerouted(
    courier: CourierDesk, http: HttpReceiver
) -> None:
    http.reply("/down", FAILURE)
    taker = await courier.channel(f"{http.url}/taker", form=MessageForm.SHORT)
    channel = await courier.channel(f"{http.url}/down", fallback_id=taker)
    original = await courier.notify(channel)
    for _ in range(3):
        await courier.sweep()
        assert http.accepted("/taker") == []
        await courier.retry()
    await courier.sweep()
    await courier.sweep()
    await courier.retry()
    [received] = http.accepted("/taker")
    assert received.key == await courier.key(original)
    assert (await courier.state(original), (await courier.get(original)).attempts) == ("rerouted", 3)


async def test_a_refused_one_is_handed_over_at_once_and_ends_with_the_fallbacks_refusal(
    courier: CourierDesk, http: HttpReceiver
) -> None:
    """Even where each is the other's fallback, nothing is handed over twice."""
    for path in ("/no", "/neither"):
        http.reply(path, Reply(403))
    taker = await courier.channel(f"{http.url}/neither")
    channel = await courier.channel(f"{http.url}/no", fallback_id=taker)
    async with transaction(courier.sessions) as session:
        await session.execute(text("UPDATE channel SET fallback_id = :channel WHERE id = :taker"), locals())
    original = await courier.notify(channel)
    for _ in range(4):
        await courier.retry()
        await courier.sweep()
    async with transaction(courier.sessions) as session:
        states = list(await session.scalars(text("SELECT state FROM notification ORDER BY id")))
    assert states == ["bounced", "bounced"]
    assert len(await courier.attempts(original)) == 2


async def test_what_the_fallback_fails_as_well_is_delivered_by_whichever_works_first(
    courier: CourierDesk, http: HttpReceiver
) -> None:
    for path in ("/primary", "/fallen"):
        http.reply(path, FAILURE)
    taker = await courier.channel(f"{http.url}/fallen")
    channel = await courier.channel(f"{http.url}/primary", fallback_id=taker)
    onset = await courier.notify(channel)
    for _ in range(3):
        await courier.retry()
    for _ in range(6):
        await courier.sweep()
        await courier.retry()
    http.reply("/primary", OK)
    await courier.sweep()
    recovery = await courier.notify(channel)
    await courier.retry()
    await courier.retry()
    keys = [await courier.key(each) for each in (onset, recovery)]
    assert [received.key for received in http.accepted("/primary")] == keys, "not a day later, after its recovery"
    http.reply("/fallen", OK)
    await courier.retry()
    assert http.accepted("/fallen") == []
    assert await courier.state(onset) == "accepted"


async def test_after_two_minutes_or_while_the_breaker_is_open_a_fallback_takes_over_at_once(
    courier: CourierDesk, http: HttpReceiver
) -> None:
    http.reply("/broken", FAILURE)
    taker = await courier.channel(f"{http.url}/heir")
    channel = await courier.channel(f"{http.url}/broken", fallback_id=taker)
    old = await courier.notify(channel)
    await courier.run()
    await courier.age(old, utc_now() - timedelta(seconds=121))
    await courier.sweep()
    await courier.run()
    assert await courier.state(old) == "rerouted"
    async with transaction(courier.sessions) as session:
        await session.execute(
            text("UPDATE channel SET failures = 5, retry_at = now() + interval '80 s' WHERE id = :channel"), locals()
        )
    new = await courier.notify(channel)
    await courier.sweep()
    await courier.run()
    assert (await courier.state(new), await courier.attempts(new)) == ("rerouted", [])


async def test_what_its_channel_attempts_just_now_is_handed_over_only_once_that_failed(
    courier: CourierDesk, http: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    http.reply("/waiting", FAILURE)
    taker = await courier.channel(f"{http.url}/beside")
    channel = await courier.channel(f"{http.url}/waiting", fallback_id=taker, failures=1)
    told = await courier.notify(channel, created_at=utc_now() - timedelta(minutes=3))
    record, attempted, goes_on = courier.deliverer._record, asyncio.Event(), asyncio.Event()

    async def record_later(*arguments: Any) -> None:
        attempted.set()
        await goes_on.wait()
        await record(*arguments)

    monkeypatch.setattr(courier.deliverer, "_record", record_later)
    await courier.deliverer.start_due()
    await attempted.wait()
    await courier.sweep()
    async with transaction(courier.sessions) as session:
        assert await session.scalar(text("SELECT count(*) FROM notification")) == 1
    goes_on.set()
    await courier.deliverer.idle()
    await courier.sweep()
    await courier.run()
    assert await courier.state(told) == "rerouted"


async def test_after_a_day_of_failures_or_of_a_pause_it_is_dead_and_what_waited_for_less_is_delivered(
    courier: CourierDesk, http: HttpReceiver
) -> None:
    for path in ("/dead", "/deleted"):
        http.reply(path, FAILURE)
    failing, deleted = await courier.channel(f"{http.url}/dead"), await courier.channel(f"{http.url}/deleted")
    paused = await courier.channel(f"{http.url}/paused", paused_at=utc_now())
    told = [await courier.notify(channel) for channel in (failing, deleted, paused, paused)]
    await courier.run()
    for each in told[:3]:
        await courier.age(each, utc_now() - timedelta(hours=24, seconds=1))
    async with transaction(courier.sessions) as session:
        await session.execute(text("UPDATE channel SET deleted_at = now() WHERE id = :deleted"), locals())
    await courier.sweep()
    assert [await courier.state(each) for each in told] == ["dead", "dead", "dead", "queued"]
    problems = [(await courier.get(each)).problem for each in told[1:3]]
    assert problems == ["the channel was deleted", "the channel was paused"]
    async with transaction(courier.sessions) as session:
        await session.execute(text("UPDATE channel SET paused_at = NULL WHERE id = :paused"), locals())
    await courier.sweep()
    await courier.run()
    assert [await courier.state(each) for each in told[2:]] == ["dead", "accepted"]
    assert len(http.accepted("/paused")) == 1


async def test_a_test_by_hand_does_not_wait_for_the_breaker_nor_for_what_waits(
    courier: CourierDesk, http: HttpReceiver
) -> None:
    channel = await courier.channel(f"{http.url}/tried", failures=7, retry_at=utc_now() + timedelta(minutes=15))
    waiting = await courier.notify(channel)
    by_hand = await courier.notify(channel, "Uji", kind=NotificationKind.TEST)
    await courier.run()
    assert [await courier.state(each) for each in (by_hand, waiting)] == ["accepted", "accepted"]
    assert http.accepted("/tried")[0].key == await courier.key(by_hand)


async def test_a_clock_that_was_set_back_delays_nothing(courier: CourierDesk, http: HttpReceiver) -> None:
    ahead = utc_now() + timedelta(days=2)
    channel = await courier.channel(f"{http.url}/clock", failures=3, retry_at=ahead)
    told = await courier.notify(channel, created_at=ahead, next_attempt_at=ahead)
    await courier.run()
    assert await courier.state(told) == "accepted"


async def test_a_crash_between_delivery_and_commit_repeats_it_with_the_same_key(
    courier: CourierDesk, http: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = await courier.channel(f"{http.url}/crash")
    told = await courier.notify(channel)
    crashing, delivered = Deliverer(courier.sessions, courier.settings), asyncio.Event()

    async def never(*_: object) -> None:
        delivered.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(crashing, "_record", never)
    await crashing.start_due()
    await delivered.wait()
    await crashing.stop()
    await courier.run()
    assert [received.key for received in http.accepted("/crash")] == [await courier.key(told)] * 2


async def test_another_secret_key_stops_deliveries_with_a_clear_error_and_delivers_nothing_elsewhere(
    courier: CourierDesk, http: HttpReceiver
) -> None:
    channel = await courier.channel(f"{http.url}/other-key")
    told = await courier.notify(channel)
    other = Deliverer(courier.sessions, Settings(secret_key=["z" * 32]))
    with pytest.raises(SettingsError, match="is another one than that which sealed the channels"):
        await other.start_due()
    assert (await courier.state(told), await courier.attempts(told)) == ("queued", [])
    mixed = await courier.channel("x", target=Sealer(["z" * 32]).seal(f"{http.url}/mixed"))
    await courier.channel(f"{http.url}/newest")
    unopened = await courier.notify(mixed)
    await courier.run()
    assert (await courier.get(unopened)).problem == "sealed by another secret key: enter its URL again"


async def test_a_lost_secret_key_is_an_error_and_no_reason_for_a_new_one(courier: CourierDesk, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    async with transaction(courier.sessions) as session:
        sealed = (await open_sealer(session, settings)).seal("https://hooks.example")
        assert (await open_sealer(session, settings)).unseal(sealed) == "https://hooks.example"
    await courier.channel("x", target=sealed)
    (tmp_path / "secret_key").unlink()
    async with transaction(courier.sessions) as session:
        with pytest.raises(SettingsError, match="is missing"):
            await open_sealer(session, settings)
    assert os.listdir(tmp_path) == []


async def test_what_an_older_version_wrote_is_still_delivered(courier: CourierDesk, http: HttpReceiver) -> None:
    http.reply("/older", FAILURE)
    taker = await courier.channel(f"{http.url}/younger", form=MessageForm.SHORT)
    channel = await courier.channel(f"{http.url}/older", fallback_id=taker)
    removed = await courier.channel("gopher://x", service="gopher")
    told = await courier.notify(channel, content={"kind": "no longer"})
    unknown = await courier.notify(removed)
    for _ in range(3):
        await courier.retry()
    await courier.sweep()
    await courier.retry()
    assert await courier.state(told) == "rerouted"
    assert (await courier.get(unknown)).problem == "alerts are no longer delivered by this service"
