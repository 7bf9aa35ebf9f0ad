"""Contracts: what a provider promised, from which day on. Terms that were in force are not rewritten."""

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from app.access import audit
from app.access.scope import Caller, require_writer
from app.availability import retroactive_changes
from app.contracts import terms as dated
from app.contracts.schemas import ContractIn, ContractOut, ContractPatch
from app.contracts.terms import Days
from app.core.clock import WITA, midnight, utc_now
from app.core.errors import Conflict, Fault, Invalid, NotFound
from app.postgres.engine import Counter, lock_counter, next_version, require_version
from app.registry import providers
from app.registry.models import Contract, ContractTerms, Provider, SiteConfiguration

PROVINCE = "64"
HEAD = ("number", "valid_from", "valid_to")


def _contracts(caller: Caller) -> Select[Contract]:
    """A contract is nobody's region's: all of the government see it, a provider its own."""
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
    found = await session.scalar(query)
    if found is None:
        raise NotFound("There is no contract {given} within your scope", values={"given": contract_id})
    return found


async def create_contract(session: AsyncSession, given: ContractIn, *, caller: Caller) -> Contract:
    """Only the province makes contracts. Raises Invalid with every fault, Conflict for a number that is taken."""
    require_writer(caller, PROVINCE)
    faults: list[Fault] = []
    provider = await providers.find_by_slug(session, given.provider, faults)
    wanted = given.model_dump()
    faults += dated.check(wanted)
    if faults or provider is None:
        raise Invalid(*faults)
    contract = Contract(**{name: wanted[name] for name in HEAD}, version=await next_version(session, Counter.REGISTRY))
    contract.provider, contract.created_at = provider, utc_now()
    contract.terms = [ContractTerms(started_on=given.valid_from, **{name: wanted[name] for name in dated.NAMES})]
    session.add(contract)
    await _flush(session, given.number)
    await audit.record(session, caller, "create", "contract", contract.id, after=_record(contract))
    return contract


async def patch_contract(
    session: AsyncSession, contract_id: int, given: ContractPatch, *, caller: Caller, if_match: int | None
) -> Contract:
    """Dates the change of terms; what it means for days that have been is counted again.

    Raises Invalid too when it reaches into a closed month and gives no reason.
    """
    await lock_counter(session, Counter.REGISTRY)  # before the contract's own row: every writer takes it first
    contract = await get_contract(session, contract_id, caller=caller, for_update=True)
    require_writer(caller, PROVINCE)
    require_version(if_match, contract.version)
    changes = given.model_dump(exclude_unset=True)
    head = {name: getattr(contract, name) for name in HEAD} | {n: changes[n] for n in HEAD if n in changes}
    day = given.effective_from or max(_today(), head["valid_from"])
    news = {name: changes[name] for name in dated.NAMES if name in changes}
    wanted = dated.values(dated.in_force(contract.terms, day)) | news
    _require_sound(contract, given, head, wanted, day=day, dated_news=bool(news))
    before = _record(contract)
    touched = _set_head(contract, head) + _set_terms(contract, wanted, day, head["valid_to"])
    if not session.is_modified(contract) and not touched:
        return contract
    await _flush(session, head["number"])
    contract.version = await next_version(session, Counter.REGISTRY)
    await session.flush()
    await _recount(session, contract, touched, given.reason)
    await audit.record(
        session, caller, "change", "contract", contract.id, reason=given.reason, before=before, after=_record(contract)
    )
    return contract


def _require_sound(
    contract: Contract,
    given: ContractPatch,
    head: dict[str, Any],
    wanted: dict[str, Any],
    *,
    day: date,
    dated_news: bool,
) -> None:
    faults = list(dated.check(head | wanted))
    if given.provider not in {None, contract.provider.slug}:
        faults.append(
            Fault(
                "provider",
                "provider_stays",
                "A contract stays with its provider",
                "Register the other provider's contract as one of its own",
            )
        )
    if dated_news:
        faults += dated.check_day(day, head["valid_from"], head["valid_to"])
    elif given.effective_from is not None:
        faults.append(
            Fault(
                "effective_from",
                "nothing_to_date",
                "No term changes: there is nothing to date",
                "Leave it out, or give the terms that change",
            )
        )
    if faults:
        raise Invalid(*faults)


def _set_head(contract: Contract, head: dict[str, Any]) -> list[Days]:
    """Writes number and validity; the days on which the contract holds now and did not before, or the reverse."""
    touched: list[Days] = []
    if head["valid_from"] != contract.valid_from:
        touched.append((min(head["valid_from"], contract.valid_from), max(head["valid_from"], contract.valid_from)))
        first = contract.terms[0]
        first.started_on = min(first.started_on, head["valid_from"])
    if head["valid_to"] != contract.valid_to:
        ends = sorted(day or date.max for day in (head["valid_to"], contract.valid_to))
        touched.append((ends[0], ends[1]))
    for name, value in head.items():
        setattr(contract, name, value)
    return touched


def _set_terms(contract: Contract, wanted: dict[str, Any], day: date, valid_to: date | None) -> list[Days]:
    """Writes the terms that are in force from `day` on: in place where some begin that day, else beside them."""
    current = dated.in_force(contract.terms, day)
    if dated.values(current) == wanted:
        return []
    if current.started_on == day:
        for name, value in wanted.items():
            setattr(current, name, value)
        current.recorded_at = utc_now()
    else:
        contract.terms.append(ContractTerms(started_on=day, **wanted))
        contract.terms.sort(key=lambda terms: terms.started_on)
    return [dated.reach(contract.terms, day, valid_to)]


async def _recount(session: AsyncSession, contract: Contract, touched: list[Days], reason: str | None) -> None:
    stretches = [(midnight(start), _end(end)) for start, end in touched]
    query = select(SiteConfiguration.site_id).where(SiteConfiguration.contract_id == contract.id).distinct()
    await retroactive_changes.invalidate(session, list(await session.scalars(query)), stretches, reason=reason)


def _end(day: date | None) -> datetime:
    return utc_now() + timedelta(days=1) if day is None or day == date.max else midnight(day)


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
                    "There is a contract {given} already",
                    "Change that one, or check the number",
                    values={"given": number},
                )
            ]
        ) from None


def _today() -> date:
    return utc_now().astimezone(WITA).date()


def present(contract: Contract) -> dict[str, Any]:
    out = {
        "id": contract.id,
        "number": contract.number,
        "provider": contract.provider.slug,
        "valid_from": contract.valid_from,
        "valid_to": contract.valid_to,
        "version": contract.version,
        "created_at": contract.created_at,
    }
    history = [{"started_on": terms.started_on, **_shown(terms)} for terms in contract.terms]
    return out | _shown(dated.in_force(contract.terms, _today())) | {"terms": history}


def _shown(terms: ContractTerms) -> dict[str, Any]:
    found = dated.values(terms)
    hours = {name: found[name] and f"{found[name]:%H:%M}" for name in ("service_from", "service_to")}
    return found | hours


def _record(contract: Contract) -> dict[str, Any]:
    return ContractOut.model_validate(present(contract)).model_dump(mode="json", exclude={"version", "created_at"})
