"""At which provider a vantage stands: dated, for it decides whose word counts of that provider's sites."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, utc_now
from app.core.errors import Invalid
from app.registry.providers import unknown_provider

HOSTS = text("""
    SELECT DISTINCT ON (h.vantage) h.vantage, p.slug
    FROM vantage_host h LEFT JOIN provider p ON p.id = h.provider_id ORDER BY h.vantage, h.started_at DESC
""")
PROVIDERS = text("SELECT slug, id FROM provider ORDER BY slug")
HOST = text("""
    INSERT INTO vantage_host (vantage, started_at, provider_id) VALUES (:vantage, :at, :provider)
    ON CONFLICT (vantage, started_at) DO UPDATE SET provider_id = excluded.provider_id
""")


async def list_hosts(session: AsyncSession) -> dict[int, str | None]:
    """Return the slug of the provider at which each vantage stands today."""
    return {row.vantage: row.slug for row in await session.execute(HOSTS)}


async def move(session: AsyncSession, vantage: int, slug: str | None) -> None:
    """Have it stand there from now on: what was judged stays. Raises Invalid for an unknown provider."""
    providers = {row.slug: row.id for row in await session.execute(PROVIDERS)}
    if slug is not None and slug not in providers:
        raise Invalid(unknown_provider(slug, tuple(providers)))
    at = floor_second(utc_now())
    await session.execute(HOST, {"vantage": vantage, "at": at, "provider": None if slug is None else providers[slug]})
