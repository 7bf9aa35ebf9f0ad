"""Devices are looked up together and cached, and a full cache evicts single devices."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotSignedIn, Unavailable
from app.postgres.engine import Sessions
from app.profiles import profiles
from app.push import device_cache
from app.push.device_cache import DeviceCache, RegisteredDevice
from app.push.timestamps import PushSite
from probes.contract import ProbeKind
from tests.conftest import Cast
from tests.support.agent_fixtures import make_agent


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[list[bytes]]:
    """The digests of each query; those that begin with ? are of unknown tokens."""
    queries: list[list[bytes]] = []

    async def look_up(session: AsyncSession, digests: list[bytes]) -> dict[bytes, RegisteredDevice]:
        queries.append(digests)
        await asyncio.sleep(0)
        site = PushSite(1, "active", 0, 60, 60)
        known = [digest for digest in digests if not digest.startswith(b"?")]
        return dict.fromkeys(known, RegisteredDevice(site, ProbeKind.PUSH, 1))

    monkeypatch.setattr(device_cache, "_look_up", look_up)
    return queries


def numbered(first: int, last: int) -> list[bytes]:
    return [number.to_bytes(4) for number in range(first, last + 1)]


async def get_all(cache: DeviceCache, digests: list[bytes]) -> list[Any]:
    return await asyncio.gather(*map(cache.get, digests), return_exceptions=True)


async def test_tokens_asked_for_at_the_same_time_share_queries(sessions: Sessions, queries: list[list[bytes]]) -> None:
    cache = DeviceCache(lambda: sessions)
    await get_all(cache, numbered(1, 500))
    assert sum(map(len, queries)) == 500
    assert len(queries) <= 2
    await cache.close()


async def test_one_device_more_than_100_000_is_no_reason_to_look_the_others_up_again(
    sessions: Sessions, queries: list[list[bytes]]
) -> None:
    cache = DeviceCache(lambda: sessions, timer=lambda: 0.0)
    await get_all(cache, numbered(1, 100_000))
    await cache.get(numbered(100_001, 100_001)[0])
    queries.clear()
    await get_all(cache, numbered(1, 100_001))
    assert queries == []
    await cache.close()


async def test_a_full_cache_evicts_the_least_recently_used_device_alone(
    sessions: Sessions, queries: list[list[bytes]]
) -> None:
    cache = DeviceCache(lambda: sessions, max_devices=3, timer=lambda: 0.0)
    for digest in (b"a", b"b", b"c", b"a", b"d"):
        await cache.get(digest)
    queries.clear()
    await get_all(cache, [b"a", b"c", b"d"])
    assert queries == []
    await cache.get(b"b")
    assert queries == [[b"b"]]
    await cache.close()


async def test_a_row_that_cannot_be_read_is_no_other_devices_fault(
    app: FastAPI, cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = [await make_agent(app, cast, session, technology=technology) for technology in ("fiber", "radio")]
    known = {name: profile for name, profile in profiles().items() if name != "radio"}
    monkeypatch.setattr(device_cache, "profiles", lambda: known)
    beat = {"boot": "b", "seq": 1, "sent": 3, "rtt_ms": [20, 21, 22]}
    answers = await asyncio.gather(*(agent.send(beat) for agent in agents))
    assert [answer.status_code for answer in answers] == [200, 503], "ours, not the token's: the device keeps its rows"
    for agent in agents:
        await agent.client.aclose()


async def test_an_unknown_token_is_looked_up_each_time(sessions: Sessions, queries: list[list[bytes]]) -> None:
    cache = DeviceCache(lambda: sessions)
    for _ in range(2):
        with pytest.raises(NotSignedIn):
            await cache.get(b"?")
    assert queries == [[b"?"]] * 2
    await cache.close()


async def test_a_caller_that_gives_up_leaves_the_query_to_the_others(
    sessions: Sessions, queries: list[list[bytes]]
) -> None:
    cache = DeviceCache(lambda: sessions)
    callers = [asyncio.create_task(cache.get(b"a")) for _ in range(3)]
    await asyncio.sleep(0)
    callers[0].cancel()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["CancelledError", "RegisteredDevice", "RegisteredDevice"]
    await cache.close()


@pytest.mark.parametrize(("error", "expected"), [(ConnectionRefusedError, Unavailable), (TypeError, TypeError)])
async def test_only_an_unavailable_database_is_reported_as_one(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, error: type[Exception], expected: type[Exception]
) -> None:
    async def fail(session: AsyncSession, digests: list[bytes]) -> dict[bytes, RegisteredDevice]:
        raise error

    monkeypatch.setattr(device_cache, "_look_up", fail)
    cache = DeviceCache(lambda: sessions)
    results = await get_all(cache, [b"a", b"b"])
    assert [type(result) for result in results] == [expected] * 2
    await cache.close()
