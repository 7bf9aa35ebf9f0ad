"""Vantages and probers as the province manages them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.rights import HOLDERS, REFUSALS, Right
from app.access.scope import Caller
from app.core.clock import utc_now
from app.core.errors import Conflict, Fault, Invalid, NotAllowed, NotFound
from app.judging.models import WorkerBeat
from app.postgres.engine import require_version
from app.postgres.work_signals import Work, announce
from app.vantages import hosting, prober_tokens
from app.vantages.intake import LEASE
from app.vantages.models import RegisteredProber, Vantage
from app.vantages.schemas import MOST_VANTAGES, ProberOut, VantageIn
from probes.contract import CENTRAL

OF_PROVINCE = ("address", "figures", "created_by", "revoked_by")


async def list_vantages(session: AsyncSession) -> list[dict[str, Any]]:
    hosts = await hosting.list_hosts(session)
    return [_vantage(row, hosts) for row in await session.scalars(select(Vantage).order_by(Vantage.number))]


def _vantage(vantage: Vantage, hosts: Mapping[int, str | None]) -> dict[str, Any]:
    fields = {name: getattr(vantage, name) for name in ("number", "name", "label", "version")}
    return fields | {"provider": hosts.get(vantage.number)}


async def put_vantage(
    session: AsyncSession, number: int, body: VantageIn, *, caller: Caller, if_match: int | None
) -> dict[str, Any]:
    """Name a vantage, and say at which provider it stands, if that is sent.

    Raises NotAllowed, NotFound, Invalid for an unknown provider, Conflict for a name in use, Stale.
    """
    _require_manager(caller)
    if not 0 <= number <= MOST_VANTAGES:
        raise NotFound("Vantages have the numbers 0 to {most}", values={"most": MOST_VANTAGES})
    vantage = await session.get(Vantage, number, with_for_update=True)
    require_version(if_match, vantage.version if vantage is not None else 0)
    await _require_unused_vantage(session, body.name, number)
    hosts = await hosting.list_hosts(session)
    before = None
    if vantage is not None:
        before = {"name": vantage.name, "label": vantage.label, "provider": hosts.get(number)}
    provider = body.provider if "provider" in body.model_fields_set else hosts.get(number)
    after = {"name": body.name, "label": body.label, "provider": provider}
    if before == after and vantage is not None:
        return _vantage(vantage, hosts)
    if vantage is None:
        vantage = Vantage(number=number, version=1, name=body.name, label=body.label)
        session.add(vantage)
    else:
        vantage.name, vantage.label, vantage.version = body.name, body.label, vantage.version + 1
    await session.flush()
    if provider != hosts.get(number):
        await hosting.move(session, number, provider)
    action = "create" if before is None else "change"
    await audit.record(session, caller, action, "vantage", number, before=before, after=after)
    await announce(session, Work.ASSIGNMENT)
    return _vantage(vantage, {number: provider})


async def list_probers(
    session: AsyncSession, *, caller: Caller, active: bool | None = None, after: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    query = _probers().order_by(RegisteredProber.id).limit(limit)
    if active is not None:
        query = query.where(RegisteredProber.revoked_at.is_(None) == active)
    if after is not None:
        query = query.where(RegisteredProber.id > after)
    sites = await _assigned_sites(session)
    return [_present(*row, sites, caller=caller) for row in await session.execute(query)]


async def get_prober(session: AsyncSession, prober_id: int, *, caller: Caller) -> dict[str, Any]:
    """Raises NotFound."""
    row = (await session.execute(_probers().where(RegisteredProber.id == prober_id))).one_or_none()
    if row is None:
        raise _not_found(prober_id)
    return _present(*row, await _assigned_sites(session), caller=caller)


async def find_by_token(session: AsyncSession, token_digest: bytes) -> RegisteredProber | None:
    valid = RegisteredProber.digest == token_digest, RegisteredProber.revoked_at.is_(None)
    return await session.scalar(select(RegisteredProber).where(*valid))


async def create_prober(session: AsyncSession, *, name: str, vantage: str, caller: Caller) -> tuple[int, str]:
    """Return its id and its token. Raises NotAllowed, Invalid for an unknown vantage, Conflict for a name in use."""
    _require_manager(caller)
    number = await session.scalar(select(Vantage.number).where(Vantage.name == vantage))
    if number is None:
        raise Invalid(
            Fault(
                "vantage",
                "unknown_vantage",
                "There is no vantage {given}",
                "Name it first: PUT /api/v1/vantages/1",
                values={"given": vantage},
            )
        )
    await _require_unused_prober(session, name)
    prober = RegisteredProber(name=name, vantage=number, created_by=caller.who)
    token = prober_tokens.mint(prober)
    session.add(prober)
    await session.flush()
    await audit.record(session, caller, "create", "prober", prober.id, after={"name": name, "vantage": vantage})
    await announce(session, Work.ASSIGNMENT)
    return prober.id, token


async def rename_prober(session: AsyncSession, prober_id: int, name: str | None, *, caller: Caller) -> None:
    """Raises NotAllowed, NotFound, Conflict for a name in use."""
    prober = await _lock(session, prober_id, caller=caller)
    if name is None or name == prober.name:
        return
    await _require_unused_prober(session, name)
    before, prober.name = prober.name, name
    await session.flush()
    await audit.record(session, caller, "change", "prober", prober.id, before={"name": before}, after={"name": name})


async def revoke_prober(session: AsyncSession, prober_id: int, *, caller: Caller) -> None:
    """End its token; others of its vantage look at its sites. Idempotent. Raises NotAllowed, NotFound."""
    prober = await _lock(session, prober_id, caller=caller)
    if prober.revoked_at is not None:
        return
    prober.revoked_at, prober.revoked_by = utc_now(), caller.who
    await session.flush()
    await audit.record(session, caller, "revoke", "prober", prober.id, before={"name": prober.name})
    await announce(session, Work.ASSIGNMENT)


async def rotate_token(session: AsyncSession, prober_id: int, *, caller: Caller) -> str:
    """Return a new token; the one before ends at once. Raises NotAllowed, NotFound, Conflict for a revoked prober."""
    prober = await _lock(session, prober_id, caller=caller)
    if prober.revoked_at is not None:
        raise Conflict("The prober {name} is revoked: create another one", values={"name": prober.name})
    token = prober_tokens.mint(prober)
    await session.flush()
    await audit.record(session, caller, "rotate_token", "prober", prober.id)
    return token


async def _lock(session: AsyncSession, prober_id: int, *, caller: Caller) -> RegisteredProber:
    _require_manager(caller)
    query = select(RegisteredProber).where(RegisteredProber.id == prober_id)
    prober = await session.scalar(query.with_for_update(key_share=True))
    if prober is None:
        raise _not_found(prober_id)
    return prober


def _require_manager(caller: Caller) -> None:
    if caller.role not in HOLDERS[Right.PROBERS]:
        raise NotAllowed(REFUSALS[Right.PROBERS], values={"role": caller.role.value})


async def _require_unused_vantage(session: AsyncSession, name: str, number: int) -> None:
    if await session.scalar(select(exists().where(Vantage.name == name, Vantage.number != number))):
        raise Conflict(
            faults=[Fault("name", "name_in_use", "A vantage has the name {given} already", values={"given": name})]
        )


async def _require_unused_prober(session: AsyncSession, name: str) -> None:
    """A revoked one keeps its name: what it delivered stands in the audit log by it."""
    if await session.scalar(select(exists().where(RegisteredProber.name == name))):
        raise Conflict(
            faults=[Fault("name", "name_in_use", "A prober has the name {given} already", values={"given": name})]
        )


def _not_found(prober_id: int) -> NotFound:
    return NotFound("There is no prober {given}", values={"given": prober_id})


def _probers() -> Select[Any, Any]:
    return select(RegisteredProber, Vantage.name).join(Vantage, Vantage.number == RegisteredProber.vantage)


async def _assigned_sites(session: AsyncSession) -> Mapping[str, int]:
    """Return by prober how many sites it has, as the worker last said: counting a million rows is no page's matter."""
    figures = await session.scalar(select(WorkerBeat.figures).where(WorkerBeat.source == CENTRAL))
    sites: Mapping[str, int] = (figures or {}).get("prober_sites", {})
    return sites


def _present(
    prober: RegisteredProber, vantage_name: str, sites: Mapping[str, int], *, caller: Caller
) -> dict[str, Any]:
    out = {name: getattr(prober, name, None) for name in ProberOut.model_fields}
    is_live = prober.revoked_at is None and prober.seen_at is not None and utc_now() - prober.seen_at <= LEASE
    out |= {"vantage_name": vantage_name, "live": is_live}
    out["sites"] = 0 if prober.revoked_at else sites.get(str(prober.id), 0)
    return out if caller.sees_addresses else out | dict.fromkeys(OF_PROVINCE)
