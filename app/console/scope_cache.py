"""What a page shows alike to all callers of one scope: made once for all of them, by the first who asks."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from time import monotonic
from typing import Any

from cachetools import LRUCache

from app.access.scope import Caller
from app.console.api_client import ApiProblem
from app.core.errors import Problem
from app.core.single_flight import SingleFlight

MAX_ENTRIES = 200  # the province, its districts, a provider or two, in two languages
FRESH_S, USABLE_S = 120.0, 900.0

Make = Callable[[], Coroutine[Any, Any, Any]]


class ScopeCache:
    """`by_version` keeps what was made of one version of the status; `for_minutes` what does not move with it.

    A key holds the scope, and whatever else tells what is made apart.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._entries: LRUCache[Hashable, tuple[str | float, Any]] = LRUCache(MAX_ENTRIES)
        self._flight: SingleFlight[Hashable, Any] = SingleFlight()
        self._refreshes: set[asyncio.Task[Any]] = set()

    async def by_version(self, version: str, key: Hashable, make: Make) -> Any:
        """Return what was made of this version. Without one, "", nothing is kept."""
        kept = self._entries.get(key)
        if version and kept is not None and kept[0] == version:
            return kept[1]
        return await self._make(key, version, make)

    async def for_minutes(self, key: Hashable, make: Make) -> Any:
        """Return what was made within FRESH_S; what is older, up to USABLE_S, while it is made anew for the next."""
        made_at, value = self._entries.get(key, (float("-inf"), None))
        now = self._clock()
        if now - float(made_at) > USABLE_S:
            return await self._make(key, now, make)
        if now - float(made_at) > FRESH_S and (key, None) not in self._flight:
            refresh = asyncio.create_task(self._flight.run((key, None), lambda: self._store(key, now, make)))
            self._refreshes.add(refresh)
            refresh.add_done_callback(self._finish)
        return value

    def _finish(self, refresh: asyncio.Task[Any]) -> None:
        self._refreshes.discard(refresh)
        if not refresh.cancelled():
            refresh.exception()  # the next reader asks again, and is told

    async def _make(self, key: Hashable, mark: str | float, make: Make) -> Any:
        begun = False

        def start() -> Coroutine[Any, Any, Any]:
            nonlocal begun
            begun = True
            return self._store(key, mark, make)

        try:
            return await self._flight.run((key, mark if isinstance(mark, str) else None), start)
        except (ApiProblem, Problem):
            if begun:
                raise
            return await self._store(key, mark, make)  # what another caller was refused need not be refused to this one

    async def _store(self, key: Hashable, mark: str | float, make: Make) -> Any:
        value = await make()
        self._entries[key] = mark, value
        return value


def scope_of(caller: Caller) -> tuple[str, int | None, bool, bool]:
    """Return what decides which rows of the API a reader sees, and which of their fields."""
    return caller.region_code, caller.provider_id, caller.sees_contacts, caller.sees_addresses
