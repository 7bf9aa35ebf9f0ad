"""The provider or the site that a list is asked for, looked up: a typo is refused, and is no empty list."""

from typing import Annotated

from fastapi import Depends, Query

from app.core.errors import Fault, Invalid, NotFound
from app.registry import providers, store
from app.web.deps import Reader, Session

Ident = Annotated[str | None, Query(min_length=1, max_length=100, description="id or slug")]
SiteIdent = Annotated[str | None, Query(min_length=1, max_length=60, description="its id, or its code")]


async def asked_provider(session: Session, caller: Reader, provider: Ident = None) -> str | None:
    """Its slug. Raises Invalid, alike for one that is unknown and one that the caller does not see."""
    if provider is None:
        return None
    return (await providers.choose_provider(session, provider, caller=caller)).slug


async def asked_site(session: Session, caller: Reader, site: SiteIdent = None) -> int | None:
    """Its id. Raises Invalid, alike for one that is unknown and one that lies out of scope."""
    if site is None:
        return None
    try:
        found, _ = await store.get_site(session, site, caller=caller)
    except NotFound:
        raise Invalid(
            Fault(
                "site",
                "unknown_site",
                "There is no site {given} within your scope",
                "Look it up: GET /api/v1/sites?q=<name>",
                values={"given": site[:60]},
            )
        ) from None
    return found.id


OfProvider = Annotated[str | None, Depends(asked_provider)]
OfSite = Annotated[int | None, Depends(asked_site)]
