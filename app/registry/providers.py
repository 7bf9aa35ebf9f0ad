"""Who the province pays: fibre, radio, cellular and satellite providers."""

from collections.abc import Mapping

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, require_writer
from app.errors import Conflict, Fault, NotFound
from app.registry.models import Provider
from app.registry.schemas import ProviderIn


async def list_providers(session: AsyncSession, *, caller: Caller, after: int | None, limit: int) -> list[Provider]:
    query = select(Provider).order_by(Provider.id).limit(limit)
    if after is not None:
        query = query.where(Provider.id > after)
    if caller.provider_id is not None:
        query = query.where(Provider.id == caller.provider_id)
    return list(await session.scalars(query))


async def get_provider(session: AsyncSession, provider_id: int, *, caller: Caller) -> Provider:
    provider = await session.get(Provider, provider_id)
    if provider is None or caller.provider_id not in {None, provider.id}:
        raise NotFound(f"There is no provider {provider_id} within your scope")
    return provider


async def create_provider(session: AsyncSession, given: ProviderIn, *, caller: Caller) -> Provider:
    """Providers serve many districts, so only the province adds one."""
    require_writer(caller, "64")
    provider = Provider(slug=given.slug, name=given.name)
    session.add(provider)
    try:
        async with session.begin_nested():
            await session.flush()
    except IntegrityError:
        raise Conflict(faults=[Fault(
            "slug", "duplicate_provider", "There is a provider {given} already", values={"given": given.slug}
        )]) from None  # fmt: skip
    return provider


async def ensure_providers(session: AsyncSession, names: Mapping[str, str]) -> None:
    """Names by slug; those that exist stay as they are."""
    await session.execute(
        text("INSERT INTO provider (slug, name) SELECT * FROM unnest(cast(:slugs AS text[]), cast(:names AS text[])) "
             "ON CONFLICT (slug) DO NOTHING"),
        {"slugs": list(names), "names": list(names.values())},
    )  # fmt: skip
