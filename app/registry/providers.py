"""Who the province pays: fibre, radio, cellular and satellite providers."""

import difflib
import re
from collections.abc import Mapping
from functools import lru_cache

from sqlalchemy import Select, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import Caller, require_writer
from app.core.errors import Conflict, Fault, Invalid, NotFound
from app.postgres.engine import Counter, lock_counter, next_version
from app.registry.models import Provider
from app.registry.schemas import ProviderIn, ProviderPatch
from app.registry.vocabulary import fold

PROVINCE = "64"


def visible_providers(caller: Caller) -> Select[Provider]:
    query = select(Provider)
    return query if caller.provider_id is None else query.where(Provider.id == caller.provider_id)


async def list_providers(session: AsyncSession, *, caller: Caller, after: int | None, limit: int) -> list[Provider]:
    query = visible_providers(caller).order_by(Provider.id).limit(limit)
    if after is not None:
        query = query.where(Provider.id > after)
    return list(await session.scalars(query))


async def find_provider(session: AsyncSession, ident: str, *, caller: Caller) -> Provider | None:
    """By id or slug."""
    query = visible_providers(caller)
    if re.fullmatch(r"[0-9]{1,9}", ident):
        return await session.scalar(query.where(Provider.id == int(ident)))
    return await session.scalar(query.where(Provider.slug == ident))


async def choose_provider(session: AsyncSession, ident: str, *, caller: Caller) -> Provider:
    """As a filter names it. Raises Invalid, alike for one that is unknown and one that the caller does not see."""
    found = await find_provider(session, ident, caller=caller)
    if found is None:
        known = await session.scalars(visible_providers(caller).order_by(Provider.slug))
        raise Invalid(unknown_provider(ident, tuple(one.slug for one in known)))
    return found


@lru_cache(1000)
def unknown_provider(given: str, slugs: tuple[str, ...]) -> Fault:
    near = difflib.get_close_matches(given.lower().replace(" ", "-"), slugs, 1)
    return Fault(
        "provider",
        "unknown_provider",
        "There is no provider {given}",
        "Did you mean {near}?" if near else "Known providers: {known}",
        values={"given": given[:60], "near": near[0] if near else None, "known": ", ".join(slugs)},
    )


async def get_provider(session: AsyncSession, ident: str, *, caller: Caller) -> Provider:
    """Raises NotFound alike for what is unknown and what lies out of scope."""
    found = await find_provider(session, ident, caller=caller)
    if found is None:
        raise NotFound("There is no provider {given} within your scope", values={"given": ident[:60]})
    return found


async def create_provider(session: AsyncSession, given: ProviderIn, *, caller: Caller) -> Provider:
    """Providers serve many districts, so only the province adds one."""
    require_writer(caller, PROVINCE)
    await _require_free(session, given.model_dump())
    provider = Provider(slug=given.slug, name=given.name)
    session.add(provider)
    await session.flush()
    await audit.record(session, caller, "create", "provider", provider.id, after=given.model_dump())
    return provider


async def rename_provider(session: AsyncSession, ident: str, given: ProviderPatch, *, caller: Caller) -> Provider:
    """Its slug stays: callers and their files know it by that."""
    provider = await get_provider(session, ident, caller=caller)
    require_writer(caller, PROVINCE)
    before = provider.name
    if given.name != before:
        await _require_free(session, given.model_dump(), but=provider.id)
        provider.name = given.name
        await session.flush()
        await next_version(session, Counter.REGISTRY)  # rankings show it
        await audit.record(
            session, caller, "change", "provider", provider.id, before={"name": before}, after={"name": given.name}
        )
    return provider


async def _require_free(session: AsyncSession, given: dict[str, str], *, but: int | None = None) -> None:
    """Files name a provider by its name or its slug, however it is written: each means one. Raises Conflict."""
    await lock_counter(session, Counter.REGISTRY)
    others = await session.scalars(select(Provider).where(Provider.id.is_distinct_from(but)).order_by(Provider.id))
    taken = {fold(word): one for one in others for word in (one.name, one.slug)}
    faults = [
        Fault(
            field,
            "duplicate_provider",
            "There is a provider {name} ({slug}) already",
            "Use that one, or choose another word",
            values={"name": one.name, "slug": one.slug},
        )
        for field, word in given.items()
        if (one := taken.get(fold(word))) is not None
    ]
    if faults:
        raise Conflict(faults=faults)


async def ensure_providers(session: AsyncSession, names: Mapping[str, str]) -> None:
    """Names by slug; those that exist stay as they are."""
    await session.execute(
        text(
            "INSERT INTO provider (slug, name) SELECT * FROM unnest(cast(:slugs AS text[]), cast(:names AS text[])) "
            "ON CONFLICT (slug) DO NOTHING"
        ),
        {"slugs": list(names), "names": list(names.values())},
    )
