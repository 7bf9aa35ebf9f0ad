"""Files are written by few at once, and not by a queue without end."""

import asyncio

import pytest

from app.core.errors import TooManyRequests
from app.web import table_files
from app.web.table_files import FileSlots


async def test_others_wait_while_as_many_are_written_as_may() -> None:
    slots, writing, most = FileSlots(), 0, 0

    async def write() -> None:
        nonlocal writing, most
        async with slots.hold():
            writing += 1
            most = max(most, writing)
            await asyncio.sleep(0)
            writing -= 1

    await asyncio.gather(*(write() for _ in range(table_files.MAX_WAITING)))
    assert (most, writing) == (table_files.MAX_AT_ONCE, 0)


async def test_one_too_many_is_told_to_come_back() -> None:
    slots, held = FileSlots(), asyncio.Event()

    async def write() -> None:
        async with slots.hold():
            await held.wait()

    writers = [asyncio.create_task(write()) for _ in range(table_files.MAX_AT_ONCE + table_files.MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests):
        async with slots.hold():
            pass
    writers[-1].cancel()
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        held.set()
        async with slots.hold():
            pass
        await asyncio.gather(*writers, return_exceptions=True)
