"""Put sites under contracts, move their days, and take them back, also for days that are over.

What changes the past is counted again: what is closed gets a correction beside it. Writers take the registry's counter
first, so of two at once the second sees what the first wrote.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.audit import AuditEntry
from app.access.scope import PROVINCE, Caller, require_writer
from app.availability import retroactive_changes
from app.contracts import assignment_faults, assignments, closed_past, store
from app.contracts.assignment_schemas import SiteAssignmentIn, SiteAssignmentPatch, SiteAssignmentsIn
from app.core.clock import utc_now
from app.core.errors import Conflict, Fault, Invalid
from app.postgres.engine import Counter, lock_counter, next_version, require_version
from app.registry import site_contracts
from app.registry.models import Contract, Site, SiteContract
from app.registry.site_contracts import Assignment, DayRange

OVERLAP = "ex_site_contract_overlap"


async def add_sites(
    session: AsyncSession, contract_id: int, body: SiteAssignmentsIn, *, caller: Caller
) -> list[dict[str, Any]]:
    """Put sites under a contract, all or none.

    Raises NotAllowed but for the province, Invalid with every fault of every row: days outside the contract's, days of
    another provider, days under another contract, or days before today without a reason. A fee of its own in a closed
    month is for who issues reports.
    """
    contract = await _lock(session, contract_id, caller=caller)
    sites = await assignments.find_sites(session, [item.site for item in body.sites], caller=caller)
    under = await site_contracts.load(session, {site.id for site in sites.values()})
    configured = await assignments.configured_days(session, {site.id for site in sites.values()})
    faults: list[Fault] = []
    now = utc_now()
    added: list[tuple[SiteContract, Site]] = []
    for number, item in enumerate(body.sites):
        site = sites.get(item.site)
        found = (
            [assignment_faults.unknown_site(item.site)]
            if site is None
            else assignment_faults.check_new(item, site, contract, under[site.id], configured[site.id])
        )
        faults += [replace(fault, field=f"sites.{number}.{fault.field}", row=number) for fault in found]
        if site is not None and not found:
            row = _row(item, site, contract, reason=body.reason, caller=caller, now=now)
            added.append((row, site))
            under[site.id].append(Assignment(row, contract))
    days = [(item.from_, item.to or date.max) for item in body.sites]
    if faults := [*faults, *retroactive_changes.check_reason_of_days(days, body.reason)]:
        raise Invalid(*faults)
    for row, site in added:
        if row.monthly_fee_idr is not None:
            await closed_past.require_issuer(session, [site.id], [_stored(row)], caller=caller)
    await retroactive_changes.close_before(session, [(row.site_id, _stored(row)) for row, _ in added])
    version = await next_version(session, Counter.REGISTRY)
    for row, site in added:
        row.version = version
        site_contracts.make_room(_of_role(under[site.id], row), _stored(row), version=version)
    await session.flush()  # what others were cut off makes room
    await _write(session, [row for row, _ in added])
    days_of_sites = [(row.site_id, Assignment(row, contract).days) for row, _ in added]
    await retroactive_changes.invalidate_days(session, days_of_sites, reason=body.reason)
    answers = [assignments.present(row, contract, site, caller=caller) for row, site in added]
    entries = [_audited("create", row, site, reason=body.reason, after=_fields(row, contract)) for row, site in added]
    await audit.record_all(session, caller, entries)
    return answers


async def patch_assignment(
    session: AsyncSession,
    contract_id: int,
    assignment_id: int,
    body: SiteAssignmentPatch,
    *,
    caller: Caller,
    if_match: int | None,
) -> dict[str, Any]:
    """Move the days of a site under a contract.

    Raises what `add_sites` does, Stale for another version, Conflict if it is withdrawn, NotAllowed where a fee of a
    closed month changes and the caller does not issue reports.
    """
    contract = await _lock(session, contract_id, caller=caller)
    row, _, site = await assignments.get_assignment(session, contract_id, assignment_id, caller=caller, for_update=True)
    require_version(if_match, row.version)
    if row.withdrawn_at is not None:
        raise Conflict(faults=[Fault("id", "withdrawn", "This assignment was taken back", "Record a new one")])
    start = row.started_on if body.from_ is None else body.from_
    until = body.to if "to" in body.model_fields_set else row.ended_on
    fee_idr = body.monthly_fee_idr if "monthly_fee_idr" in body.model_fields_set else row.monthly_fee_idr
    if (start, until, fee_idr) == (row.started_on, row.ended_on, row.monthly_fee_idr):
        return assignments.present(row, contract, site, caller=caller)
    before = _fields(row, contract)
    others = [each for each in (await site_contracts.load(session, [site.id]))[site.id] if each.row is not row]
    changed = retroactive_changes.symmetric_difference(_stored(row), (start, until or date.max))
    repriced = [(start, until or date.max)] if fee_idr != row.monthly_fee_idr else []  # nothing is counted again
    faults = assignment_faults.check_moved(
        row, (start, until), contract, others, (await assignments.configured_days(session, [site.id]))[site.id]
    )
    if faults := [*faults, *retroactive_changes.check_reason_of_days([*changed, *repriced], body.reason)]:
        raise Invalid(*faults)
    await closed_past.require_issuer(session, [site.id], repriced, caller=caller)
    await retroactive_changes.close_before(session, [(site.id, days) for days in changed])
    version = await next_version(session, Counter.REGISTRY)
    site_contracts.make_room(_of_role(others, row), (start, until or date.max), version=version)
    await session.flush()  # what others were cut off makes room
    row.started_on, row.ended_on, row.reason, row.version = start, until, body.reason or row.reason, version
    row.monthly_fee_idr, row.changed_at, row.changed_by = fee_idr, utc_now(), caller.who
    await _write(session, [row])
    await retroactive_changes.invalidate_days(session, [(site.id, days) for days in changed], reason=body.reason)
    entry = _audited("change", row, site, reason=body.reason, before=before, after=_fields(row, contract))
    await audit.record_all(session, caller, [entry])
    return assignments.present(row, contract, site, caller=caller)


async def withdraw_assignment(
    session: AsyncSession,
    contract_id: int,
    assignment_id: int,
    *,
    caller: Caller,
    reason: str | None,
    if_match: int | None,
) -> None:
    """Take back an assignment as if it had never been; its row is kept. Idempotent.

    Raises NotAllowed but for the province, Invalid for days before today without a reason.
    """
    contract = await _lock(session, contract_id, caller=caller)
    row, _, site = await assignments.get_assignment(session, contract_id, assignment_id, caller=caller, for_update=True)
    if row.withdrawn_at is not None:
        return
    require_version(if_match, row.version)
    days = [_stored(row)]
    if faults := [*retroactive_changes.check_reason_of_days(days, reason)]:
        raise Invalid(*faults)
    await retroactive_changes.close_before(session, [(site.id, days[0])])
    row.withdrawn_at = row.changed_at = utc_now()
    row.changed_by, row.reason = caller.who, reason or row.reason
    row.version = await next_version(session, Counter.REGISTRY)
    await session.flush()
    await retroactive_changes.invalidate_days(session, [(site.id, days[0])], reason=reason)
    await audit.record_all(
        session, caller, [_audited("withdraw", row, site, reason=reason, before=_fields(row, contract))]
    )


async def _lock(session: AsyncSession, contract_id: int, *, caller: Caller) -> Contract:
    await lock_counter(session, Counter.REGISTRY)  # before any row, as every writer does: no deadlocks
    contract = await store.get_contract(session, contract_id, caller=caller, for_update=True)
    require_writer(caller, PROVINCE)
    return contract


def _row(
    item: SiteAssignmentIn, site: Site, contract: Contract, *, reason: str | None, caller: Caller, now: datetime
) -> SiteContract:
    return SiteContract(
        site_id=site.id,
        contract_id=contract.id,
        link_role=item.link_role or site.link_role,
        started_on=item.from_,
        ended_on=item.to,
        monthly_fee_idr=item.monthly_fee_idr,
        reason=reason,
        recorded_at=now,
        recorded_by=caller.who,
    )


def _of_role(assignments: Iterable[Assignment], row: SiteContract) -> list[Assignment]:
    return [each for each in assignments if each.row.link_role is row.link_role]


def _stored(row: SiteContract) -> DayRange:
    return row.started_on, row.ended_on or date.max


async def _write(session: AsyncSession, rows: Sequence[SiteContract]) -> None:
    """Raises Conflict for days that another transaction gave to another contract meanwhile."""
    try:
        async with session.begin_nested():
            session.add_all(rows)
            await session.flush()
    except IntegrityError as error:
        if OVERLAP not in str(error.orig):
            raise
        raise Conflict(
            faults=[
                Fault(
                    "from",
                    "under_contract",
                    "The site was put under another contract on these days just now",
                    "Read its contracts again: GET /api/v1/sites/{id}/contracts",
                    values={"id": rows[0].site_id},
                )
            ]
        ) from None


def _audited(
    action: str,
    row: SiteContract,
    site: Site,
    *,
    reason: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEntry:
    return AuditEntry(action, "site_contract", row.id, site.village_code, reason, before, after)


def _fields(row: SiteContract, contract: Contract) -> dict[str, Any]:
    return {
        "contract": contract.number,
        "site_id": row.site_id,
        "link_role": row.link_role,
        "from": row.started_on.isoformat(),
        "to": row.ended_on and row.ended_on.isoformat(),
        "monthly_fee_idr": row.monthly_fee_idr,
    }
