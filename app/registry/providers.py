"""Internet providers: fibre, radio, cellular and satellite."""

import difflib
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

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
    """Find by id or slug."""
    query = visible_providers(caller)
    if re.fullmatch(r"[0-9]{1,9}", ident):
        return await session.scalar(query.where(Provider.id == int(ident)))
    return await session.scalar(query.where(Provider.slug == ident))


async def require_provider(session: AsyncSession, ident: str, *, caller: Caller) -> Provider:
    """Find the provider that a filter names. Raises Invalid, alike for unknown providers and those out of scope."""
    provider = await find_provider(session, ident, caller=caller)
    if provider is None:
        visible = await session.scalars(visible_providers(caller).order_by(Provider.slug))
        raise Invalid(unknown_provider(ident, tuple(other.slug for other in visible)))
    return provider


async def require_slugs(session: AsyncSession, idents: Collection[str], *, caller: Caller) -> tuple[str, ...]:
    """Return the distinct slugs of the providers that a filter names. Raises Invalid with every unknown one."""
    if not idents:
        return ()
    visible = list(await session.scalars(visible_providers(caller).order_by(Provider.slug)))
    slugs = {provider.slug: provider.slug for provider in visible} | {str(p.id): p.slug for p in visible}
    known = tuple(provider.slug for provider in visible)
    if faults := [unknown_provider(ident, known) for ident in idents if ident not in slugs]:
        raise Invalid(*faults)
    return tuple(sorted({slugs[ident] for ident in idents}))


async def find_by_slug(session: AsyncSession, slug: str, faults: list[Fault]) -> Provider | None:
    """Find a provider, or append the fault that lists the known ones and return None."""
    provider = await session.scalar(select(Provider).where(Provider.slug == slug))
    if provider is None:
        slugs = await session.scalars(select(Provider.slug).order_by(Provider.slug))
        faults.append(unknown_provider(slug, tuple(slugs)))
    return provider


@lru_cache(1000)
def unknown_provider(text: str, slugs: tuple[str, ...]) -> Fault:
    near = difflib.get_close_matches(text.lower().replace(" ", "-"), slugs, 1)
    return Fault(
        "provider",
        "unknown_provider",
        "There is no provider {given}",
        "Did you mean {near}?" if near else "Known providers: {known}",
        values={"given": text[:60], "near": near[0] if near else None, "known": ", ".join(slugs)},
    )


async def get_provider(session: AsyncSession, ident: str, *, caller: Caller) -> Provider:
    """Raises NotFound, alike for unknown providers and those out of scope."""
    provider = await find_provider(session, ident, caller=caller)
    if provider is None:
        raise NotFound("There is no provider {given} within your scope", values={"given": ident[:60]})
    return provider


async def create_provider(session: AsyncSession, body: ProviderIn, *, caller: Caller) -> Provider:
    """Raises NotAllowed unless the caller is the province's: providers serve many districts. Raises Conflict."""
    require_writer(caller, PROVINCE)
    values = body.model_dump()
    await _require_unused(session, values)
    provider = Provider(**values)
    session.add(provider)
    await session.flush()
    await audit.record(session, caller, "create", "provider", provider.id, after=values)
    return provider


async def change_provider(session: AsyncSession, ident: str, body: ProviderPatch, *, caller: Caller) -> Provider:
    """The slug is permanent: callers and files refer to it. Raises NotAllowed, Conflict."""
    provider = await get_provider(session, ident, caller=caller)
    require_writer(caller, PROVINCE)
    sent = body.model_dump(exclude_unset=True)
    before = {field: getattr(provider, field) for field, value in sent.items() if getattr(provider, field) != value}
    if not before:
        return provider
    after = {field: sent[field] for field in before}
    await _require_unused(session, after, except_id=provider.id)
    for field, value in after.items():
        setattr(provider, field, value)
    await session.flush()
    await next_version(session, Counter.REGISTRY)  # rankings show the name
    await audit.record(session, caller, "change", "provider", provider.id, before=before, after=after)
    return provider


async def _require_unused(session: AsyncSession, values: Mapping[str, Any], *, except_id: int | None = None) -> None:
    """Raises Conflict for a name, slug or alias by which files mean another provider, in any spelling."""
    await lock_counter(session, Counter.REGISTRY)
    others = await session.scalars(
        select(Provider).where(Provider.id.is_distinct_from(except_id)).order_by(Provider.id)
    )
    in_use = {fold(word): other for other in others for word in (*other.aliases, other.name, other.slug)}
    words = [
        (field, word)
        for field, value in values.items()
        for word in (value if isinstance(value, list) else [value])
        if fold(word) in in_use
    ]
    if words:
        raise Conflict(faults=[_in_use(field, word, in_use[fold(word)]) for field, word in words])


def _in_use(field: str, word: str, other: Provider) -> Fault:
    return Fault(
        field,
        "duplicate_provider",
        "{given} means provider {name} ({slug})",
        "Use that one, or choose another name, slug or alias",
        values={"given": word, "name": other.name, "slug": other.slug},
    )


async def ensure_providers(session: AsyncSession, names: Mapping[str, str]) -> None:
    """Create those that are missing, from names by slug; existing ones keep their names."""
    await session.execute(
        text(
            "INSERT INTO provider (slug, name) SELECT * FROM unnest(cast(:slugs AS text[]), cast(:names AS text[])) "
            "ON CONFLICT (slug) DO NOTHING"
        ),
        {"slugs": list(names), "names": list(names.values())},
    )
