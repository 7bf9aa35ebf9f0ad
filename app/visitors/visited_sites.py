"""The access points that visitors measure: found by a printed code or by the network, and cached for a minute."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.single_flight import SingleFlight
from app.postgres.engine import Sessions, transaction
from app.profiles import Technology
from app.registry import regions
from app.settings import PublicSettings
from app.throughput.budget import month_of
from app.visitors.networks import network_of
from probes.contract import ProbeKind

CACHED_S, MOST_CACHED = 60.0, 20_000
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
BY_CODE, BY_ID = text(f"{SITE} AND s.code = :code"), text(f"{SITE} AND s.id = :id")
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
class SiteSpending:
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
    spent: SiteSpending

    @property
    def names(self) -> dict[str, Any]:
        return present(self)


class VisitedSites:
    """Reads a site at most once a minute, however many visit it."""

    def __init__(self, sessions: Callable[[], Sessions], publication: PublicSettings) -> None:
        self._sessions, self._publication = sessions, publication
        self._cached: dict[str | int, tuple[float, VisitedSite | None]] = {}
        self._flight: SingleFlight[str | int, VisitedSite | None] = SingleFlight()

    async def find(self, ident: str | int, now: datetime) -> VisitedSite | None:
        """Return the active, published access point with this code or id."""
        until, site = self._cached.get(ident, (0.0, None))
        if time.monotonic() < until:
            return site
        return await self._flight.run(ident, lambda: self._read(ident, now))

    async def _read(self, ident: str | int, now: datetime) -> VisitedSite | None:
        async with transaction(self._sessions()) as session:
            site = await read_site(session, ident, now)
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

    async def list_by_code(self, session: AsyncSession, code: str) -> list[dict[str, Any]]:
        """Return the site of this code, or those of the village, at most MOST_SITES."""
        village = await regions.current_code(session, code)
        rows = (await session.execute(OF_VILLAGE, {"code": code})).all()
        if not rows and village != code:
            rows = (await session.execute(OF_VILLAGE, {"code": village})).all()
        return self._shown(rows)

    async def list_by_network(self, session: AsyncSession, network: str | None, now: datetime) -> list[dict[str, Any]]:
        """Return those whose own device pushed from this network lately, the latest first."""
        if network is None:
            return []
        rows = await session.execute(OF_NETWORK, {"network": network, "since": now - NETWORK_FOR})
        return self._shown(rows.all())

    def _shown(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        return [present(row) for row in rows if not self.is_hidden(row.village_code, row.technology)]


async def read_site(session: AsyncSession, ident: str | int, now: datetime) -> VisitedSite | None:
    bounds = {"since": now - NETWORK_FOR, "month": month_of(now)}
    query, key = (BY_CODE, {"code": ident}) if isinstance(ident, str) else (BY_ID, {"id": ident})
    row = (await session.execute(query, bounds | key)).one_or_none()
    return None if row is None else _site(row)


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
        SiteSpending(int(row.tests_bytes), row.push_bytes, row.push_requests, row.visits_bytes),
    )


def _network_of_host(host: str | None) -> str | None:
    """Return the network of an address; a name may resolve to anything."""
    try:
        ip_address(host or "")
    except ValueError:
        return None
    return network_of(host)
