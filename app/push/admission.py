"""Which push is parsed next, when many come at once: short ones as they come, long ones one by one.

After an outage of ours every device brings what it measured meanwhile. A long batch takes milliseconds to parse; parsed
in one turn of the event loop, hundreds of them would hold up all else, and their rows would fill the memory.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.push.group_commit import GroupCommit, TooBusy

SHORT_BYTES = 2_000  # some 20 rows: parsed at once
MAX_WAITING, MAX_WAITING_BYTES = 400, 32_000_000  # long ones; beyond it devices are told to come again later
RETRY_AFTER_S = 5, 40  # spread by chance; with its own delay a device is back before its silence would count


class Admission:
    def __init__(self, commits: GroupCommit) -> None:
        self._commits = commits
        self._turn = asyncio.Lock()
        self._waiting = self._bytes = 0

    def __len__(self) -> int:
        """How many long pushes wait for their turn."""
        return self._waiting

    @asynccontextmanager
    async def turn(self, size_bytes: int) -> AsyncIterator[None]:
        """Wait until a push of that size may be parsed. Raises TooBusy: its device shall come again later."""
        if size_bytes <= SHORT_BYTES:
            yield
            return
        if self._waiting >= MAX_WAITING or self._bytes + size_bytes > MAX_WAITING_BYTES:
            low_s, high_s = RETRY_AFTER_S
            raise TooBusy(retry_after_s=low_s + secrets.randbelow(high_s - low_s + 1))
        self._waiting += 1
        self._bytes += size_bytes
        try:
            async with self._turn:
                await asyncio.sleep(0)  # whatever else is ready goes first
                await self._commits.wait_for_room()
                yield
        finally:
            self._waiting -= 1
            self._bytes -= size_bytes
