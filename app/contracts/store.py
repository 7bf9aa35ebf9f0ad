"""Contracts as rows. Terms that have been in force are never rewritten: changes apply from a day on."""

from datetime import date
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from app.access import audit
from app.access.scope import PROVINCE, Caller, require_writer
from app.availability import retroactive_changes
from app.contracts import closed_past, dated_terms, serializer
from app.contracts.dated_terms import DayRange
from app.contracts.schemas import ContractIn, ContractOut, ContractPatch
from app.core.clock import today, utc_now
from app.core.errors import Conflict, Fault, Invalid, NotFound
from app.postgres.engine import Counter, lock_counter, next_version, require_version
from app.registry import providers
from app.registry.models import Contract, ContractTerms, Provider, SiteContract

UNDATED_FIELDS = ("number", "valid_from", "valid_to")
NOT_AUDITED: Any = {
    "version": True,
    "created_at": True,
    "leaves_out": True,
    "paid_back": True,
    "restitution_example": True,
    "terms": {"__all__": {"leaves_out", "paid_back", "recorded_at", "recorded_by", "recorded_because"}},
}


def _contracts(caller: Caller) -> Select[Contract]:
    """Contracts have no region: all government roles see them, a provider only its own."""
    query = select(Contract).options(joinedload(Contract.provider), selectinload(Contract.terms))
    return query if caller.provider_id is None else query.where(Contract.provider_id == caller.provider_id)


async def list_contracts(
    session: AsyncSession, *, caller: Caller, provider: str | None, after: int | None, limit: int
) -> list[Contract]:
    query = _contracts(caller).order_by(Contract.id).limit(limit)
    if provider is not None:
        query = query.where(Contract.provider.has(Provider.slug == provider))
    if after is not None:
        query = query.where(Contract.id > after)
    return list(await session.scalars(query))


async def get_contract(
    session: AsyncSession, contract_id: int, *, caller: Caller, for_update: bool = False
) -> Contract:
    query = _contracts(caller).where(Contract.id == contract_id)
    if for_update:
        query = query.with_for_update(of=Contract, key_share=True).execution_options(populate_existing=True)
    contract = await session.scalar(query)
    if contract is None:
        raise NotFound("There is no contract {given} within your scope", values={"given": contract_id})
    return contract


async def create_contract(session: AsyncSession, body: ContractIn, *, caller: Caller) -> Contract:
    """Raises NotAllowed but for the province, Invalid with every fault, Conflict for a number that is taken."""
    require_writer(caller, PROVINCE)
    faults: list[Fault] = []
    provider = await providers.find_by_slug(session, body.provider, faults)
    undated = {name: getattr(body, name) for name in UNDATED_FIELDS}
    terms = dated_terms.given(body, dated_terms.FIELDS)
    faults += dated_terms.check(undated | terms)
    if faults or provider is None:
        raise Invalid(*faults)
    contract = Contract(**undated, version=await next_version(session, Counter.REGISTRY))
    contract.provider, contract.created_at = provider, utc_now()
    recorded = {"recorded_at": contract.created_at, "recorded_by": caller.who}
    contract.terms = [ContractTerms(started_on=body.valid_from, **recorded, **terms)]
    session.add(contract)
    await _flush(session, body.number)
    await audit.record(session, caller, "create", "contract", contract.id, after=_audit_fields(contract))
    return contract


async def patch_contract(
    session: AsyncSession, contract_id: int, body: ContractPatch, *, caller: Caller, if_match: int | None
) -> Contract:
    """Change a contract, its terms from a day on; have past days that this affects counted again.

    Raises what `create_contract` does, Stale for another version, Invalid for a change of days before today without a
    reason, and NotAllowed for one of closed months but by who issues reports.
    """
    await lock_counter(session, Counter.REGISTRY)  # before the contract's row, as every writer does: no deadlocks
    contract = await get_contract(session, contract_id, caller=caller, for_update=True)
    require_writer(caller, PROVINCE)
    require_version(if_match, contract.version)
    given = body.model_fields_set
    undated = {name: getattr(body if name in given else contract, name) for name in UNDATED_FIELDS}
    day = body.effective_from or max(today(), undated["valid_from"])
    changed_terms = dated_terms.given(body, given)
    terms = dated_terms.values(dated_terms.in_force(contract.terms, day)) | changed_terms
    _require_valid(contract, body, undated | terms, day=day, changes_terms=bool(changed_terms))
    if body.reason is not None:  # without one no day before today changes
        first = min(contract.valid_from, undated["valid_from"])
        days = [(site_id, (first, date.max)) for site_id in await _site_ids(session, contract)]
        await retroactive_changes.close_before(session, days)
    before = _audit_fields(contract)
    recorded = {"recorded_at": utc_now(), "recorded_by": caller.who, "recorded_because": body.reason}
    affected = _set_undated(contract, undated, recorded)
    affected += _set_terms(contract, terms, day, undated["valid_to"], recorded)
    if not session.is_modified(contract) and not affected:
        return contract
    if faults := [*retroactive_changes.check_reason_of_days(affected, body.reason)]:
        raise Invalid(*faults)
    await _flush(session, undated["number"])
    await closed_past.require_issuer(session, await _site_ids(session, contract), affected, caller=caller)
    contract.version = await next_version(session, Counter.REGISTRY)
    await session.flush()
    await _recount(session, contract, affected, body.reason)
    await audit.record(
        session,
        caller,
        "change",
        "contract",
        contract.id,
        reason=body.reason,
        before=before,
        after=_audit_fields(contract),
    )
    return contract


def _require_valid(
    contract: Contract, body: ContractPatch, fields: dict[str, Any], *, day: date, changes_terms: bool
) -> None:
    """Raises Invalid with every fault; `fields` are the contract's and its terms' once the change is made."""
    faults = list(dated_terms.check(fields))
    if body.provider not in {None, contract.provider.slug}:
        faults.append(
            Fault(
                "provider",
                "provider_stays",
                "A contract's provider cannot be changed",
                "Register a separate contract for the other provider",
            )
        )
    if changes_terms:
        faults += dated_terms.check_effective_from(day, fields["valid_from"], fields["valid_to"])
    elif body.effective_from is not None:
        faults.append(
            Fault(
                "effective_from",
                "nothing_to_date",
                "No term changes, so effective_from has no effect",
                "Leave it out, or give the terms that change",
            )
        )
    if faults:
        raise Invalid(*faults)


def _set_undated(contract: Contract, undated: dict[str, Any], recorded: dict[str, Any]) -> list[DayRange]:
    """Set number and validity; return the days that became valid or invalid by it.

    Terms that begin earlier by it are recorded anew: nobody knew them for these days before.
    """
    affected: list[DayRange] = []
    if undated["valid_from"] != contract.valid_from:
        starts = sorted((undated["valid_from"], contract.valid_from))
        affected.append((starts[0], starts[1]))
        first = contract.terms[0]
        if undated["valid_from"] < first.started_on:
            first.started_on = undated["valid_from"]
            _set(first, recorded)
    if undated["valid_to"] != contract.valid_to:
        ends = sorted(day or date.max for day in (undated["valid_to"], contract.valid_to))
        affected.append((ends[0], ends[1]))
    for name, value in undated.items():
        setattr(contract, name, value)
    return affected


def _set_terms(
    contract: Contract, terms: dict[str, Any], day: date, valid_to: date | None, recorded: dict[str, Any]
) -> list[DayRange]:
    """Set the terms in force from `day` on, in place if some begin that day, else as new ones; return affected days."""
    current = dated_terms.in_force(contract.terms, day)
    if dated_terms.values(current) == terms:
        return []
    if current.started_on == day:
        _set(current, terms | recorded)
    else:
        contract.terms.append(ContractTerms(started_on=day, **terms, **recorded))
        contract.terms.sort(key=lambda dated: dated.started_on)
    return [dated_terms.days_in_force(contract.terms, day, valid_to)]


def _set(terms: ContractTerms, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        setattr(terms, name, value)


async def _recount(session: AsyncSession, contract: Contract, affected: list[DayRange], reason: str | None) -> None:
    days = [(site_id, each) for site_id in await _site_ids(session, contract) for each in affected]
    await retroactive_changes.invalidate_days(session, days, reason=reason)


async def _site_ids(session: AsyncSession, contract: Contract) -> list[int]:
    """Return the sites that are or were under the contract."""
    query = select(SiteContract.site_id).where(
        SiteContract.contract_id == contract.id, SiteContract.withdrawn_at.is_(None)
    )
    return list(await session.scalars(query.distinct().order_by(SiteContract.site_id)))


async def _flush(session: AsyncSession, number: str) -> None:
    try:
        async with session.begin_nested():
            await session.flush()
    except IntegrityError as error:
        if "uq_contract_number" not in str(error.orig):
            raise
        raise Conflict(
            faults=[
                Fault(
                    "number",
                    "duplicate_contract",
                    "Contract {given} already exists",
                    "Change that one, or check the number",
                    values={"given": number},
                )
            ]
        ) from None


def _audit_fields(contract: Contract) -> dict[str, Any]:
    return ContractOut.model_validate(serializer.present(contract)).model_dump(mode="json", exclude=NOT_AUDITED)
