"""Enrolment codes that a technician types at the site: one code installs one agent, within a week.

An installation that failed may be repeated with the same code, until its agent has sent its first push.
"""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.access import audit, login_throttle
from app.access.api_tokens import digest
from app.access.models import Role
from app.access.scope import Caller
from app.agents import installation
from app.agents.models import AgentKind, Device, DeviceToken, Enrolment
from app.core.clock import utc_now
from app.core.errors import EnrolmentCodeInvalid, EnrolmentCodeUsed, EnrolmentCodeWithdrawn
from app.core.freshness import holds_until
from app.core.networks import limit_key
from app.postgres.engine import Sessions, transaction
from app.profiles import Profile, profiles
from app.registry.models import Lifecycle, Site, SiteStatus
from app.settings import Settings
from probes.contract import ProbeKind

ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # without what is confused in print: 0 O, 1 I L
LENGTH = 8
VALID_FOR = timedelta(days=7)
REPEAT_WITHIN, MAX_FETCHES = timedelta(hours=1), 5  # of the script, from its first fetch


async def create(session: AsyncSession, ident: str, *, caller: Caller) -> tuple[Enrolment, str]:
    """Return an enrolment and its code, which is not stored. Withdraws the site's open codes.

    Raises NotFound, NotAllowed, Conflict.
    """
    site = await installation.get_push_site(session, ident, caller=caller)
    now = utc_now()
    await installation.withdraw_codes(session, site.id)
    code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    enrolment = Enrolment(site_id=site.id, digest=digest(code), created_by=caller.who, expires_at=now + VALID_FOR)
    session.add(enrolment)
    await session.flush()
    await audit.record(
        session,
        caller,
        "enrol",
        "site",
        site.id,
        region_code=site.village_code,
        after={"enrolment_id": enrolment.id, "expires_at": enrolment.expires_at.isoformat()},
    )
    return enrolment, code


def normalize(code: str) -> str:
    """Return the code as it was issued, however it was typed."""
    return code.upper().replace("-", "").replace(" ", "")


@dataclass(frozen=True, slots=True)
class EnrolmentDetails:
    """An enrolment with its site and how far the installation is."""

    enrolment: Enrolment
    site: Site
    status: SiteStatus
    token: DeviceToken | None  # of the script that was fetched last
    device: Device | None

    @property
    def profile(self) -> Profile:
        return profiles()[self.site.technology]


async def get(sessions: Sessions, code: str, *, address: str | None) -> EnrolmentDetails:
    """Raises EnrolmentCodeInvalid for an unknown or expired code alike, TooManyAttempts after too many of them."""
    limit = login_throttle.code_guess_limit("enrolment", limit_key(address))
    async with transaction(sessions) as session:
        await login_throttle.require_free(session, limit)
        details = await _find(session, code)
    if details is None:
        async with transaction(sessions) as session:
            await login_throttle.charge(session, limit)
        raise EnrolmentCodeInvalid
    return details


async def redeem(
    sessions: Sessions,
    details: EnrolmentDetails,
    kind: AgentKind,
    *,
    settings: Settings,
    url: str,
    address: str | None,
) -> str:
    """Return the script with a new token.

    1. Lock the site, then the enrolment: `create` locks in the same order.
    2. On a repeated fetch, revoke the token of the earlier script, unless an agent has used it.
    3. Mint a token; the one of the agent that works at the site stays valid until the new one is used.

    Raises EnrolmentCodeUsed, EnrolmentCodeWithdrawn, and EnrolmentCodeInvalid for an expired code or a site that no
    agent measures any more.
    """
    async with transaction(sessions) as session:
        site = await _lock_site(session, details.site.id)
        enrolment = await session.get_one(Enrolment, details.enrolment.id, with_for_update=True, populate_existing=True)
        now = utc_now()
        caller = replace(_caller(enrolment, site), address=address)
        if enrolment.withdrawn_at is not None:
            raise EnrolmentCodeWithdrawn
        if enrolment.device_token_id is not None:
            await _revoke_unused_token(session, enrolment, now, by=caller.who)
        if enrolment.expires_at <= now or site.probe is not ProbeKind.PUSH or site.lifecycle is Lifecycle.RETIRED:
            raise EnrolmentCodeInvalid
        token, script = await installation.install(
            session, site, kind, caller=caller, settings=settings, url=url, revoke_previous=False
        )
        enrolment.used_at, enrolment.device_token_id = enrolment.used_at or now, token.id
        enrolment.fetches += 1
    return script


async def _revoke_unused_token(session: AsyncSession, enrolment: Enrolment, now: datetime, *, by: str) -> None:
    """Raises EnrolmentCodeUsed if the token was used or revoked, or its script fetched too long ago or too often."""
    assert enrolment.used_at is not None
    token = await session.get_one(DeviceToken, enrolment.device_token_id, with_for_update=True, populate_existing=True)
    is_over = token.used_at is not None or token.revoked_at is not None
    if is_over or now - enrolment.used_at > REPEAT_WITHIN or enrolment.fetches >= MAX_FETCHES:
        raise EnrolmentCodeUsed
    token.revoked_at, token.revoked_by = now, f"{by}: fetched again"


def _caller(enrolment: Enrolment, site: Site) -> Caller:
    """A technician acts on behalf of the account that issued the code."""
    return Caller(None, f"enrolment by {enrolment.created_by}", Role.DISTRICT_OPERATOR, site.village_code)


async def _find(session: AsyncSession, code: str) -> EnrolmentDetails | None:
    query = (
        select(Enrolment, Site, SiteStatus, DeviceToken, Device)
        .join(Site, Site.id == Enrolment.site_id)
        .join(SiteStatus, SiteStatus.site_id == Site.id)
        .outerjoin(DeviceToken, DeviceToken.id == Enrolment.device_token_id)
        .outerjoin(Device, Device.site_id == Site.id)
        .options(joinedload(Site.provider))
        .where(Enrolment.digest == digest(normalize(code)), Enrolment.expires_at > utc_now())
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else EnrolmentDetails(*row)


async def _lock_site(session: AsyncSession, site_id: int) -> Site:
    query = select(Site).options(joinedload(Site.provider)).where(Site.id == site_id)
    return (await session.scalars(query.with_for_update(of=Site, key_share=True))).one()


class InstallStage(StrEnum):
    """How far an installation is, by what the server has received."""

    OPEN = "open"  # the script was not fetched yet
    WAITING = "waiting"  # for the first push of the new agent
    WORKS = "works"
    SILENT = "silent"
    REVOKED = "revoked"
    WITHDRAWN = "withdrawn"


def install_stage(details: EnrolmentDetails, now: datetime) -> InstallStage:
    enrolment, device = details.enrolment, details.device
    if enrolment.used_at is None:
        return InstallStage.OPEN if enrolment.withdrawn_at is None else InstallStage.WITHDRAWN
    if details.token is not None and details.token.revoked_at is not None:
        return InstallStage.REVOKED
    if device is None or details.token is None or details.token.used_at is None:
        return InstallStage.WAITING  # pushes may still come from the agent before it
    is_late = now > holds_until(device.heard_at, details.profile.send_every_s)
    return InstallStage.SILENT if is_late else InstallStage.WORKS
