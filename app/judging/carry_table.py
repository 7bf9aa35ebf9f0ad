"""The carry of all steady sites in memory, while a worker leads: what `site_status` will hold once it is written.

Only the leader judges, one transaction at a time, so memory and database part in one way alone: a steady site's newest
readings are stored, and its carry is here. A site that is not in the table is as `site_status` has it.
`CarryChanges` is what a transaction does to the table: it takes effect after the commit.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_micros
from app.judging import carry_store, gate
from app.judging.addressed_block import AddressedBlock
from app.judging.carry import (
    CARRY,
    NO_ADDRESS,
    THRESHOLDS,
    Carry,
    Mask,
    Thresholds,
    is_steady,
    lost_lately,
    record_of,
    shown_of,
    state_of,
)
from app.judging.carry_store import CarryOutdated
from app.judging.judge_state_store import WrittenState, state_fields
from probes.contract import ProbeKind
from probes.reading_block import ReadingBlock

ABSENT = -1
FIRST_ROWS = 1024

Rows = NDArray[np.int64]  # of the table


@dataclass(frozen=True, slots=True, eq=False)
class SteadyReadings:
    """Readings that leave their site up, with each site's row in the table and its carry before and after."""

    readings: ReadingBlock
    rows: Rows
    before: Carry
    after: Carry

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: Mask) -> "SteadyReadings":
        return SteadyReadings(self.readings.take(which), self.rows[which], self.before[which], self.after[which])


class CarryTable:
    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._carry: Carry = np.zeros(FIRST_ROWS, CARRY)
        self._moved = np.zeros(FIRST_ROWS, bool)  # not written to `site_status` yet
        self._row_of: Rows = np.full(FIRST_ROWS, ABSENT, np.int64)  # by site id
        self._free = list(range(FIRST_ROWS))
        self.held: set[int] = set()  # sites that wait for their next look (mass_outage)
        self.thresholds: Thresholds = np.zeros(0, THRESHOLDS)

    def __len__(self) -> int:
        return len(self._carry) - len(self._free)

    def find(self, site_id: int) -> Any:
        """Return the site's record, None if it is not in the table."""
        row = self._row_of[site_id] if 0 <= site_id < len(self._row_of) else ABSENT
        return None if row == ABSENT else self._carry[row]

    def put(self, carry: Carry) -> None:
        """Add or replace sites by their records, which are as `site_status` has them."""
        most = int(carry["site_id"].max(initial=0)) + 1
        if most > len(self._row_of):
            more = np.full(max(most - len(self._row_of), len(self._row_of)), ABSENT, np.int64)
            self._row_of = np.concatenate([self._row_of, more])
        rows = self._row_of[carry["site_id"]]
        added = np.flatnonzero(rows == ABSENT)
        rows[added] = [self._take_row() for _ in added]
        self._row_of[carry["site_id"]] = rows
        self._carry[rows] = carry
        self._moved[rows] = False

    def remove(self, site_id: int) -> None:
        row = int(self._row_of[site_id]) if 0 <= site_id < len(self._row_of) else ABSENT
        if row != ABSENT:
            self._row_of[site_id] = ABSENT
            self._moved[row] = False
            self._free.append(row)

    def _take_row(self) -> int:
        if not self._free:
            rows = len(self._carry)
            self._carry = np.concatenate([self._carry, np.zeros(rows, CARRY)])
            self._moved = np.concatenate([self._moved, np.zeros(rows, bool)])
            self._free = list(range(rows, 2 * rows))
        return self._free.pop()

    def rows_of(self, site_ids: NDArray[np.int32]) -> Rows:
        """Return the row of each site, ABSENT where it has none."""
        known = (site_ids >= 0) & (site_ids < len(self._row_of))
        rows: Rows = np.where(known, self._row_of[np.where(known, site_ids, 0)], ABSENT)
        return rows

    def seen_at(self, site_id: int) -> datetime | None:
        """Return the slot of the site's last reading, None if it is not in the table."""
        record = self.find(site_id)
        return None if record is None else from_micros(int(record["seen_at"]))

    def doubt(self, site_ids: Collection[int]) -> None:
        """Have these sites' next readings seen by the judge: their configuration may be another one now."""
        rows = self.rows_of(np.array(list(site_ids), np.int32))
        self._carry["address"][rows[rows != ABSENT]] = NO_ADDRESS

    def moved_rows(self, site_ids: Collection[int] | None = None) -> Rows:
        """Return the rows that `site_status` does not hold yet; `site_ids`: among those of these sites."""
        if site_ids is None:
            return np.flatnonzero(self._moved)
        rows = self.rows_of(np.array(sorted(site_ids), np.int32))
        moved: Rows = rows[(rows != ABSENT) & self._moved[rows]]
        return moved

    def carry_of(self, rows: Rows) -> Carry:
        return self._carry[rows]

    def judge_steady(self, block: AddressedBlock) -> tuple[SteadyReadings, AddressedBlock]:
        """Split a block into the readings that leave their site up, and those that the judge must see.

        Of several readings of one site none is steady: what the first one does decides about the next.
        """
        keys = block.readings.key
        rows = self.rows_of(keys)
        _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        known = (rows != ABSENT) & (counts[inverse] == 1)
        if self.held:
            known &= ~np.isin(keys, list(self.held))
        candidates = np.flatnonzero(known)
        before = self._carry[rows[candidates]]
        certain, after = gate.judge_steady(before, block.take(candidates), self.thresholds)
        steady = candidates[certain]
        others = np.ones(len(block), bool)
        others[steady] = False
        return (
            SteadyReadings(block.readings.take(steady), rows[steady], before[certain], after[certain]),
            block.take(others),
        )

    def mark_written(self, rows: Rows, version: int) -> None:
        self._carry["version"][rows] = version
        self._moved[rows] = False

    def advance(self, steady: SteadyReadings) -> None:
        versions = self._carry["version"][steady.rows]
        self._carry[steady.rows] = steady.after
        self._carry["version"][steady.rows] = versions
        self._moved[steady.rows] = True


@dataclass
class CarryChanges:
    """What one transaction does to the table, and what it must know of it: see judge_state_store.UnwrittenStates."""

    table: CarryTable
    _steady: list[SteadyReadings] = field(default_factory=list)
    _flushed: list[tuple[Rows, int]] = field(default_factory=list)  # with the version that they were written with
    _written: dict[int, WrittenState] = field(default_factory=dict)  # by site
    _held: dict[int, bool] = field(default_factory=dict)  # by site
    given_away: list[int] = field(default_factory=list)  # sites that another shard judges from now on

    def overlay(self, rows: dict[int, Any]) -> dict[int, Any]:
        """Return the locked rows of `site_status` with the carry of the table, unless written in this transaction.

        Raises CarryOutdated if someone else has written one since.
        """
        newer = {site_id: self._overlaid(row) for site_id, row in rows.items() if site_id not in self._written}
        return rows | {site_id: row for site_id, row in newer.items() if row is not None}

    def _overlaid(self, row: Any) -> Any:
        record = self.table.find(row.site_id)
        if record is None:
            return None
        if row.version not in {int(record["version"]), *(version for _, version in self._flushed)}:
            raise CarryOutdated(f"site {row.site_id}: version {row.version}, not {record['version']}")
        return SimpleNamespace(**{**row._mapping, **state_fields(state_of(record)), **shown_of(record)})

    def note_written(self, written: Sequence[WrittenState]) -> None:
        self._written |= {item.row.site_id: item for item in written}

    def note_held(self, site_ids: Collection[int], held: Collection[int]) -> None:
        """Note which of these sites wait for their next look."""
        self._held |= {site_id: site_id in held for site_id in site_ids}

    def note_given_away(self, site_ids: Collection[int]) -> None:
        self.given_away += site_ids

    @property
    def judged_at_once(self) -> int:
        return sum(map(len, self._steady))

    async def write(self, session: AsyncSession, site_ids: Collection[int] | None = None) -> None:
        """Write what `site_status` does not hold yet: of these sites, or of all. Once a transaction each."""
        rows = self.table.moved_rows(site_ids)
        rows = rows[~np.isin(rows, self._rows_written())]
        if len(rows):
            self._flushed.append((rows, await carry_store.write_moved(session, self.table.carry_of(rows))))

    def _rows_written(self) -> Rows:
        written = self.table.rows_of(np.array(list(self._written), np.int32))
        return np.concatenate([written, *(rows for rows, _ in self._flushed)])

    def advance(self, steady: SteadyReadings) -> None:
        """Let these sites move on with readings that this transaction records."""
        self._steady.append(steady)

    def apply(self) -> None:
        """Take effect. A site that the judge saw too is as the judge left it: it saw all readings recorded here."""
        for rows, version in self._flushed:
            self.table.mark_written(rows, version)
        for steady in self._steady:
            self.table.advance(steady)
        for site_id, item in self._written.items():
            if is_steady(item.state) and item.row.probe != ProbeKind.PUSH and len(item.row.vantages) == 1:
                self.table.put(self._record(item))
            else:
                self.table.remove(site_id)
        for site_id, held in self._held.items():
            (self.table.held.add if held else self.table.held.discard)(site_id)
        for site_id in self.given_away:
            self.table.remove(site_id)

    def _record(self, item: WrittenState) -> Carry:
        carry = record_of(item.state, item.row, version=item.version, rtt_us=item.rtt_us, loss_pct=item.loss_pct)
        before = self.table.find(item.row.site_id)
        carry["was_lost"] = item.may_be_lost or (before is not None and lost_lately(before))
        return carry
