"""Decide what each row would change, and find everything wrong with it, by the same rules as the API."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.core.errors import Fault
from app.importing import contract_dates, default_probe, known_sites, matching, registry_index
from app.importing.concurrency import run_in_thread
from app.importing.header_detection import SOURCES, label
from app.importing.known_sites import KnownSites
from app.importing.registry_index import RegistryIndex
from app.importing.rows import SheetRow
from app.registry import conflicts, drafts, rules, village_distance, writer
from app.registry.conflicts import DraftConflict
from app.registry.drafts import Draft
from app.registry.references import References
from app.registry.schemas import EditableFields
from probes.contract import ProbeKind
from probes.policy import AddressPolicy

# Fields that tell which site a row means.
IDENTIFYING = frozenset({"code", "village_code", "subdistrict", "district", "provider", "service_no"})
NOT_DRAFTED = frozenset({"code", "contract_from"})


async def resolve_names(session: AsyncSession, rows: Sequence[SheetRow], *, caller: Caller) -> RegistryIndex:
    """Replace names by codes and ids: slow where much is wrong, so it comes before any lock is taken."""
    index = await registry_index.load(session, caller=caller)
    await run_in_thread(_resolve_names, rows, index)
    return index


async def plan(
    session: AsyncSession,
    rows: Sequence[SheetRow],
    index: RegistryIndex,
    *,
    caller: Caller,
    policy: AddressPolicy,
    probe: ProbeKind | None,
    reason: str | None,
) -> None:
    """Give every row its draft, changes and faults.

    1. Match rows to sites and draft them. 2. Check each draft by itself. 3. Compare rows of one site.
    4. Find conflicts of addresses and parents. Threads are the default pool's: other imports must not hold up this
    one while it holds the registry's lock.
    """
    known = await known_sites.load(session, rows, caller=caller)
    described = await asyncio.to_thread(_match, rows, known)
    index = await registry_index.with_sites(session, index, set(described.values()))
    await asyncio.to_thread(_draft, rows, described, index, policy, probe)
    references = await writer.load_references(
        session, [row.draft for row in rows if row.draft is not None], caller=caller
    )
    await asyncio.to_thread(_check, rows, references, policy)
    for row in rows:
        if row.draft is not None:
            row.add_faults(*contract_dates.check(row.draft, caller=caller, reason=reason))
    compare_rows(rows)
    await _find_shared_addresses(session, rows, caller=caller)
    await _find_conflicts(session, [row for row in rows if will_write(row)], caller=caller)


def will_write(row: SheetRow) -> bool:
    return not row.faults and row.duplicate_of is None and bool(row.changes)


def _resolve_names(rows: Sequence[SheetRow], index: RegistryIndex) -> None:
    for row in rows:
        matching.resolve_names(row, index)


def _match(rows: Sequence[SheetRow], known: KnownSites) -> dict[SheetRow, int]:
    """Return the ids of the registered sites that rows describe."""
    matches = ((row, matching.find_site(row, known)) for row in rows)
    return {row: site.id for row, site in matches if site is not None}


def _draft(
    rows: Sequence[SheetRow],
    described: Mapping[SheetRow, int],
    index: RegistryIndex,
    policy: AddressPolicy,
    probe: ProbeKind | None,
) -> None:
    names = index.names
    for row in rows:
        row.names = names
        site = index.sites[described[row]] if row in described else None
        default_probe.apply(row, site, policy, probe)
        wrong = {fault.field for fault in row.faults}
        unmatched = site is None and bool(wrong & IDENTIFYING)
        matching.resolve_parent(row, site, index)
        matching.leave_coming_contract(row, site, index)
        current = {} if site is None else drafts.current_values(site)  # unchanged fields are not validated again
        body = {n: value for n, value in row.values.items() if n not in NOT_DRAFTED and value != current.get(n)}
        row.draft, faults = drafts.parse(body, site=site, model=EditableFields if unmatched else None)
        row.draft.contract_from = row.values.get("contract_from")
        row.add_faults(*faults)


def _check(rows: Sequence[SheetRow], references: References, policy: AddressPolicy) -> None:
    """Where a row has faults already, only the fields it sets are reported: others may be missing because of them."""
    for row in rows:
        draft = row.draft
        assert draft is not None
        sound = not row.faults
        faults = writer.check(draft, references, policy=policy)
        row.add_faults(*(fault for fault in faults if sound or fault.field in draft.set_fields))
        if draft.values["probe"] is not None and draft.values["technology"] is not None:
            row.warnings += rules.warnings(draft.values)
        row.changes = draft.changes
        if {"latitude", "longitude", "village_code"} & row.changes.keys():
            faults, warnings = village_distance.compare(draft.values)
            row.add_faults(*faults)
            row.warnings += warnings


def compare_rows(rows: Sequence[SheetRow]) -> None:
    """Of rows for the same site, identical ones are duplicates; differing ones are all faults."""
    by_site: defaultdict[object, list[SheetRow]] = defaultdict(list)
    for row in rows:
        if not row.faults and row.draft is not None:
            by_site[_identity(row.draft)].append(row)
    for first, *others in by_site.values():
        for row in others:
            if row.values == first.values:
                row.duplicate_of = first
                row.warnings.append(_duplicate(first))
        differing = next((row for row in others if row.duplicate_of is None), None)
        if differing is not None:
            for row in (first, *others):
                row.contradicts_earlier = row is not first
                row.add_faults(_contradiction(row, differing if row.values == first.values else first))


def _identity(draft: Draft) -> object:
    if draft.site is not None:
        return draft.site.id
    return tuple(draft.values[name] for name in ("village_code", "kind", "provider", "service_no"))


def _duplicate(first: SheetRow) -> Fault:
    return Fault(
        "row", "repeated_row", "Identical to row {other}", "Delete one of the two", values={"other": first.label}
    )


def _contradiction(row: SheetRow, other: SheetRow) -> Fault:
    names = row.values.keys() | other.values.keys()
    fields = sorted(name for name in names if row.values.get(name) != other.values.get(name))
    columns = [label(SOURCES.get(name, (name,))[0]) for name in fields]
    return Fault(
        fields[0],
        "contradiction",
        "Row {other} is for the same site but differs in: {fields}",
        "Delete one of the two; if they are two sites, give each its Nomor layanan (service_no) or "
        "Kode titik akses (code)",
        values={"other": other.label, "fields": ", ".join(columns)},
    )


async def _find_shared_addresses(session: AsyncSession, rows: Sequence[SheetRow], *, caller: Caller) -> None:
    """Tell of shared addresses in wrong rows, too: else they show only once everything else is mended.

    Of rows that contradict each other, which are of one site, the first is compared.
    """
    by_draft = {
        row.draft: row
        for row in rows
        if row.draft is not None
        and row.draft.values["probe"] is not None
        and row.duplicate_of is None
        and not row.contradicts_earlier
    }
    if any(row.faults for row in by_draft.values()):
        _add_conflicts(await conflicts.find_shared_addresses(session, list(by_draft), caller=caller), by_draft)


async def _find_conflicts(session: AsyncSession, rows: Sequence[SheetRow], *, caller: Caller) -> None:
    by_draft = {row.draft: row for row in rows if row.draft is not None}
    _add_conflicts(await conflicts.find(session, list(by_draft), caller=caller), by_draft)


def _add_conflicts(found: Mapping[Draft, DraftConflict], by_draft: Mapping[Draft, SheetRow]) -> None:
    for draft, conflict in found.items():
        others = [by_draft[other].label for other in conflict.others]
        by_draft[draft].add_faults(_shared_address(draft, others) if others else conflict.fault)


def _shared_address(draft: Draft, others: Sequence[str]) -> Fault:
    return Fault(
        "host",
        "duplicate_address",
        "{given} is also in row {others}",
        "Only one active site may use an address: give each site its own",
        values={"given": draft.values["host"], "others": ", ".join(others[:5])},
    )
