"""A database of many push sites, with a device token for each."""

from sqlalchemy import text

from app.access.api_tokens import digest
from app.postgres.engine import open_engine, open_sessions, transaction
from app.registry import providers
from app.runtime.migrate import migrate
from tests.benchmarks.polling import STATUS
from tests.benchmarks.rollups import CONFIGURE, KINDS, MAKE_SITES

MAKE_PUSH_SITES = """
    UPDATE site SET probe = 'push', host = NULL, technology = 'fiber', addressed_at = now() - interval '30 days'
"""
INSERT_TOKENS = """
    INSERT INTO device_token (site_id, digest, created_by)
    SELECT s.id, n.digest, 'bench' FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM site) s
    JOIN unnest(cast(:digests AS bytea[])) WITH ORDINALITY AS n(digest, number) ON n.number = s.number
"""


async def fill(url: str, count: int) -> list[str]:
    """Migrate an empty database and fill it with `count` sites; return their device tokens."""
    engine = open_engine(url, name="bench", command_timeout_s=None)
    await migrate(engine)
    tokens = [f"sd-{number:043d}" for number in range(count)]
    async with transaction(open_sessions(engine)) as session:
        await providers.ensure_providers(session, {f"provider-{n}": f"Provider {n}" for n in range(5)})
        start = (await session.execute(text("SELECT date_trunc('second', now()) - interval '30 days'"))).scalar_one()
        await session.execute(text(MAKE_SITES.format(kinds=KINDS)), {"sites": count, "start": start})
        await session.execute(text(MAKE_PUSH_SITES))
        await session.execute(text(STATUS))
        await session.execute(text(CONFIGURE), {"start": start})
        await session.execute(text(INSERT_TOKENS), {"digests": [digest(token) for token in tokens]})
    async with engine.connect() as connection:
        await connection.execute(text("ANALYZE"))
    await engine.dispose()
    return tokens
