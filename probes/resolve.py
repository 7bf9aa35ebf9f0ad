"""Resolves names to addresses: a resolver that hangs delays the names it was asked for, and nothing else."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TLRUCache

Lookup = Callable[[str], list[str]]

TIMEOUT_S = 3.0
TTL_S = 60.0
FAILURE_TTL_S = 15.0
MAX_LOOKUPS = 32  # at once
MAX_NAMES = 100_000  # beyond it the least recently used are evicted


class Unresolvable(Exception):
    """The message says why; never the site's fault."""


@dataclass(frozen=True, slots=True)
class _Resolution:
    addresses: list[str]
    problem: str | None
    ttl_s: float


def system_lookup(name: str) -> list[str]:
    """Return every address, in the order in which the system would try them. Blocks."""
    entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


class Resolver:
    """One thread per lookup, one lookup per name. The threads are daemons: the process can exit while one hangs."""

    def __init__(
        self,
        *,
        timeout_s: float = TIMEOUT_S,
        ttl_s: float = TTL_S,
        max_names: int = MAX_NAMES,
        max_lookups: int = MAX_LOOKUPS,
        lookup: Lookup = system_lookup,
    ) -> None:
        self._timeout_s = timeout_s
        self._ttl_s = ttl_s
        self._max_lookups = max_lookups
        self._lookup = lookup
        self._cache: TLRUCache[str, _Resolution] = TLRUCache(
            max_names, lambda _, resolution, now: now + resolution.ttl_s
        )
        self._running: dict[str, asyncio.Future[_Resolution]] = {}
        self._lookup_ended: asyncio.Event = asyncio.Event()

    def cached(self, name: str) -> list[str] | None:
        """Return the cached addresses, None without any; raises Unresolvable for a name that failed a moment ago."""
        resolution = self._cache.get(name.lower())
        return _addresses(name, resolution) if resolution else None

    async def resolve(self, name: str) -> list[str]:
        """Return every address of the name; raises Unresolvable, at the latest after the resolver's own timeout."""
        name = name.lower()
        resolution = self._cache.get(name)
        if resolution is None:
            try:
                async with asyncio.timeout(self._timeout_s):
                    resolution = await self._look_up(name)
            except TimeoutError:
                resolution = self._store(name, [], f"no answer from the resolver in {self._timeout_s:g} s")
        return _addresses(name, resolution)

    async def _look_up(self, name: str) -> _Resolution:
        """Concurrent callers for one name share its lookup; beyond `max_lookups` names, the others wait."""
        while name not in self._running and len(self._running) >= self._max_lookups:
            self._lookup_ended.clear()
            await self._lookup_ended.wait()
        if resolution := self._cache.get(name):
            return resolution
        if name not in self._running:
            self._start(name)
        return await asyncio.shield(self._running[name])

    def _start(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        self._running[name] = loop.create_future()
        threading.Thread(target=self._run, args=(name, loop), name=f"resolve {name}", daemon=True).start()

    def _run(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        addresses: list[str] = []
        problem = None
        try:
            addresses = self._lookup(name)
        except socket.gaierror as error:
            problem = (error.strerror or str(error)).lower()
        except Exception as error:
            problem = str(error) or type(error).__name__
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._finish, name, addresses, problem)

    def _finish(self, name: str, addresses: list[str], problem: str | None) -> None:
        resolution = self._store(name, addresses, problem or (None if addresses else "no addresses"))
        self._running.pop(name).set_result(resolution)
        self._lookup_ended.set()

    def _store(self, name: str, addresses: list[str], problem: str | None) -> _Resolution:
        ttl_s = min(self._ttl_s, FAILURE_TTL_S) if problem else self._ttl_s
        resolution = _Resolution(addresses, problem, ttl_s)
        if ttl_s > 0:
            self._cache[name] = resolution
        return resolution


def _addresses(name: str, resolution: _Resolution) -> list[str]:
    if resolution.problem:
        raise Unresolvable(f"cannot resolve {name}: {resolution.problem}")
    return resolution.addresses
