"""Codes that a technician types at the site: one installs one agent, within a week. What failed may be done again."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.access import audit, login_throttle
from app.access.models import Role
from app.access.scope import Caller
from app.access.store import digest
from app.agents import installation
from app.agents.models import AgentKind, Device, DeviceToken, Enrolment
from app.core.clock import utc_now
from app.core.errors import EnrolmentCodeInvalid, EnrolmentCodeUsed, EnrolmentCodeWithdrawn
from app.core.freshness import holds_until
from app.postgres.engine import Sessions, transaction
from app.profiles import Profile, profiles
from app.registry.models import Lifecycle, Site, SiteStatus
from app.settings import Settings
from probes.contract import ProbeKind

ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # nothing that is taken for something else: no 0 O, 1 I L
LENGTH = 8
LASTS = timedelta(days=7)
AGAIN_FOR, AT_MOST = timedelta(hours=1), 5  # so long, from the first time, and so often a script may be fetched


async def create(session: AsyncSession, ident: str, *, caller: Caller) -> tuple[Enrolment, str]:
    """The code, which is kept nowhere. One that was still open is over. Raises NotFound, NotAllowed, Conflict."""
    site = await installation.get_pushing(session, ident, caller=caller)
    now = utc_now()
    await installation.withdraw(session, site.id)
    code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    made = Enrolment(site_id=site.id, digest=digest(code), created_by=caller.who, expires_at=now + LASTS)
    session.add(made)
    await session.flush()
    await audit.record(
        session,
        caller,
        "enrol",
        "site",
        site.id,
        region_code=site.village_code,
        after={"enrolment_id": made.id, "expires_at": made.expires_at.isoformat()},
    )
    return made, code


def normal(code: str) -> str:
    """As it was given out, however it was typed."""
    return code.upper().replace("-", "").replace(" ", "")


@dataclass(frozen=True, slots=True)
class Known:
    """What a code leads to, as long as it is not over."""

    enrolment: Enrolment
    site: Site
    status: SiteStatus
    token: DeviceToken | None  # of the script that was fetched last
    device: Device | None

    @property
    def profile(self) -> Profile:
        return profiles()[self.site.technology]


async def get(sessions: Sessions, code: str, *, address: str | None) -> Known:
    """Raises EnrolmentCodeInvalid for an unknown or expired code, TooManyAttempts after too many of them."""
    limit = login_throttle.code_guess_limit("enrolment", login_throttle.network_of(address))
    async with transaction(sessions) as session:
        await login_throttle.require_free(session, limit)
        known = await _find(session, code)
    if known is None:
        async with transaction(sessions) as session:
            await login_throttle.charge(session, limit)
        raise EnrolmentCodeInvalid
    return known


async def redeem(
    sessions: Sessions, known: Known, kind: AgentKind, *, settings: Settings, url: str, address: str | None
) -> str:
    """The script with a new token.

    Raises EnrolmentCodeUsed, EnrolmentCodeWithdrawn, and EnrolmentCodeInvalid for a site that has no agent any more.

    Again, as long as its agent has not reported: the token before it, which nobody came with, is over. The one of an
    agent that works at the site is good until the new one has reported.
    """
    async with transaction(sessions) as session:
        site = await _site(session, known.site.id)  # first: whoever gives out a new code locks in this order, too
        enrolment = await session.get_one(Enrolment, known.enrolment.id, with_for_update=True, populate_existing=True)
        now = utc_now()
        caller = replace(_as(enrolment, site), address=address)
        if enrolment.withdrawn_at is not None:
            raise EnrolmentCodeWithdrawn
        if enrolment.device_token_id is not None:
            await _replace(session, enrolment, now, by=caller.who)
        if enrolment.expires_at <= now or site.probe is not ProbeKind.PUSH or site.lifecycle is Lifecycle.RETIRED:
            raise EnrolmentCodeInvalid
        token, script = await installation.install(
            session, site, kind, caller=caller, settings=settings, url=url, at_once=False
        )
        enrolment.used_at, enrolment.device_token_id = enrolment.used_at or now, token.id
        enrolment.fetches += 1
    return script


async def _replace(session: AsyncSession, enrolment: Enrolment, now: datetime, *, by: str) -> None:
    """Raises EnrolmentCodeUsed."""
    assert enrolment.used_at is not None
    before = await session.get_one(DeviceToken, enrolment.device_token_id, with_for_update=True, populate_existing=True)
    over = before.used_at is not None or before.revoked_at is not None
    if over or now - enrolment.used_at > AGAIN_FOR or enrolment.fetches >= AT_MOST:
        raise EnrolmentCodeUsed
    before.revoked_at, before.revoked_by = now, f"{by}: fetched again"


def _as(enrolment: Enrolment, site: Site) -> Caller:
    """Whoever typed the code acts for whoever gave it out."""
    return Caller(None, f"enrolment by {enrolment.created_by}", Role.DISTRICT_OPERATOR, site.village_code)


async def _find(session: AsyncSession, code: str) -> Known | None:
    query = (
        select(Enrolment, Site, SiteStatus, DeviceToken, Device)
        .join(Site, Site.id == Enrolment.site_id)
        .join(SiteStatus, SiteStatus.site_id == Site.id)
        .outerjoin(DeviceToken, DeviceToken.id == Enrolment.device_token_id)
        .outerjoin(Device, Device.site_id == Site.id)
        .options(joinedload(Site.provider))
        .where(Enrolment.digest == digest(normal(code)), Enrolment.expires_at > utc_now())
    )
    found = (await session.execute(query)).one_or_none()
    return None if found is None else Known(*found)


async def _site(session: AsyncSession, site_id: int) -> Site:
    query = select(Site).options(joinedload(Site.provider)).where(Site.id == site_id)
    return (await session.scalars(query.with_for_update(of=Site, key_share=True))).one()


class Stage:
    """How far an installation has come, told by what the server saw of it."""

    OPEN, WAITING, WORKS, SILENT, REVOKED, WITHDRAWN = (
        "open",
        "waiting",
        "works",
        "silent",
        "revoked",
        "withdrawn",
    )


def stage(known: Known, now: datetime) -> str:
    enrolment, device = known.enrolment, known.device
    if enrolment.used_at is None:
        return Stage.OPEN if enrolment.withdrawn_at is None else Stage.WITHDRAWN
    if known.token is not None and known.token.revoked_at is not None:
        return Stage.REVOKED
    if device is None or known.token is None or known.token.used_at is None:
        return Stage.WAITING  # the agent before it may still be heard
    late = now > holds_until(device.heard_at, known.profile.send_every_s)
    return Stage.SILENT if late else Stage.WORKS
