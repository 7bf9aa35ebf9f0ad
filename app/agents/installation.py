"""Issues and revokes a site's agent: its script with a new token, a preview of it, and the end of both."""

import re
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import Caller, require_writer
from app.agents import agent_tokens, scripts
from app.agents.models import AgentKind, DeviceToken, Enrolment
from app.agents.scripts import ScriptSite
from app.core.clock import utc_now
from app.core.errors import Conflict, Fault, Invalid
from app.profiles import profiles
from app.registry import regions, store
from app.registry.models import Site
from app.settings import Settings
from probes.contract import ProbeKind

DEFAULT_ANCHORS = ["1.1.1.1", "8.8.8.8"]  # reachable from every network
PUBLIC_URL = re.compile(r"https?://[A-Za-z0-9.\-_~:\[\]]+(/[A-Za-z0-9.\-_~/]*)?")


def public_url(settings: Settings, request_url: str | None = None) -> str:
    """Return the URL at which people and devices reach the api, without a slash at its end. Raises Invalid.

    `request_url`: base of the URL of the request at hand, used if SINYAL_PUBLIC_URL is not set.
    """
    return _checked(settings.public_base or request_url or f"http://{settings.host}:{settings.port}")


def ingest_url(settings: Settings, request_url: str | None = None) -> str:
    """Return the URL that agents send to, without a slash at its end. Raises Invalid.

    Where no proxy is said to stand in front, the port of the api is replaced by that of ingest, which has no path.
    """
    if settings.ingest_url is not None:
        return _checked(settings.ingest_url)
    url = public_url(settings, request_url)
    parts = urlsplit(url)
    if settings.public_url is None and parts.port == settings.port:
        host = parts.netloc.rpartition(":")[0]
        return f"{parts.scheme}://{host}:{settings.port_of_ingest}"
    return url


def _checked(url: str) -> str:
    if not PUBLIC_URL.fullmatch(url):  # scripts contain it
        raise Invalid(
            Fault(
                "Host",
                "bad_address",
                "{given} is not an address that devices can use",
                "Set SINYAL_PUBLIC_URL",
                values={"given": url[:80]},
            )
        )
    return url.rstrip("/")


async def issue(
    session: AsyncSession, ident: str, kind: AgentKind, *, caller: Caller, settings: Settings, url: str
) -> str:
    """Return the script with a new token; earlier tokens are revoked. Raises NotFound, NotAllowed, Conflict."""
    site = await get_push_site(session, ident, caller=caller)
    return (await install(session, site, kind, caller=caller, settings=settings, url=url))[1]


async def install(
    session: AsyncSession,
    site: Site,
    kind: AgentKind,
    *,
    caller: Caller,
    settings: Settings,
    url: str,
    revoke_previous: bool = True,
) -> tuple[DeviceToken, str]:
    """Mint a token, audited; return it and the script that contains it. `revoke_previous`: see `agent_tokens.mint`."""
    token, secret = await agent_tokens.mint(session, site.id, by=caller.who, kind=kind, revoke_previous=revoke_previous)
    await audit.record(
        session,
        caller,
        "issue_agent",
        "site",
        site.id,
        region_code=site.village_code,
        after={"kind": kind.value, "device_token_id": token.id},
    )
    return token, render_script(site, kind, secret, settings=settings, url=url, now=utc_now())


async def preview(
    session: AsyncSession, ident: str, kind: AgentKind, *, caller: Caller, settings: Settings, url: str
) -> str:
    """Return the script with a placeholder for the token. Raises NotFound."""
    site, _ = await store.get_site(session, ident, caller=caller)
    return render_script(site, kind, scripts.PLACEHOLDER, settings=settings, url=url, now=utc_now())


async def revoke(session: AsyncSession, ident: str, *, caller: Caller) -> int:
    """Revoke the site's tokens and withdraw its codes; return how many tokens. Raises NotFound, NotAllowed."""
    site, _ = await store.get_site(session, ident, caller=caller)
    require_writer(caller, site.village_code)
    tokens = await agent_tokens.revoke(session, site.id, by=caller.who)
    codes = await withdraw_codes(session, site.id)
    if tokens or codes:
        await audit.record(
            session,
            caller,
            "revoke_agent",
            "site",
            site.id,
            region_code=site.village_code,
            after={"device_tokens": tokens, "codes": codes},
        )
    return tokens


async def withdraw_codes(session: AsyncSession, site_id: int) -> int:
    """Withdraw the site's enrolment codes that could still be used; return how many."""
    now = utc_now()
    used_tokens = select(DeviceToken.id).where(DeviceToken.used_at.is_not(None))
    result = await session.execute(
        update(Enrolment)
        .where(
            Enrolment.site_id == site_id,
            Enrolment.withdrawn_at.is_(None),
            Enrolment.expires_at > now,
            or_(Enrolment.device_token_id.is_(None), Enrolment.device_token_id.not_in(used_tokens)),
        )
        .values(withdrawn_at=now)
    )
    return result.rowcount  # type: ignore[attr-defined, no-any-return]


async def get_push_site(session: AsyncSession, ident: str, *, caller: Caller) -> Site:
    """Return the site, locked: of two tokens minted at the same time one must stay valid.

    Raises NotFound, NotAllowed, and Conflict for a site that is not measured by an agent.
    """
    site, _ = await store.get_site(session, ident, caller=caller, for_update=True)
    require_writer(caller, site.village_code)
    if site.probe is not ProbeKind.PUSH:
        raise Conflict(
            "This site is measured by {probe}: set its probe to push first", values={"probe": site.probe.value}
        )
    return site


def render_script(site: Site, kind: AgentKind, token: str, *, settings: Settings, url: str, now: datetime) -> str:
    script_site = ScriptSite(site.code, regions.names().get(site.village_code, site.village_code), site.provider.name)
    return scripts.render(
        kind,
        script_site,
        url=url,
        token=token,
        anchors=(settings.anchors or settings.canaries or DEFAULT_ANCHORS)[:2],
        profile=profiles()[site.technology],
        now=now,
    )
