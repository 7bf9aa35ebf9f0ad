"""The whole courier process beside a second one, on a real PostgreSQL."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.alerts.models import AlertKind, Notification, NotificationKind
from app.courier import process, weekly_tests
from app.courier.process import Courier, deliver
from app.postgres.engine import transaction
from tests.courier.conftest import CourierDesk
from tests.support.alerts import AlertDesk
from tests.support.receivers import HttpReceiver, http_receiver

CUT = text("""
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE application_name LIKE 'sinyal courier%' AND datname = current_database()
""")
MONDAY_0900 = datetime(2026, 11, 30, 1, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def http() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


async def test_one_courier_leads_another_takes_over_and_cut_connections_lose_nothing(
    courier: CourierDesk, courier_engine: AsyncEngine, http: HttpReceiver
) -> None:
    url = courier_engine.url.render_as_string(hide_password=False)
    settings = courier.settings.model_copy(update={"database_url": url})
    first_stop, second_stop = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(deliver(settings, first_stop))
    channel = await courier.channel(f"{http.url}/led")

    async def delivered(told: int) -> None:
        async with asyncio.timeout(20):
            while await courier.state(told) != "accepted":  # noqa: ASYNC110  # in another process, as it were
                await asyncio.sleep(0.05)

    await delivered(await courier.notify(channel))
    second = asyncio.create_task(deliver(settings, second_stop))
    async with transaction(courier.sessions) as session:
        await session.execute(CUT)
    await delivered(await courier.notify(channel))
    first_stop.set()
    await first
    await delivered(await courier.notify(channel))
    second_stop.set()
    await second
    keys = [received.key for received in http.accepted("/led")]
    assert len(set(keys)) == 3
    async with transaction(courier.sessions) as session:
        assert await session.scalar(text("SELECT count(*) FROM courier_beat")) == 1


async def test_a_week_begins_with_a_test_through_each_channel_that_nothing_was_told_of(courier: CourierDesk) -> None:
    created: dict[str, Any] = {"created_at": MONDAY_0900 - timedelta(days=3)}
    idle = await courier.channel("http://127.0.0.1/idle", **created)
    await courier.channel("http://127.0.0.1/heard", accepted_at=MONDAY_0900 - timedelta(hours=2), **created)
    await courier.channel("http://127.0.0.1/paused", paused_at=MONDAY_0900, **created)
    await courier.channel("http://127.0.0.1/new", created_at=MONDAY_0900 + timedelta(minutes=5))
    counts = []
    for after in (timedelta(minutes=-1), timedelta(minutes=60), timedelta(minutes=61), timedelta(days=1)):
        async with transaction(courier.sessions) as session:
            counts.append(await weekly_tests.write_due(session, MONDAY_0900 + after))
    assert counts == [0, 1, 0, 0]
    async with transaction(courier.sessions) as session:
        rows = (await session.execute(text("SELECT channel_id, kind, title <> '' AS titled FROM notification"))).all()
    assert rows == [(idle, NotificationKind.WEEKLY_TEST.value, True)]


async def test_the_courier_writes_the_digest_of_a_day_that_a_rule_asks_for(
    courier: CourierDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = await courier.channel("http://127.0.0.1:9/digest")
    await AlertDesk(courier.sessions).rule(channel, kinds=[AlertKind.DAILY_DIGEST])
    monkeypatch.setattr(process, "utc_now", lambda: MONDAY_0900 + timedelta(days=1))
    for _ in range(2):
        for job in Courier(courier.sessions, courier.settings).jobs():
            if job.every_s == 60:
                await job.run()
    async with transaction(courier.sessions) as session:
        assert list(await session.scalars(select(Notification.kind))) == [NotificationKind.DAILY_DIGEST]
