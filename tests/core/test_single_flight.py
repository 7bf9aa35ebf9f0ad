"""SingleFlight: one computation for all concurrent callers of a key, whoever of them leaves early."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cachetools import TTLCache

from app.core.single_flight import SingleFlight


class Computation:
    """Counts its runs; each lasts until `released` is set, and then raises `error` or returns its number."""

    def __init__(self) -> None:
        self.runs = 0
        self.cancelled = 0
        self.released = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.runs += 1
        run = self.runs
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return run


@pytest.fixture
async def unhandled() -> AsyncIterator[list[dict[str, Any]]]:
    """What asyncio would have logged as nobody's exception."""
    contexts: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    yield contexts
    loop.set_exception_handler(None)


async def start(flight: SingleFlight[str, int], make: Computation, key: str = "a") -> asyncio.Task[int]:
    caller = asyncio.create_task(flight.run(key, make))
    await asyncio.sleep(0)  # the caller starts the computation's task
    await asyncio.sleep(0)  # which begins
    return caller


async def let_the_loop_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_concurrent_callers_of_a_key_share_one_computation() -> None:
    flight, make = SingleFlight[str, int](), Computation()
    callers = [await start(flight, make) for _ in range(5)]
    assert "a" in flight
    assert len(flight) == 1
    make.released.set()
    assert await asyncio.gather(*callers) == [1] * 5
    assert "a" not in flight
    assert len(flight) == 0


async def test_other_keys_are_computed_side_by_side() -> None:
    flight, make = SingleFlight[str, int](), Computation()
    callers = [await start(flight, make, key) for key in "ab"]
    make.released.set()
    assert await asyncio.gather(*callers) == [1, 2]


async def test_a_later_caller_starts_a_new_computation() -> None:
    flight, make = SingleFlight[str, int](), Computation()
    make.released.set()
    assert [await flight.run("a", make), await flight.run("a", make)] == [1, 2]


async def test_a_cancelled_caller_does_not_cancel_the_others_computation() -> None:
    flight, make = SingleFlight[str, int](), Computation()
    first, second = await start(flight, make), await start(flight, make)
    first.cancel()
    await asyncio.wait((first,))
    assert first.cancelled()
    assert not make.cancelled
    make.released.set()
    assert await second == 1


async def test_a_timeout_of_one_caller_is_its_own() -> None:
    flight, make = SingleFlight[str, int](), Computation()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await flight.run("a", make)
    joined = await start(flight, make)
    make.released.set()
    assert await joined == 1


async def test_an_error_goes_to_all_callers_and_is_not_kept() -> None:
    flight, make = SingleFlight[str, int](), Computation()
    make.error = OSError("database unavailable")
    callers = [await start(flight, make) for _ in range(3)]
    make.released.set()
    assert await asyncio.gather(*callers, return_exceptions=True) == [make.error] * 3
    make.error = None
    assert await flight.run("a", make) == 2


async def test_an_error_that_no_caller_waits_for_any_more_is_not_reported_by_asyncio(unhandled: list[Any]) -> None:
    flight, make = SingleFlight[str, int](), Computation()
    make.error = OSError("database unavailable")
    caller = await start(flight, make)
    caller.cancel()
    await asyncio.wait((caller,))
    make.released.set()
    await let_the_loop_run()
    del caller
    assert unhandled == []


async def test_a_caller_that_comes_as_a_computation_fails_does_not_get_its_error() -> None:
    """Between a task's end and its callbacks the loop may run others."""
    flight, make = SingleFlight[str, int](), Computation()
    make.error = OSError("database unavailable")
    first = await start(flight, make)
    make.released.set()
    for _ in range(10):
        if "a" not in flight:
            break
        await asyncio.sleep(0)
    make.error = None
    assert await flight.run("a", make) == 2
    with pytest.raises(OSError, match="database unavailable"):
        await first


async def test_close_cancels_what_is_running() -> None:
    flight, make = SingleFlight[str, int](), Computation()
    caller = await start(flight, make)
    await flight.close()
    await asyncio.wait((caller,))
    assert make.cancelled == 1
    assert caller.cancelled()
    assert len(flight) == 0
    make.released.set()
    assert await flight.run("a", make) == 2


async def test_with_a_cache_a_value_is_kept_even_when_its_caller_hung_up() -> None:
    ticks = [0.0]
    entries: TTLCache[str, int] = TTLCache(10, ttl=60, timer=lambda: ticks[0])
    flight, make = SingleFlight[str, int](), Computation()

    async def load(key: str) -> int:
        value = entries[key] = await make()
        return value

    async def get(key: str) -> int:
        if (value := entries.get(key)) is not None:
            return value
        return await flight.run(key, lambda: load(key))

    caller = asyncio.create_task(get("a"))
    await asyncio.sleep(0)
    caller.cancel()
    make.released.set()
    await let_the_loop_run()
    assert await get("a") == 1
    ticks[0] = 60
    assert await get("a") == 2
