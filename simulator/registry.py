"""Poll the product's database for the sites that the simulated network answers for."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import asyncpg

from simulator.host_plan import SimulatedHost

POLL_INTERVAL_S = 3.0
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
# Compared first: reading every row at each poll would delay answers.
_FINGERPRINT = f"SELECT coalesce(md5(string_agg(concat_ws(' ', {_COLUMNS}), ',' ORDER BY s.code)), '') {_FROM}"

logger = logging.getLogger(__name__)


class RegistryPoller(threading.Thread):
    """Calls `on_hosts` with all hosts at the first poll and after a change; survives an absent database."""

    def __init__(
        self,
        url: str,
        on_hosts: Callable[[list[SimulatedHost]], None],
        *,
        addresses: Mapping[str, str] = MappingProxyType({}),
        every_s: float = POLL_INTERVAL_S,
    ) -> None:
        """`addresses` are those of sites registered without one, by code."""
        super().__init__(name="registry", daemon=True)
        self._url = url.replace("postgresql+asyncpg://", "postgresql://", 1)
        self._on_hosts = on_hosts
        self._addresses = addresses
        self._every_s = every_s
        self._fingerprint: str | None = None
        self._problem = ""
        self._loop = asyncio.new_event_loop()
        self._polling: asyncio.Task[None] | None = None

    def run(self) -> None:
        with contextlib.closing(self._loop):
            self._polling = self._loop.create_task(self._poll())
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._polling)

    def stop(self) -> None:
        if self.is_alive() and self._polling is not None:
            self._loop.call_soon_threadsafe(self._polling.cancel)
            self.join(_JOIN_S)

    async def _poll(self) -> None:
        while True:
            try:
                await self._poll_connection()
            except (
                OSError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                TimeoutError,
                ValueError,
            ) as problem:
                self._log_problem(f"the registry cannot be read, the last known hosts stay: {_first_line(problem)}")
            await asyncio.sleep(self._every_s)

    async def _poll_connection(self) -> None:
        """Poll over one connection until it fails."""
        connection = await asyncpg.connect(
            self._url, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S, statement_cache_size=0
        )
        try:
            while True:
                await self._read(connection)
                self._log_problem("")
                await asyncio.sleep(self._every_s)
        finally:
            connection.terminate()

    async def _read(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        fingerprint = await connection.fetchval(_FINGERPRINT)
        if fingerprint == self._fingerprint:
            return
        rows = await connection.fetch(_HOSTS)
        self._on_hosts(list(self._hosts(rows)))
        self._fingerprint = fingerprint

    def _hosts(self, rows: Iterable[Any]) -> Iterator[SimulatedHost]:
        """Yield the hosts, without those that have no simulated address: a user's own push sites."""
        for address, technology, code, *rest in rows:
            if (known_address := address or self._addresses.get(code)) is not None:
                yield SimulatedHost(known_address, technology, code, *rest)

    def _log_problem(self, problem: str) -> None:
        if problem and problem != self._problem:
            logger.warning("%s", problem)
        elif self._problem and not problem:
            logger.info("the registry can be read again")
        self._problem = problem


def _first_line(problem: BaseException) -> str:
    return (str(problem) or type(problem).__name__).splitlines()[0]
