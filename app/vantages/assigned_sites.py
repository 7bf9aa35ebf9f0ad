"""What a prober is told to look at: all of it, or what changed since a version that it knows."""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.profiles import Technology, profiles
from app.settings import Settings
from app.vantages.models import RegisteredProber
from app.vantages.serving_database import DATABASE
from app.web.conditional import parse_etags

PACKETS, SPACING_MS = 3, 1_000  # of a look that confirms nothing

# The version is read before the sites: a change between the two reads is told twice, and none is lost.
COUNTERS = text("SELECT name, version FROM change_counter WHERE name IN ('registry', 'generation')")
DATABASE_NAME = text(f"SELECT {DATABASE}")
OURS = """
    a.prober_id = :prober AND s.lifecycle = 'active' AND s.probe <> 'push' AND s.host IS NOT NULL
        AND a.vantage = ANY(s.vantages)
"""
SITES = f"""
    WITH profile AS (
        SELECT * FROM unnest(cast(:technologies AS text[]), cast(:intervals AS int[]), cast(:timeouts AS int[]))
            AS p(technology, interval_s, timeout_ms)
    ), told AS (
        SELECT s.*, ({OURS}) IS TRUE AS is_ours FROM assignment a JOIN site s ON s.id = a.site_id WHERE
"""
AS_JSON = f"""
    )
    SELECT coalesce(json_agg(json_build_object('id', t.id, 'kind', t.probe, 'host', t.host, 'port', t.port,
            'url', t.url, 'packets', {PACKETS}, 'spacing_ms', {SPACING_MS}, 'timeout_ms', p.timeout_ms,
            'interval_s', p.interval_s, 'valid_s', p.interval_s,
            'parent_id', t.parent_id, 'addressed_at', (extract(epoch FROM t.addressed_at) * 1000000)::bigint
        ) ORDER BY t.id) FILTER (WHERE t.is_ours), '[]')::text AS sites,
        coalesce(json_agg(t.id ORDER BY t.id) FILTER (WHERE NOT t.is_ours), '[]')::text AS removed
    FROM told t JOIN profile p ON p.technology = t.technology
"""
ALL = text(f"{SITES} {OURS} {AS_JSON}")
# Of its own vantage alone: a token tells nothing of what others look at.
CHANGED = text(f"""{SITES} a.vantage = :vantage AND a.site_id IN (
    SELECT site_id FROM assignment WHERE version > :since UNION SELECT id FROM site WHERE version > :since
) {AS_JSON}""")


@dataclass(frozen=True, slots=True)
class Assigned:
    etag: str  # without quotes
    body: bytes | None  # JSON; None: nothing changed


async def read_assigned(
    session: AsyncSession, prober: RegisteredProber, settings: Settings, *, since: int | None, if_none_match: str | None
) -> Assigned:
    """Return what a prober is to look at, or with `since` what changed after that version.

    `since` is followed only together with the ETag of an answer under the same settings, before any restored backup.
    """
    counters = {row.name: row.version for row in await session.execute(COUNTERS)}
    version = counters.get("registry", 0)
    rules: dict[str, Any] = {
        "canaries": settings.canaries,
        "policy": {"allow": settings.probe.allow, "deny": settings.probe.deny},
        "packets_per_second": settings.probe.packets_per_second,
    }
    basis = f"{counters.get('generation', 0)}-{prober.id}-{_digest(rules)}"
    etag, known = f"{basis}-{version}", {tag.strip('"') for tag in parse_etags(if_none_match)}
    if etag in known:
        return Assigned(etag, None)
    is_full = since is None or not 0 <= since <= version or not any(tag.startswith(f"{basis}-") for tag in known)
    row = (await session.execute(*_question(prober, None if is_full else since))).one()
    answer = {
        "version": version,
        "vantage": prober.vantage,
        "database": await session.scalar(DATABASE_NAME),
        "full": is_full,
        "sites": orjson.Fragment(row.sites),
        "removed": orjson.Fragment(row.removed),
        **rules,
        "server_time": utc_now(),
    }
    return Assigned(etag, orjson.dumps(answer, option=orjson.OPT_UTC_Z))


def _question(prober: RegisteredProber, since: int | None) -> tuple[Any, dict[str, Any]]:
    of_technologies = profiles()
    values: dict[str, Any] = {
        "prober": prober.id,
        "technologies": [technology.value for technology in Technology],
        "intervals": [of_technologies[technology].interval_s for technology in Technology],
        "timeouts": [of_technologies[technology].timeout_ms for technology in Technology],
    }
    return (ALL, values) if since is None else (CHANGED, values | {"vantage": prober.vantage, "since": since})


def _digest(rules: dict[str, Any]) -> str:
    paces = [(technology, profile.interval_s, profile.timeout_ms) for technology, profile in profiles().items()]
    return hashlib.sha256(orjson.dumps([rules, paces])).hexdigest()[:12]
