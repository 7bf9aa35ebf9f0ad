"""Assignments as columns: which sites a vantage looks at, who has each, and who is to have it from now on."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.postgres.engine import Counter, next_version
from app.vantages.assigning import Ids
from app.vantages.live_probers import ProberState

SAVED_AT_ONCE = 10_000  # sites; meanwhile nobody else changes the registry

# A beat lies in the future only where the database's clock was set back since.
PROBERS = text("""
    SELECT id, vantage, abs(extract(epoch FROM now() - seen_at))::float AS silent_s,
        greatest(0, extract(epoch FROM now() - blind_since))::float AS blind_s
    FROM prober WHERE revoked_at IS NULL ORDER BY id
""")
# The centre is one of them only while others than the built-in prober have, or may have, some of its sites.
SHARED = text("""
    SELECT number FROM vantage WHERE number > 0
    UNION SELECT vantage FROM assignment WHERE prober_id IS NOT NULL AND vantage = 0
    UNION SELECT vantage FROM prober WHERE revoked_at IS NULL AND vantage = 0
""")
# A row a site would cost a worker more than the assignment itself.
SITES = text("""
    SELECT string_agg(int4send(s.id), '' ORDER BY s.id) AS sites,
        string_agg(int4send(coalesce(a.prober_id, 0)), '' ORDER BY s.id) AS holders
    FROM site s LEFT JOIN assignment a ON a.site_id = s.id AND a.vantage = :vantage
    WHERE cast(:vantage AS smallint) = ANY(s.vantages) AND s.lifecycle = 'active' AND s.probe <> 'push'
        AND s.host IS NOT NULL
""")
SAVE = text("""
    INSERT INTO assignment (site_id, vantage, prober_id, since, version)
    SELECT n.site_id, :vantage, nullif(n.prober_id, 0), now(), :version
    FROM unnest(cast(:sites AS int[]), cast(:probers AS int[])) n(site_id, prober_id)
    ON CONFLICT (site_id, vantage)
        DO UPDATE SET prober_id = excluded.prober_id, since = excluded.since, version = excluded.version
""")


async def list_probers(session: AsyncSession) -> list[ProberState]:
    """Return those that run by themselves and were not revoked."""
    return [ProberState(*row) for row in await session.execute(PROBERS)]


async def list_shared_vantages(session: AsyncSession) -> list[int]:
    """Return the vantages whose sites others than the built-in prober look at, or are to."""
    return sorted(await session.scalars(SHARED))


async def load_holders(session: AsyncSession, vantage: int) -> tuple[Ids, Ids]:
    """Return the sites looked at from a vantage and the prober of each, NOBODY where it has none."""
    row = (await session.execute(SITES, {"vantage": vantage})).one()
    return _numbers(row.sites), _numbers(row.holders)


def _numbers(packed: Any) -> Ids:
    return np.frombuffer(packed or b"", ">i4").astype(np.int32)


def parts(sites: Ids, probers: Ids) -> Iterator[tuple[Ids, Ids]]:
    for first in range(0, len(sites), SAVED_AT_ONCE):
        yield sites[first : first + SAVED_AT_ONCE], probers[first : first + SAVED_AT_ONCE]


async def save(session: AsyncSession, vantage: int, sites: Ids, probers: Ids) -> None:
    """Give sites to probers. Who follows the registry learns of it: the worker, and probers with their next beat."""
    version = await next_version(session, Counter.REGISTRY)
    values = {"vantage": vantage, "version": version, "sites": sites.tolist(), "probers": probers.tolist()}
    await session.execute(SAVE, values)
