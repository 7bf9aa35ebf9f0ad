"""What a page shows alike to all callers of one scope: made once for all of them, by the first who asks."""

from collections.abc import Callable, Coroutine, Hashable, MutableMapping
from typing import Any

from cachetools import LRUCache, TTLCache

from app.console.api_client import ApiProblem
from app.console.page import ConsoleRequest
from app.core.single_flight import SingleFlight

MAX_ENTRIES = 200  # the province, its districts, a provider or two, in two languages
SLOW_TTL_S = 60.0


class ScopeCache:
    """`by_version` keeps what was made of one version of the status; `for_a_minute` what does not move with it."""

    def __init__(self) -> None:
        self._versions: LRUCache[Hashable, Any] = LRUCache(MAX_ENTRIES)
        self._minutes: TTLCache[Hashable, Any] = TTLCache(MAX_ENTRIES, SLOW_TTL_S)
        self._flight: SingleFlight[Hashable, Any] = SingleFlight()

    async def by_version(self, version: str, key: Hashable, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Return what `make` returns for the scope and more in `key`; only the newest version of each is kept."""
        kept = self._versions.get(key)
        if version and kept is not None and kept[0] == version:
            return kept[1]
        return (await self._made(self._versions, key, version, make))[1]

    async def for_a_minute(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        kept = self._minutes.get(key)
        return (kept or await self._made(self._minutes, key, "", make))[1]

    async def _made(
        self,
        entries: MutableMapping[Hashable, Any],
        key: Hashable,
        version: str,
        make: Callable[[], Coroutine[Any, Any, Any]],
    ) -> Any:
        async def store() -> Any:
            entries[key] = version, await make()
            return entries[key]

        mine = False

        def start() -> Coroutine[Any, Any, Any]:
            nonlocal mine
            mine = True
            return store()

        try:
            return await self._flight.run((key, version), start)
        except ApiProblem:
            if mine:
                raise
            return await store()  # what another caller was refused need not be refused to this one


def scope_of(console: ConsoleRequest) -> tuple[str, int | None]:
    """Return what decides which rows of the API a reader sees."""
    return console.caller.region_code, console.caller.provider_id
