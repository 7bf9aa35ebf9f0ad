"""Names to addresses: a resolver that hangs costs the names it was asked for, and nothing else."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

Lookup = Callable[[str], list[str]]

TIMEOUT_S = 3.0
TTL_S = 60.0
FAILURE_TTL_S = 15.0
LOOKUPS_AT_ONCE = 32
NAMES_KEPT = 100_000


class Unresolvable(Exception):
    """The message says why; never the site's fault."""


@dataclass(frozen=True, slots=True)
class _Known:
    until: float
    addresses: list[str]
    problem: str | None


def system_lookup(name: str) -> list[str]:
    """Blocking; every address, in the order in which the system would try them."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Resolver:
    """A thread a lookup, one lookup a name. The threads are daemons: no exit of the process waits for one."""

    def __init__(
        self,
        *,
        timeout_s: float = TIMEOUT_S,
        ttl_s: float = TTL_S,
        lookups_at_once: int = LOOKUPS_AT_ONCE,
        lookup: Lookup = system_lookup,
    ) -> None:
        self._timeout_s = timeout_s
        self._ttl_s = ttl_s
        self._lookups_at_once = lookups_at_once
        self._lookup = lookup
        self._known: dict[str, _Known] = {}
        self._running: dict[str, asyncio.Future[None]] = {}
        self._freed: asyncio.Event = asyncio.Event()

    def cached(self, name: str) -> list[str] | None:
        """What is fresh in memory; raises Unresolvable for a name that failed a moment ago."""
        known = self._fresh(name.lower())
        return _addresses(name, known) if known else None

    async def resolve(self, name: str) -> list[str]:
        """Every address of the name; raises Unresolvable, at the latest after the resolver's own timeout."""
        name = name.lower()
        known = self._fresh(name)
        if known is None:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._looked_up(name)
            except TimeoutError:
                self._remember(name, [], f"no answer from the resolver in {self._timeout_s:g} s")
            known = self._known[name]
        return _addresses(name, known)

    def _fresh(self, name: str) -> _Known | None:
        known = self._known.get(name)
        return known if known and known.until > asyncio.get_running_loop().time() else None

    async def _looked_up(self, name: str) -> None:
        while name not in self._running and len(self._running) >= self._lookups_at_once:
            self._freed.clear()
            await self._freed.wait()
        if self._fresh(name):
            return
        if name not in self._running:
            self._start(name)
        await asyncio.shield(self._running[name])

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
        self._remember(name, addresses, problem or (None if addresses else "no addresses"))
        self._running.pop(name).set_result(None)
        self._freed.set()

    def _remember(self, name: str, addresses: list[str], problem: str | None) -> None:
        now = asyncio.get_running_loop().time()
        if len(self._known) >= NAMES_KEPT:
            self._known = {other: known for other, known in self._known.items() if known.until > now}
        ttl_s = min(self._ttl_s, FAILURE_TTL_S) if problem else self._ttl_s
        self._known[name] = _Known(now + ttl_s, addresses, problem)


def _addresses(name: str, known: _Known) -> list[str]:
    if known.problem:
        raise Unresolvable(f"cannot resolve {name}: {known.problem}")
    return known.addresses
