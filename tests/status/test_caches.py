"""The caches of status bodies and responses: bounded, evicting the oldest, one computation for concurrent callers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message, Receive, Scope, Send

from app.core.errors import Gone
from app.status import rendered, response_cache
from app.status.rendered import StatusQuery, StatusRenderer
from app.status.response_cache import StatusResponseCache
from app.status.snapshot import Snapshot
from app.status.status_filter import StatusFilter
from app.status.version import Version
from app.web.request_context import context_of

ETAG = b'"1"'
FIRST = Version(1, 1, 1, 1, 1)
ORIGIN = "https://dasbor.example.id"


@dataclass
class FakeStatus:
    """A status route and its renderer: each call is counted, cacheable unless told otherwise."""

    version: Version = FIRST
    cacheable: bool = True
    fresh_s: float = 60
    calls: int = 0
    before_response: Callable[[], Awaitable[None]] | None = None
    paths: list[str] = field(default_factory=list)

    def is_current(self, version: Version) -> bool:
        return version is self.version

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        self.paths.append(scope["path"])
        if self.before_response is not None:
            await self.before_response()
        context = context_of(scope)
        if self.cacheable:
            context.status_version, context.caller_fresh_until = self.version, time.monotonic() + self.fresh_s
        headers = [(b"etag", ETAG), (b"content-length", b"4"), (b"vary", b"Accept-Encoding")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"body"})

    def cache(self) -> StatusResponseCache:
        return StatusResponseCache(self.app, cast(StatusRenderer, self))


async def get(app: Any, path: str = "/status", *, etag: bytes | None = None) -> list[Message]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    headers = [(b"authorization", b"Bearer x"), (b"origin", ORIGIN.encode())]
    headers += [(b"if-none-match", etag)] if etag else []
    await app({"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}, receive, send)
    return messages


async def test_a_response_is_served_from_the_cache_until_its_version_or_its_callers_rights_expire() -> None:
    status = FakeStatus()
    cache = status.cache()
    assert [(await get(cache))[1]["body"] for _ in range(3)] == [b"body"] * 3
    assert [message.get("status", message.get("body")) for message in await get(cache, etag=ETAG)] == [304, b""]
    assert status.calls == 1
    status.version = Version(1, 2, 1, 1, 2)
    await get(cache)
    assert status.calls == 2
    status.fresh_s = 0.01
    status.version = Version(1, 3, 1, 1, 3)
    await get(cache)
    await asyncio.sleep(0.02)
    await get(cache)
    assert status.calls == 4


async def test_a_full_cache_evicts_the_least_recently_used_response_and_keeps_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(response_cache, "MAX_RESPONSES", 3)
    status = FakeStatus()
    cache = status.cache()
    for path in ("/a", "/b", "/c", "/a", "/d"):
        await get(cache, path)
    assert status.paths == ["/a", "/b", "/c", "/d"]
    for path in ("/a", "/c", "/d"):
        await get(cache, path)
    assert status.paths == ["/a", "/b", "/c", "/d"]
    await get(cache, "/b")
    assert status.paths[-1] == "/b"


async def test_concurrent_requests_for_an_expired_response_wait_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    status = FakeStatus()
    cache = status.cache()
    await get(cache)
    status.version, status.before_response = Version(1, 2, 1, 1, 2), lambda: asyncio.sleep(0.02)
    first = asyncio.create_task(get(cache))
    await asyncio.sleep(0)
    others = [asyncio.create_task(get(cache, etag=ETAG if number % 2 else None)) for number in range(10)]
    await asyncio.sleep(0.005)
    first.cancel()
    responses = await asyncio.gather(*others)
    assert status.calls == 2
    assert [response[0]["status"] for response in responses] == [200, 304] * 5


async def test_an_error_of_one_request_is_none_of_those_that_waited_for_it() -> None:
    status = FakeStatus()
    cache = status.cache()
    await get(cache)
    status.version = Version(1, 2, 1, 1, 2)

    async def fail_first() -> None:
        await asyncio.sleep(0.01)
        if status.calls == 2:
            raise TypeError

    status.before_response = fail_first
    responses = await asyncio.gather(*(get(cache) for _ in range(3)), return_exceptions=True)
    assert [type(response) for response in responses] == [TypeError, list, list]


async def test_requests_that_waited_for_an_uncacheable_response_run_themselves() -> None:
    status = FakeStatus()
    cache = status.cache()
    await get(cache)
    status.version, status.cacheable = Version(1, 2, 1, 1, 2), False
    status.before_response = lambda: asyncio.sleep(0.01)
    responses = await asyncio.gather(*(get(cache) for _ in range(3)))
    assert (status.calls, [response[1]["body"] for response in responses]) == (1 + 3, [b"body"] * 3)


async def test_requests_that_were_never_cacheable_do_not_wait_for_each_other() -> None:
    status = FakeStatus(cacheable=False)
    arrived, all_here = asyncio.Semaphore(0), asyncio.Event()

    async def wait_for_all() -> None:
        arrived.release()
        await all_here.wait()

    status.before_response = wait_for_all
    cache = status.cache()
    running = [asyncio.create_task(get(cache)) for _ in range(3)]
    async with asyncio.timeout(2):
        for _ in running:
            await arrived.acquire()
        all_here.set()
        await asyncio.gather(*running)


async def test_middleware_around_the_cache_does_not_change_what_is_cached() -> None:
    app = CORSMiddleware(FakeStatus().cache(), allow_origins=[ORIGIN])
    first, *others = [(await get(app))[0]["headers"] for _ in range(4)]
    assert dict(first)[b"vary"] == b"Accept-Encoding, Origin"
    assert others == [first] * 3


async def test_a_body_in_pieces_is_passed_on_and_not_cached() -> None:
    calls = 0

    async def pieces(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal calls
        calls += 1
        context = context_of(scope)
        context.status_version, context.caller_fresh_until = status.version, time.monotonic() + 60
        await send({"type": "http.response.start", "status": 200, "headers": [(b"etag", ETAG)]})
        await send({"type": "http.response.body", "body": b"bo", "more_body": True})
        await send({"type": "http.response.body", "body": b"dy"})

    status = FakeStatus()
    cache = StatusResponseCache(pieces, cast(StatusRenderer, status))
    for _ in range(2):
        assert b"".join(message.get("body", b"") for message in await get(cache)) == b"body"
    assert calls == 2


def renderer_of(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> tuple[StatusRenderer, list[StatusQuery]]:
    """A renderer of a loaded snapshot, and the queries that it renders anew."""
    snapshot.loaded = True
    renderer, made = StatusRenderer(snapshot), list[StatusQuery]()
    render_json = renderer._json

    def counted(query: StatusQuery, change: Any) -> bytes:
        made.append(query)
        return render_json(query, change)

    monkeypatch.setattr(renderer, "_json", counted)
    return renderer, made


QUERIES = [StatusQuery(StatusFilter((region,))) for region in ("64.01", "64.02", "64.03", "64.04")]


async def test_bodies_are_bounded_by_size_and_the_least_recently_used_is_evicted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rendered, "MAX_CACHED_BYTES", 3 * (rendered.ENTRY_BYTES + 200))
    renderer, made = renderer_of(Snapshot(refresh_s=60), monkeypatch)
    for query in (*QUERIES[:3], QUERIES[0], QUERIES[3], QUERIES[0], QUERIES[2], QUERIES[3]):
        await renderer.render(query)
    assert made == QUERIES
    await renderer.render(QUERIES[1])
    assert made == [*QUERIES, QUERIES[1]]


async def test_a_body_larger_than_the_cache_is_rendered_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendered, "MAX_CACHED_BYTES", 100)
    renderer, made = renderer_of(Snapshot(refresh_s=60), monkeypatch)
    bodies = {(await renderer.render(QUERIES[0])).etag for _ in range(2)}
    assert (len(bodies), len(made)) == (1, 2)


async def test_concurrent_callers_share_one_rendering_and_a_new_version_renders_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    snapshot = Snapshot(refresh_s=60)
    renderer, made = renderer_of(snapshot, monkeypatch)
    zipped = StatusQuery(QUERIES[0].filter, gzip=True)
    await asyncio.gather(*(renderer.render(query) for query in (zipped, QUERIES[0], zipped) * 5))
    assert made == QUERIES[:1]
    snapshot.version = Version(0, 5, 5, 5, 5)
    body = await renderer.render(QUERIES[0])
    assert (body.version, len(made)) == (snapshot.version, 2)


async def test_a_version_that_is_too_old_is_refused_each_time_and_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = Snapshot(refresh_s=60)
    renderer, _ = renderer_of(snapshot, monkeypatch)
    snapshot.version = Version(1, 5, 5, 5, 5)
    for _ in range(2):
        with pytest.raises(Gone):
            await renderer.render(StatusQuery(StatusFilter(("64",)), since=Version(0, 1, 1, 1, 1)))
