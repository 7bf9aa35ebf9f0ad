"""A registry of any size, written by SQL: the mix of technologies and providers of the real villages, repeated."""

from collections.abc import Sequence
from ipaddress import IPv4Address

import orjson
from sqlalchemy import text

from app.postgres.engine import open_engine, open_sessions, transaction
from app.registry import providers
from app.registry.regions import REGIONS_CSV
from app.runtime.migrate import migrate
from simulator.villages import PROVIDERS, villages

FIRST_ADDRESS = "127.96.0.0"  # the kernel itself answers for all of 127.0.0.0/8
NODE_EVERY, BEHIND_NODE = 128, 12  # as in the demo: eight nodes to a thousand sites, a dozen sites behind each

SITES = f"""
    INSERT INTO site (id, code, kind, village_code, name, host, host_static, technology, provider_id, link_role, venue,
        latitude, longitude, power_source, bandwidth_down_mbps, bandwidth_up_mbps, probe, lifecycle, addressed_at,
        version, created_at, updated_at)
    SELECT n, v.village_code || '-' || to_char(1 + n / :villages, 'FM9900'),
        CASE WHEN n % {NODE_EVERY} = 0 THEN 'node' ELSE 'access_point' END, v.village_code, v.name,
        host(inet '{FIRST_ADDRESS}' + n), true, v.technology, p.id, 'primary', v.venue, v.latitude, v.longitude,
        v.power_source, v.bandwidth_down_mbps, v.bandwidth_up_mbps, 'icmp', 'active', now.at, 1, now.at, now.at
    FROM (SELECT date_trunc('second', now()) AS at) now, generate_series(1, cast(:sites AS int)) AS n
        JOIN (SELECT row_number() OVER () - 1 AS place, * FROM json_populate_recordset(NULL::site, :rows)
            JOIN json_to_recordset(:rows) AS named (village_code text, provider text) USING (village_code)
        ) v ON v.place = n % :villages
        JOIN provider p ON p.slug = v.provider
"""
BEHIND = f"""
    UPDATE site SET parent_id = id - id % {NODE_EVERY}
    WHERE id >= {NODE_EVERY} AND id % {NODE_EVERY} BETWEEN 1 AND {BEHIND_NODE} AND technology IN ('fiber', 'cellular')
"""
CONFIGURATIONS = """
    INSERT INTO site_configuration (site_id, started_at, kind, lifecycle, technology, provider_id, parent_id, probe,
        addressed_at, village_code)
    SELECT id, addressed_at, kind, lifecycle, technology, provider_id, parent_id, probe, addressed_at, village_code
    FROM site
"""
STATUSES = """
    INSERT INTO site_status (site_id, version, state, unknown_reason, since, valid_s, timeouts, addressed_at)
    SELECT id, 1, 'unknown', 'never_seen', addressed_at, 60, 0, addressed_at FROM site
"""
SEQUENCE = "SELECT setval(pg_get_serial_sequence('site', 'id'), (SELECT max(id) FROM site))"
VERSIONS = "UPDATE change_counter SET version = 1 WHERE name IN ('registry', 'status')"
# Nothing was measured before: an empty past to roll up and to pack would be no part of what a minute costs.
WATERMARKS = """
    UPDATE rollup_watermark SET upto = greatest(upto, CASE
        WHEN stage IN ('days', 'looks', 'day_packs') THEN date_trunc('day', now(), 'Asia/Makassar')
        ELSE date_trunc('hour', now()) - interval '1 hour' END)
"""


def address(site_id: int) -> str:
    return str(IPv4Address(FIRST_ADDRESS) + site_id)


async def fill(url: str, sites: int, changes: Sequence[str] = ()) -> None:
    """Migrate the database and register active sites in it that were never seen, with ids from 1 on."""
    engine = open_engine(url, name="bench", command_timeout_s=None)
    await migrate(engine)
    rows = villages(REGIONS_CSV)
    async with transaction(open_sessions(engine)) as session:
        await providers.ensure_providers(session, PROVIDERS)
        registry = {"sites": sites, "rows": orjson.dumps(rows).decode(), "villages": len(rows)}
        await session.execute(text(SITES), registry)
        for statement in (BEHIND, CONFIGURATIONS, STATUSES, SEQUENCE, VERSIONS, WATERMARKS, *changes):
            await session.execute(text(statement))
        for table in ("site", "site_configuration", "site_status"):
            await session.execute(text(f"ANALYZE {table}"))
    await engine.dispose()
