"""Who is on the network, read again and again from the product's own database: one source of truth."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import asyncpg

from simulator.host_plan import Host

EVERY_S = 3.0
_TIMEOUT_S = 10.0
_JOIN_S = 0.5

_COLUMNS = (
    "CASE WHEN s.probe <> 'push' THEN s.host END, s.technology, s.code, s.village_code, p.slug, s.kind,"
    " coalesce(parent.code, ''), s.probe, coalesce(s.bandwidth_down_mbps, 0), coalesce(s.bandwidth_up_mbps, 0)"
)
_FROM = (
    "FROM site s JOIN provider p ON p.id = s.provider_id LEFT JOIN site parent ON parent.id = s.parent_id"
    " WHERE s.lifecycle <> 'retired'"
)
_HOSTS = f"SELECT {_COLUMNS} {_FROM} AND (s.host IS NOT NULL OR s.probe = 'push')"
# Whether anything changed is asked first: reading every row would make answers late each time.
_FINGERPRINT = f"SELECT coalesce(md5(string_agg(concat_ws(' ', {_COLUMNS}), ',' ORDER BY s.code)), '') {_FROM}"

logger = logging.getLogger(__name__)


class Registry(threading.Thread):
    """Calls `told` with all hosts at the first reading and after a change; outlives an absent database."""

    def __init__(
        self,
        url: str,
        told: Callable[[list[Host]], None],
        *,
        places: Mapping[str, str] = MappingProxyType({}),
        every_s: float = EVERY_S,
    ) -> None:
        """`places` are the addresses of sites that are registered without one, by code."""
        super().__init__(name="registry", daemon=True)
        self._url = url.replace("postgresql+asyncpg://", "postgresql://", 1)
        self._told = told
        self._places = places
        self._every_s = every_s
        self._fingerprint: str | None = None
        self._trouble = ""
        self._loop = asyncio.new_event_loop()
        self._following: asyncio.Task[None] | None = None

    def run(self) -> None:
        with contextlib.closing(self._loop):
            self._following = self._loop.create_task(self._follow())
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._following)

    def stop(self) -> None:
        if self.is_alive() and self._following is not None:
            self._loop.call_soon_threadsafe(self._following.cancel)
            self.join(_JOIN_S)

    async def _follow(self) -> None:
        while True:
            try:
                await self._read_on()
            except (
                OSError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                TimeoutError,
                ValueError,
            ) as problem:
                self._say(f"the registry cannot be read, the last known plan goes on: {_words(problem)}")
            await asyncio.sleep(self._every_s)

    async def _read_on(self) -> None:
        """Reads over one connection until something goes wrong with it."""
        connection = await asyncpg.connect(
            self._url, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S, statement_cache_size=0
        )
        try:
            while True:
                await self._read(connection)
                self._say("")
                await asyncio.sleep(self._every_s)
        finally:
            connection.terminate()

    async def _read(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        fingerprint = await connection.fetchval(_FINGERPRINT)
        if fingerprint == self._fingerprint:
            return
        rows = await connection.fetch(_HOSTS)
        self._told(list(self._placed(rows)))
        self._fingerprint = fingerprint

    def _placed(self, rows: Iterable[Any]) -> Iterator[Host]:
        """Without those that the network has no place for: a user's own that reports itself."""
        for address, technology, code, *rest in rows:
            if (place := address or self._places.get(code)) is not None:
                yield Host(place, technology, code, *rest)

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            logger.warning("%s", trouble)
        elif self._trouble and not trouble:
            logger.info("the registry can be read again")
        self._trouble = trouble


def _words(problem: BaseException) -> str:
    return (str(problem) or type(problem).__name__).splitlines()[0]
