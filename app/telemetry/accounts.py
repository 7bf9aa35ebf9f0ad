"""Service accounts of providers: the province registers them; their secrets are sealed, and never read again here."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from sqlalchemy import delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import PROVINCE, Caller, require_writer
from app.core.errors import Conflict, Fault, Invalid, NotFound
from app.core.pii import MASK
from app.core.sealing import Sealer
from app.postgres.engine import require_version
from app.registry import providers
from app.registry.models import Provider
from app.telemetry import faults
from app.telemetry.account_schemas import TelemetryAccountIn, TelemetryAccountPatch
from app.telemetry.models import TelemetryAccount, TelemetryGap, TelemetrySource
from app.telemetry.store import present_gaps
from probes.policy import AddressPolicy

MAX_GAPS = 20
SHOWN = (
    *("id", "name", "base_url", "client_id", "answered_at", "taken_until", "batches", "rows", "late", "bytes"),
    *("unassigned", "failures", "problem", "retry_at", "version", "created_by", "created_at"),
)


class AccountFingerprint(BaseModel):
    body: str


def fingerprint(body: TelemetryAccountIn, sealer: Sealer) -> AccountFingerprint:
    """Return what tells one request from another, and nothing of its secret to who reads it."""
    return AccountFingerprint(
        body=body.model_dump_json() + sealer.sign("idempotency", body.client_secret.get_secret_value())
    )


async def list_accounts(
    session: AsyncSession, *, caller: Caller, after: int | None, limit: int
) -> list[TelemetryAccount]:
    require_writer(caller, PROVINCE)
    query = select(TelemetryAccount).order_by(TelemetryAccount.id).limit(limit)
    return list(await session.scalars(query if after is None else query.where(TelemetryAccount.id > after)))


async def get_account(
    session: AsyncSession, account_id: int, *, caller: Caller, for_update: bool = False
) -> TelemetryAccount:
    require_writer(caller, PROVINCE)
    query = select(TelemetryAccount).where(TelemetryAccount.id == account_id)
    account = await session.scalar(query.with_for_update() if for_update else query)
    if account is None:
        raise NotFound("There is no account {given}", values={"given": account_id})
    return account


async def create_account(
    session: AsyncSession, body: TelemetryAccountIn, *, caller: Caller, sealer: Sealer, policy: AddressPolicy
) -> TelemetryAccount:
    """Raises NotAllowed, Invalid with every fault, Conflict for a name in use."""
    require_writer(caller, PROVINCE)
    found: list[Fault] = [*faults.of_url(body.base_url, policy)]
    provider = await providers.find_by_slug(session, body.provider, found)
    if found or provider is None:
        raise Invalid(*found)
    await _require_unused(session, body.name)
    account = TelemetryAccount(
        provider_id=provider.id,
        name=body.name,
        base_url=body.base_url,
        client_id=body.client_id,
        secret=sealer.seal(body.client_secret.get_secret_value()),
        version=1,
        created_by=caller.who,
    )
    session.add(account)
    await session.flush()
    await session.refresh(account)
    after = {"provider": body.provider, **_audit_fields(account), "client_secret": MASK}
    await audit.record(session, caller, "create", "telemetry_account", account.id, after=after)
    return account


async def patch_account(
    session: AsyncSession,
    account_id: int,
    body: TelemetryAccountPatch,
    *,
    caller: Caller,
    if_match: int | None,
    sealer: Sealer,
    policy: AddressPolicy,
) -> TelemetryAccount:
    """Raises what `create_account` does, NotFound, and Stale for another version. A change is tried at once."""
    account = await get_account(session, account_id, caller=caller, for_update=True)
    require_version(if_match, account.version)
    if body.base_url is not None and (found := [*faults.of_url(body.base_url, policy)]):
        raise Invalid(*found)
    if body.name is not None and body.name != account.name:
        await _require_unused(session, body.name)
    before = _audit_fields(account)
    for name in ("name", "base_url", "client_id"):
        if (value := getattr(body, name)) is not None:
            setattr(account, name, value)
    hidden = {}
    if body.client_secret is not None:
        account.secret, hidden = sealer.seal(body.client_secret.get_secret_value()), {"client_secret": MASK}
    if not session.is_modified(account):
        return account
    account.version, account.failures, account.problem, account.retry_at = account.version + 1, 0, None, None
    await session.flush()
    await audit.record(
        session,
        caller,
        "change",
        "telemetry_account",
        account.id,
        before=before,
        after=_audit_fields(account) | hidden,
    )
    return account


async def delete_account(session: AsyncSession, account_id: int, *, caller: Caller) -> None:
    """Remove it with its sites' sources; what was said stays. Idempotent. Raises NotAllowed."""
    require_writer(caller, PROVINCE)
    account = await session.get(TelemetryAccount, account_id, with_for_update=True)
    if account is None:
        return
    before = _audit_fields(account)
    await session.execute(delete(TelemetrySource).where(TelemetrySource.account_id == account_id))
    await session.delete(account)
    await audit.record(session, caller, "remove", "telemetry_account", account_id, before=before)


async def present(session: AsyncSession, accounts: Sequence[TelemetryAccount]) -> list[dict[str, Any]]:
    """Return accounts as responses show them."""
    ids = [account.id for account in accounts]
    slugs = {row.id: row.slug for row in await session.execute(select(Provider.id, Provider.slug))}
    counted = select(TelemetrySource.account_id, func.count().label("sites"))
    counted = counted.where(TelemetrySource.account_id.in_(ids)).group_by(TelemetrySource.account_id)
    sites = {row.account_id: row.sites for row in await session.execute(counted)}
    shown = []
    for account in accounts:
        gaps = select(TelemetryGap).where(TelemetryGap.account_id == account.id)
        latest = list(await session.scalars(gaps.order_by(TelemetryGap.started_at.desc()).limit(MAX_GAPS)))
        more = {"provider": slugs[account.provider_id], "sites": sites.get(account.id, 0)}
        shown.append({name: getattr(account, name) for name in SHOWN} | more | {"gaps": present_gaps(latest)})
    return shown


async def _require_unused(session: AsyncSession, name: str) -> None:
    if await session.scalar(select(exists().where(TelemetryAccount.name == name))):
        raise Conflict(
            faults=[Fault("name", "name_in_use", "An account has the name {given} already", values={"given": name})]
        )


def _audit_fields(account: TelemetryAccount) -> dict[str, Any]:
    return {name: getattr(account, name) for name in ("name", "base_url", "client_id")}
