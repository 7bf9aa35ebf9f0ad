"""Sites under contracts by day: what applies when, and the change of a contract from a day on (a site's `contract_id`).

Callers of what writes hold the registry's counter.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.access.scope import Caller
from app.core.clock import today, utc_now
from app.postgres.engine import among
from app.postgres.insert_columns import insert_rows
from app.registry.drafts import CreatedSite
from app.registry.models import Contract, LinkRole, Site, SiteContract

DayRange = tuple[date, date]  # the end exclusive; date.max: open-ended


class Assignment(NamedTuple):
    """A site's days under a contract, with that contract."""

    row: SiteContract
    contract: Contract

    @property
    def days(self) -> DayRange:
        """The days on which the site is assigned and the contract is valid; the end may be before the start."""
        start = max(self.row.started_on, self.contract.valid_from)
        return start, min(self.row.ended_on or date.max, self.contract.valid_to or date.max)


@dataclass(frozen=True, slots=True)
class ContractChange:
    """`site` is under `contract_id` from `day` on, or under none."""

    site: Site | CreatedSite
    contract_id: int | None
    day: date
    reason: str | None = None


def overlap(a: DayRange, b: DayRange) -> bool:
    return max(a[0], b[0]) < min(a[1], b[1])


def in_force(assignments: Iterable[Assignment], day: date) -> Assignment | None:
    """Return the assignment of that day, the primary link's first; None without any."""
    return next(iter(all_in_force(assignments, day)), None)


def all_in_force(assignments: Iterable[Assignment], day: date) -> list[Assignment]:
    """Return the assignments of that day, the primary link's first."""
    of_day = [each for each in assignments if each.days[0] <= day < each.days[1]]
    return sorted(of_day, key=lambda each: each.row.link_role is LinkRole.BACKUP)


async def load(session: AsyncSession, site_ids: Collection[int]) -> defaultdict[int, list[Assignment]]:
    """Return what is not withdrawn by site, by the day it starts on."""
    query = (
        select(SiteContract, Contract)
        .join(Contract, Contract.id == SiteContract.contract_id)
        .options(joinedload(Contract.provider))
        .where(among(SiteContract.site_id, site_ids), SiteContract.withdrawn_at.is_(None))
        .order_by(SiteContract.started_on, SiteContract.id)
    )
    assignments: defaultdict[int, list[Assignment]] = defaultdict(list)
    if site_ids:
        for row, contract in await session.execute(query, execution_options={"populate_existing": True}):
            assignments[row.site_id].append(Assignment(row, contract))
    return assignments


def link_role(assignments: Sequence[Assignment], contract_id: int, day: date, site: LinkRole) -> LinkRole:
    """Return the role in which a site comes under a contract from a day on: that of the assignment which it changes.

    That is the present one if it is the same contract, else the one in force on the day; without any, the site's role.
    """
    present, replaced = in_force(assignments, today()), in_force(assignments, day)
    changed = present if present is not None and present.row.contract_id == contract_id else replaced
    return site if changed is None else changed.row.link_role


async def change(session: AsyncSession, changes: Sequence[ContractChange], *, caller: Caller, version: int) -> None:
    """Replace the contract in force on the day; the new one has its role, and ends where the next of that role begins.

    Where none is in force, it has the role of the site. The contract that is in force today only begins on another day.
    """
    assignments = await load(session, [each.site.id for each in changes])
    moved: list[tuple[SiteContract, date]] = []
    started: list[dict[str, Any]] = []
    for each in changes:
        of_site = assignments[each.site.id]
        if each.contract_id is None:
            if (ended := in_force(of_site, each.day)) is not None:
                end(ended.row, each.day, version=version)
            continue
        role = link_role(of_site, each.contract_id, each.day, each.site.link_role)
        of_role = [assignment for assignment in of_site if assignment.row.link_role is role]
        present, replaced = in_force(of_role, today()), in_force(of_role, each.day)
        is_moved = present is not None and present.row.contract_id == each.contract_id
        if replaced is not None and not (is_moved and replaced is present):
            end(replaced.row, each.day, version=version)
        if present is not None and is_moved:
            make_room(of_role, (each.day, present.days[0]), version=version)
            moved.append((present.row, each.day))
            continue
        starts = [a.days[0] for a in of_role if each.day < a.days[0] < a.days[1]]
        until = min(starts, default=date.max)
        make_room(of_role, (each.day, until), version=version)
        started.append(
            {
                "site_id": each.site.id,
                "contract_id": each.contract_id,
                "link_role": role,
                "started_on": each.day,
                "ended_on": None if until == date.max else until,
                "reason": each.reason,
                "recorded_by": caller.who,
                "version": version,
            }
        )
    await session.flush()  # what ends makes room for what begins
    for row, day in moved:
        row.started_on, row.version = day, version
    await session.flush()
    await insert_rows(session, SiteContract, started)


def end(row: SiteContract, day: date, *, version: int) -> None:
    """End an assignment on a day; one that has no day left is withdrawn."""
    if row.started_on < day:
        row.ended_on = day
    else:
        row.withdrawn_at = utc_now()
    row.version = version


def make_room(of_role: Iterable[Assignment], days: DayRange, *, version: int) -> None:
    """Cut off days of other contracts on which these are not valid: nothing counts differently by that."""
    for each in of_role:
        row = each.row
        is_stored = overlap((row.started_on, row.ended_on or date.max), days)
        if row.withdrawn_at is None and is_stored and not overlap(each.days, days):
            start, until = each.days
            if start < until:
                row.started_on, row.ended_on = start, None if until == date.max else until
                row.version = version
            else:
                end(row, row.started_on, version=version)
