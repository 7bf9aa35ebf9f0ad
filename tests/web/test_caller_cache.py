"""The caller cache: one look-up for all streams of a credential, and no answer that is older than its TTL."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.datastructures import State

from app.access.models import CredentialKind, Role
from app.access.scope import Caller
from app.access.stream_tickets import Credential
from app.core.errors import NotSignedIn
from app.web.caller_cache import TOKEN_TTL_S, TRUSTED_S, CallerCache

TOKEN = Credential(CredentialKind.TOKEN, b"digest")
ANA = Caller(1, "ana", Role.VIEWER, "64.02")


class LookUps:
    """Stands in for the token look-up: counts calls, waits for `released`, then raises `error` or returns ANA."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None
        self.released = asyncio.Event()

    async def __call__(self, *_: Any) -> Caller:
        self.calls += 1
        await self.released.wait()
        if self.error is not None:
            raise self.error
        return ANA


@pytest.fixture
async def look_ups(monkeypatch: pytest.MonkeyPatch) -> LookUps:
    look_ups = LookUps()
    monkeypatch.setattr("app.access.api_tokens.get_caller", look_ups)
    return look_ups


@pytest.fixture
def request_(app: FastAPI) -> Request:
    stand_in: Any = SimpleNamespace(app=SimpleNamespace(state=State({"sessions": app.state.sessions})), method="GET")
    return stand_in  # type: ignore[no-any-return]


async def test_all_streams_of_a_credential_share_one_look_up(look_ups: LookUps, request_: Request) -> None:
    cache = CallerCache()
    streams = [asyncio.create_task(cache.recheck(request_, TOKEN)) for _ in range(5)]
    await asyncio.sleep(0)
    streams.pop().cancel()
    look_ups.released.set()
    assert await asyncio.gather(*streams) == [ANA] * 4
    assert look_ups.calls == 1


async def test_a_stream_is_not_held_up_by_a_look_up_that_hangs(
    look_ups: LookUps, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.caller_cache.LOOK_UP_S", 0.01)
    cache = CallerCache()
    with pytest.raises(TimeoutError):
        await cache.recheck(request_, TOKEN)
    look_ups.released.set()
    assert await cache.recheck(request_, TOKEN) == ANA
    assert look_ups.calls == 1, "joined the one that was still running"


async def test_a_revoked_token_is_refused_after_the_ttl_and_an_unavailable_database_trusted_only_so_long(
    look_ups: LookUps, request_: Request
) -> None:
    now = 0.0
    cache = CallerCache(clock=lambda: now)
    look_ups.released.set()
    assert (await cache.get(request_, TOKEN)).fresh_until == TOKEN_TTL_S
    look_ups.error = OSError("unreachable")
    now = TOKEN_TTL_S + TRUSTED_S - 1
    assert (await cache.get(request_, TOKEN)).caller == ANA
    look_ups.error = NotSignedIn()
    now += TOKEN_TTL_S - 0.1
    assert (await cache.get(request_, TOKEN)).caller == ANA, "still fresh"
    now += 0.2
    with pytest.raises(NotSignedIn):
        await cache.get(request_, TOKEN)
    look_ups.error = OSError("unreachable")
    with pytest.raises(OSError, match="unreachable"):
        await cache.get(request_, TOKEN)
