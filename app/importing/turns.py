"""Whose import is next: whoever sends many files at once leaves room for the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from app.access.scope import Caller


class Turns:
    def __init__(self) -> None:
        self._own: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, caller: Caller) -> AsyncIterator[None]:
        """One import of a caller's at a time: the next ones wait."""
        async with self._own.setdefault(caller.key, asyncio.Lock()):
            yield
