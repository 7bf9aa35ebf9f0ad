"""What each row of a file would do, and everything that is wrong with it, by the same rules as the API."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.core.errors import Fault
from app.importing import matching, position_check
from app.importing.concurrency import aside
from app.importing.headers import named
from app.importing.matching import Around
from app.importing.sheets import SOURCES, Row
from app.registry import conflicts, drafts, rules, writer
from app.registry.drafts import Draft
from app.registry.references import Known
from app.registry.schemas import SiteFields
from probes.policy import AddressPolicy


async def read_words(session: AsyncSession, rows: Sequence[Row], *, caller: Caller) -> Around:
    """Makes codes and ids of names: what takes long where much is wrong, and asks for no site."""
    around = await matching.look_around(session, caller=caller)
    await aside(_resolve, rows, around)
    return around


async def judge(
    session: AsyncSession, rows: Sequence[Row], around: Around, *, caller: Caller, policy: AddressPolicy
) -> None:
    """Gives every row its draft, or its faults. What needs no database is done beside the event loop,
    and does not queue behind other files: others may be waiting for this one."""
    around = await matching.with_sites(session, around, rows)
    await asyncio.to_thread(_draft, rows, around)
    known = await writer.look_up(session, [row.draft for row in rows if row.draft is not None], caller=caller)
    await asyncio.to_thread(_check, rows, known, policy)
    _compare(rows)
    await _clash(session, [row for row in rows if writes(row)])


def writes(row: Row) -> bool:
    return not row.faults and row.repeats is None and bool(row.changes)


def _resolve(rows: Sequence[Row], around: Around) -> None:
    for row in rows:
        matching.resolve(row, around)


def _draft(rows: Sequence[Row], around: Around) -> None:
    for row in rows:
        site = matching.match(row, around)
        wrong = {fault.field for fault in row.faults}
        lost = site is None and bool(wrong & {"code", "village_code", "provider", "service_no"})
        matching.hang(row, site, around)
        before = {} if site is None else drafts.standing(site)  # what a row leaves alone is not looked at
        sent = {name: said for name, said in row.said.items() if name != "code" and said != before.get(name)}
        row.draft, faults = drafts.read(sent, site=site, model=SiteFields if lost else None)
        row.blame(*faults)


def _check(rows: Sequence[Row], known: Known, policy: AddressPolicy) -> None:
    """A draft with a hole in it is looked at where it is whole."""
    for row in rows:
        draft = row.draft
        assert draft is not None
        whole = not row.faults
        row.blame(
            *(fault for fault in writer.check(draft, known, policy=policy) if whole or fault.field in draft.given)
        )
        if draft.values["probe"] is not None and draft.values["technology"] is not None:
            row.warnings += rules.warnings(draft.values)
        row.changes = draft.changes
        if {"latitude", "longitude", "village_code"} & row.changes.keys():
            position_check.compare(row, draft.values)


def _compare(rows: Sequence[Row]) -> None:
    """Rows of the same site: they say the same, or nobody knows which of them to believe."""
    same: defaultdict[object, list[Row]] = defaultdict(list)
    for row in rows:
        if not row.faults and row.draft is not None:
            same[_identity(row.draft)].append(row)
    for group in same.values():
        first, *others = group
        for row in others:
            if row.said == first.said:
                row.repeats = first
                row.warnings.append(_repeated(first))
        if (odd := next((row for row in others if row.repeats is None), None)) is not None:
            for row in group:
                row.blame(_contradiction(row, odd if row.said == first.said else first))


def _identity(draft: Draft) -> object:
    if draft.site is not None:
        return draft.site.id
    return tuple(draft.values[name] for name in ("village_code", "kind", "provider", "service_no"))


def _repeated(first: Row) -> Fault:
    return Fault(
        "row", "repeated_row", "It says the same as row {other}", "Delete one of the two", values={"other": first.place}
    )


def _contradiction(row: Row, other: Row) -> Fault:
    fields = sorted(name for name in row.said.keys() | other.said.keys() if row.said.get(name) != other.said.get(name))
    return Fault(
        fields[0],
        "contradiction",
        "Row {other} is of the same site and says something else: {fields}",
        "Delete one of the two; two sites are told apart by Nomor layanan (service_no) or Kode titik akses (code)",
        values={"other": other.place, "fields": ", ".join(named(SOURCES.get(name, (name,))[0]) for name in fields)},
    )


async def _clash(session: AsyncSession, rows: Sequence[Row]) -> None:
    by_draft = {row.draft: row for row in rows if row.draft is not None}
    for draft, clash in (await conflicts.find(session, list(by_draft))).items():
        others = [by_draft[other].place for other in clash.others]
        by_draft[draft].blame(_shared(draft, others) if others else clash.fault)


def _shared(draft: Draft, others: Sequence[str]) -> Fault:
    return Fault(
        "host",
        "duplicate_address",
        "{given} stands in row {others} too",
        "Only one active site is measured at an address: give each its own",
        values={"given": draft.values["host"], "others": ", ".join(others[:5])},
    )
