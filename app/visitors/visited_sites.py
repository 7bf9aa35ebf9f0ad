"""The access points that visitors measure: found by a printed code or by the network, and cached for a minute."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import month_of
from app.core.errors import TooManyRequests
from app.core.networks import network_of
from app.core.single_task import reject
from app.postgres.engine import Sessions, transaction
from app.profiles import Technology
from app.registry import regions
from app.settings import PublicSettings
from probes.contract import ProbeKind

CACHED_S, MOST_CACHED, MOST_READ = 60.0, 20_000, 500
LOOK_UPS, MOST_WAITING, WAIT_S = 2, 200, 5  # at once in a process, and waiting: visitors take no other's connections
NETWORK_FOR, MOST_SITES = timedelta(days=30), 5
CODE = re.compile(r"(\d\d)\D?(\d\d)\D?(\d\d)\D?(\d{4})(?:\D?(\d{2,4}))?")

# The same expression as in the index of push_source.
NETWORK_SQL = "network(set_masklen(address::inet, CASE WHEN address LIKE '%:%' THEN 48 ELSE 24 END))"
VISITED = "s.kind = 'access_point' AND s.lifecycle = 'active'"
SITE = f"""
    SELECT s.id, s.code, s.name, s.village_code, s.technology, s.probe, s.speed_url, s.speed_budget_mb, s.host,
        s.host_static, array(
            SELECT DISTINCT {NETWORK_SQL}::text FROM push_source p WHERE p.site_id = s.id AND p.last_at > :since
        ) AS networks, coalesce(t.bytes, 0) + coalesce(t.reserved_bytes, 0) AS visits_bytes,
        coalesce(p.bytes, 0) AS push_bytes, coalesce(p.requests, 0) AS push_requests,
        (SELECT coalesce(sum(r.down_bytes + r.up_bytes + r.reserved_bytes), 0) FROM throughput_test r
            WHERE r.site_id = s.id AND r.month = :month) AS tests_bytes
    FROM site s LEFT JOIN visit_traffic t ON t.site_id = s.id AND t.month = :month
        LEFT JOIN push_traffic p ON p.site_id = s.id AND p.month = :month
    WHERE {VISITED}"""
SITES = text(f"{SITE} AND (s.code = ANY(cast(:codes AS text[])) OR s.id = ANY(cast(:ids AS int[])))")
OF_VILLAGE = text(f"""
    SELECT s.code, s.name, s.village_code, s.technology FROM site s
    WHERE {VISITED} AND (s.village_code = :code OR s.code = :code) ORDER BY s.code LIMIT {MOST_SITES}
""")
OF_NETWORK = text(f"""
    SELECT s.code, s.name, s.village_code, s.technology
    FROM push_source p JOIN site s ON s.id = p.site_id
    WHERE {NETWORK_SQL} = cast(cast(:network AS text) AS cidr) AND p.last_at > :since AND {VISITED}
    GROUP BY s.id ORDER BY max(p.last_at) DESC, s.id LIMIT {MOST_SITES}
""")


@dataclass(frozen=True, slots=True)
class SpentBytes:
    """What a site spent of this month's data budget, in bytes, reservations included."""

    tests: int
    push: int
    push_requests: int
    visits: int


@dataclass(frozen=True, slots=True)
class VisitedSite:
    id: int
    code: str
    name: str
    village_code: str
    technology: Technology
    pushes: bool
    tested: bool  # by the service itself, from the same budget
    budget_mb: int | None
    networks: frozenset[str]
    spent: SpentBytes

    @property
    def names(self) -> dict[str, Any]:
        return present(self)


class VisitedSites:
    """Reads a site at most once a minute, however many visit it, and those that are asked for together at once."""

    def __init__(self, sessions: Callable[[], Sessions], publication: PublicSettings) -> None:
        self._sessions, self._publication = sessions, publication
        self._cached: dict[str | int, tuple[float, VisitedSite | None]] = {}
        self._pending: dict[str | int, asyncio.Future[VisitedSite | None]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._look_ups, self._waiting = asyncio.Semaphore(LOOK_UPS), 0

    async def find(self, ident: str | int, now: datetime) -> VisitedSite | None:
        """Return the active, published access point with this code or id."""
        until, site = self._cached.get(ident, (0.0, None))
        if time.monotonic() < until:
            return site
        if ident not in self._pending:
            self._pending[ident] = asyncio.get_running_loop().create_future()
        found = self._pending[ident]
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read_pending(now))
        return await asyncio.shield(found)  # one who leaves takes it from nobody

    async def _read_pending(self, now: datetime) -> None:
        while self._pending:
            asked = dict(list(self._pending.items())[:MOST_READ])
            for ident in asked:
                del self._pending[ident]
            try:
                async with transaction(self._sessions()) as session:
                    sites = await read_sites(session, asked, now)
            except Exception as error:
                for found in asked.values():
                    reject(found, error)
                continue
            for ident, found in asked.items():
                found.set_result(self._cache(ident, sites.get(ident)))

    def _cache(self, ident: str | int, site: VisitedSite | None) -> VisitedSite | None:
        if site is not None and self.is_hidden(site.village_code, site.technology):
            site = None
        if len(self._cached) >= MOST_CACHED:
            self._cached.clear()
        self._cached[ident] = time.monotonic() + CACHED_S, site
        return site

    def is_hidden(self, village_code: str, technology: str) -> bool:
        """Whether nothing is published of it: then nobody finds it here, either."""
        inside = any(f"{village_code}.".startswith(f"{code}.") for code in self._publication.hidden_regions)
        return inside or technology in self._publication.hidden_technologies

    async def list_by_code(self, code: str) -> list[dict[str, Any]]:
        """Return the site of this code, or those of the village, at most MOST_SITES. Raises TooManyRequests."""

        async def read(session: AsyncSession) -> Sequence[Any]:
            rows = (await session.execute(OF_VILLAGE, {"code": code})).all()
            village = code if rows else await regions.current_code(session, code)
            return rows if village == code else (await session.execute(OF_VILLAGE, {"code": village})).all()

        return await self._look_up(read)

    async def list_by_network(self, network: str | None, now: datetime) -> list[dict[str, Any]]:
        """Return those whose own device pushed from this network lately, the latest first. Raises TooManyRequests."""
        if network is None:
            return []

        async def read(session: AsyncSession) -> Sequence[Any]:
            return (await session.execute(OF_NETWORK, {"network": network, "since": now - NETWORK_FOR})).all()

        return await self._look_up(read)

    async def _look_up(self, read: Callable[[AsyncSession], Awaitable[Sequence[Any]]]) -> list[dict[str, Any]]:
        if self._waiting >= MOST_WAITING:
            raise TooManyRequests(WAIT_S)
        self._waiting += 1
        try:
            async with self._look_ups, transaction(self._sessions()) as session:
                rows = await read(session)
        finally:
            self._waiting -= 1
        return self._shown(rows)

    def _shown(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        return [present(row) for row in rows if not self.is_hidden(row.village_code, row.technology)]


async def read_site(session: AsyncSession, site_id: int, now: datetime) -> VisitedSite | None:
    return (await read_sites(session, [site_id], now)).get(site_id)


async def read_sites(
    session: AsyncSession, idents: Collection[str | int], now: datetime
) -> dict[str | int, VisitedSite]:
    """Return the active access points of these codes and ids, by both."""
    codes, ids = [one for one in idents if isinstance(one, str)], [one for one in idents if isinstance(one, int)]
    bounds = {"since": now - NETWORK_FOR, "month": month_of(now), "codes": codes, "ids": ids}
    sites = [_site(row) for row in await session.execute(SITES, bounds)]
    return {site.code: site for site in sites} | {site.id: site for site in sites}


def read_code(typed: str) -> str | None:
    """Return a site's or village's code as it is registered, however it was typed; None for what cannot be one."""
    match = CODE.fullmatch(typed.strip())
    if match is None:
        return None
    *village, number = match.groups()
    return ".".join(village) + (f"-{number}" if number else "")


def present(site: Any) -> dict[str, Any]:
    """Return what anybody may read of a site: no position, no person, no address."""
    names = regions.names()
    return {
        "code": site.code,
        "name": site.name,
        "village": names.get(site.village_code),
        "district": names.get(site.village_code[:5]),
    }


def _site(row: Any) -> VisitedSite:
    networks = set(row.networks)
    if row.host_static and (own := _network_of_host(row.host)):
        networks.add(own)
    return VisitedSite(
        row.id,
        row.code,
        row.name,
        row.village_code,
        Technology(row.technology),
        row.probe == ProbeKind.PUSH,
        row.probe == ProbeKind.PUSH or row.speed_url is not None,
        row.speed_budget_mb,
        frozenset(networks),
        SpentBytes(int(row.tests_bytes), row.push_bytes, row.push_requests, row.visits_bytes),
    )


def _network_of_host(host: str | None) -> str | None:
    """Return the network of an address; a name may resolve to anything."""
    try:
        ip_address(host or "")
    except ValueError:
        return None
    return network_of(host)
