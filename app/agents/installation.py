"""A site's agent: its script with a new token, its script to read, and the end of its token."""

import re
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import Caller, require_writer
from app.agents import agent_tokens, scripts
from app.agents.models import AgentKind, DeviceToken, Enrolment
from app.agents.scripts import Place
from app.core.clock import utc_now
from app.core.errors import Conflict, Fault, Invalid
from app.profiles import profiles
from app.registry import regions, store
from app.registry.models import Site
from app.settings import Settings
from probes.contract import ProbeKind

ANCHORS = ["1.1.1.1", "8.8.8.8"]  # where none are set: addresses that answer from everywhere
ADDRESS = re.compile(r"https?://[A-Za-z0-9.\-_~:\[\]]+(/[A-Za-z0-9.\-_~/]*)?")


def public_url(settings: Settings, base: str | None = None) -> str:
    """Where devices reach us, without a slash at its end. `base`: as the request at hand did. Raises Invalid."""
    url = settings.public_url or base or f"http://{settings.host}:{settings.port}"
    if not ADDRESS.fullmatch(url):  # it becomes a part of scripts
        raise Invalid(
            Fault(
                "Host",
                "bad_address",
                "{given} is no address that a device could use",
                "Set SINYAL_PUBLIC_URL",
                values={"given": url[:80]},
            )
        )
    return url.rstrip("/")


async def issue(
    session: AsyncSession, ident: str, kind: AgentKind, *, caller: Caller, settings: Settings, url: str
) -> str:
    """The script with a new token; the one before is over. Raises NotFound, NotAllowed, Conflict."""
    site = await get_pushing(session, ident, caller=caller)
    return (await install(session, site, kind, caller=caller, settings=settings, url=url))[1]


async def install(
    session: AsyncSession,
    site: Site,
    kind: AgentKind,
    *,
    caller: Caller,
    settings: Settings,
    url: str,
    at_once: bool = True,
) -> tuple[DeviceToken, str]:
    token, secret = await agent_tokens.mint(session, site.id, by=caller.who, kind=kind, at_once=at_once)
    await audit.record(
        session,
        caller,
        "issue_agent",
        "site",
        site.id,
        region_code=site.village_code,
        after={"kind": kind.value, "device_token_id": token.id},
    )
    return token, written(site, kind, secret, settings=settings, url=url, now=utc_now())


async def preview(
    session: AsyncSession, ident: str, kind: AgentKind, *, caller: Caller, settings: Settings, url: str
) -> str:
    """The script with a placeholder for the token. Raises NotFound."""
    site, _ = await store.get_site(session, ident, caller=caller)
    return written(site, kind, scripts.PLACEHOLDER, settings=settings, url=url, now=utc_now())


async def revoke(session: AsyncSession, ident: str, *, caller: Caller) -> int:
    """How many tokens there were. Raises NotFound, NotAllowed."""
    site, _ = await store.get_site(session, ident, caller=caller)
    require_writer(caller, site.village_code)
    count = await agent_tokens.revoke(session, site.id, by=caller.who)
    codes = await withdraw(session, site.id)
    if count or codes:
        await audit.record(
            session,
            caller,
            "revoke_agent",
            "site",
            site.id,
            region_code=site.village_code,
            after={"device_tokens": count, "codes": codes},
        )
    return count


async def withdraw(session: AsyncSession, site_id: int) -> int:
    """How many codes of the site could still have been fetched with."""
    now = utc_now()
    reported = select(DeviceToken.id).where(DeviceToken.used_at.is_not(None))
    found = await session.execute(
        update(Enrolment)
        .where(
            Enrolment.site_id == site_id,
            Enrolment.withdrawn_at.is_(None),
            Enrolment.expires_at > now,
            or_(Enrolment.device_token_id.is_(None), Enrolment.device_token_id.not_in(reported)),
        )
        .values(withdrawn_at=now)
    )
    return found.rowcount  # type: ignore[attr-defined, no-any-return]


async def get_pushing(session: AsyncSession, ident: str, *, caller: Caller) -> Site:
    """Locked, so that of two tokens minted at once one is the good one. Raises NotFound, NotAllowed, Conflict."""
    site, _ = await store.get_site(session, ident, caller=caller, for_update=True)
    require_writer(caller, site.village_code)
    if site.probe is not ProbeKind.PUSH:
        raise Conflict(
            "This site is measured by {probe}: set its probe to push first", values={"probe": site.probe.value}
        )
    return site


def written(site: Site, kind: AgentKind, token: str, *, settings: Settings, url: str, now: datetime) -> str:
    place = Place(site.code, regions.names().get(site.village_code, site.village_code), site.provider.name)
    return scripts.render(
        kind,
        place,
        url=url,
        token=token,
        anchors=(settings.anchors or settings.canaries or ANCHORS)[:2],
        profile=profiles()[site.technology],
        now=now,
    )
