"""The inbox returns what was enqueued, across versions, and a payload that cannot be decoded stops no other."""

from datetime import timedelta

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.push import inbox
from app.push.inbox import Delivery
from probes.contract import AGENT, Outcome, Reading
from tests.conftest import Cast
from tests.factories import register

NOW = utc_now()
READING = Reading(7, 1_795_500_000, Outcome.OK, 3, (21_300, 22_000), 60, "claimed", AGENT)


def test_a_delivery_holds_its_readings() -> None:
    silent = Reading(7, READING.slot + 60, Outcome.TIMEOUT, 3, (), 60, None, AGENT)
    assert Delivery.of_site(7, NOW, [READING, silent]).readings() == [READING, silent]


def test_fields_that_a_newer_api_adds_are_ignored() -> None:
    (fields,) = orjson.loads(Delivery.of_site(7, NOW, [READING]).payload)
    assert Delivery(7, NOW, orjson.dumps([[*fields, "more"]])).readings() == [READING]


@pytest.mark.parametrize("payload", [b"{", b'{"rows": 1}', b"[[1]]", b'[[1, "fine", 3, [], 60, null]]', b"[7]"])
def test_a_payload_of_another_format_fails_only_when_its_readings_are_read(payload: bytes) -> None:
    delivery = Delivery(7, NOW, payload)
    with pytest.raises((ValueError, TypeError)):
        delivery.readings()


def test_a_heartbeat_and_the_start_of_an_api_process_are_distinguished() -> None:
    assert not Delivery.heartbeat(NOW).is_api_start
    assert Delivery.api_start(NOW).is_api_start
    assert not Delivery.of_site(7, NOW, [READING]).is_api_start


async def test_the_oldest_deliveries_are_dequeued_first_and_those_set_aside_only_when_requeued(
    session: AsyncSession, cast: Cast
) -> None:
    site_id = (await register(cast, probe="push", host=None))["id"]
    times = [NOW + timedelta(seconds=n) for n in range(4)]

    async def dequeue(limit: int) -> list[Delivery]:
        async with session.begin():
            return await inbox.dequeue(session, limit=limit)

    async with session.begin():
        await inbox.enqueue(session, [Delivery.of_site(site_id, at, [READING]) for at in times])
    (oldest,) = await dequeue(1)
    assert oldest.received_at == times[0]
    async with session.begin():
        await inbox.set_aside(session, oldest.id + 1)
    assert [delivery.received_at for delivery in await dequeue(1)] == [times[2]]
    async with session.begin():
        await inbox.requeue_set_aside(session)
    assert [delivery.received_at for delivery in await dequeue(10)] == [times[1], times[3]]
    assert await dequeue(10) == []
