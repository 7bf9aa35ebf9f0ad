"""Looks that wait to be judged until all vantages of their site have looked as far, or long enough.

They are stored: what is here only says of which sites there are some, and may be read from the database anew. What
comes later than a look was waited for has the site judged again from there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import to_slot, utc_now
from app.judging.dirty_range import DirtyRange
from app.judging.site_rejudgement import EPOCH, FAR_FUTURE
from app.measurements import reader
from probes.contract import VANTAGES, Reading

WAIT_S = 20  # after its slot: a look lasts some 5 s, and a prober delivers each 5 s
WAITS = "vantage waits"  # in a session's `info`
JUDGED = "judged vantages"

UNJUDGED = text("""
    SELECT st.site_id, st.seen_at, c.vantages
    FROM site_configuration c JOIN site_status st ON st.site_id = c.site_id
    WHERE c.ended_at IS NULL AND c.vantages <> '{0}' AND cardinality(c.vantages) > 1
        AND (cast(:shard AS int) IS NULL OR st.shard = :shard)
        AND (cast(:ids AS int[]) IS NULL OR st.site_id = ANY(:ids))
""")
# What was judged last of them, or waits to be, depends on looks that are read back nowhere else.
FORMER = text("""
    SELECT st.site_id, least(min(f.ended_at), st.seen_at) AS since
    FROM site_configuration f JOIN site_status st ON st.site_id = f.site_id
        JOIN site_configuration c ON c.site_id = f.site_id AND c.ended_at IS NULL
    WHERE cardinality(f.vantages) > 1 AND cardinality(c.vantages) = 1
        AND f.ended_at > least(st.window_from, st.seen_at - interval '2 hours')
        AND (cast(:shard AS int) IS NULL OR st.shard = :shard)
        AND (cast(:ids AS int[]) IS NULL OR st.site_id = ANY(:ids))
    GROUP BY st.site_id
""")


@dataclass(slots=True)
class SiteWait:
    sources: Sequence[str]
    slots: set[int] = field(default_factory=set)
    newest: dict[str, int] = field(default_factory=dict)  # slot by source: what came from each vantage

    def ripe_until(self, now: int) -> int:
        """Return up to which slot nothing is waited for any more."""
        return max(min(self.newest.get(source, 0) for source in self.sources), now - WAIT_S)


@dataclass(slots=True)
class VantageWaits:
    """Of the sites that this process judges."""

    _sites: dict[int, SiteWait] = field(default_factory=dict)

    def clear(self) -> None:
        self._sites.clear()

    def __contains__(self, site_id: int) -> bool:
        return site_id in self._sites

    def note(self, site_id: int, vantages: Iterable[int], readings: Sequence[Reading]) -> None:
        """Have these readings, at least one, wait: they are stored and not judged."""
        wait = self._sites.setdefault(site_id, SiteWait(()))
        wait.sources = [VANTAGES[number] for number in vantages]
        for reading in readings:
            wait.slots.add(reading.slot)
            wait.newest[reading.source] = max(wait.newest.get(reading.source, 0), reading.slot)

    def due(self, now: datetime, *, most: int) -> dict[int, int]:
        """Return by site, of `most` sites, up to which slot it is to be judged now."""
        due, second = dict[int, int](), to_slot(now)
        for site_id, wait in self._sites.items():
            until = wait.ripe_until(second)
            if min(wait.slots) <= until:
                due[site_id] = until
                if len(due) == most:
                    break
        return due

    def forget(self, judged: Mapping[int, int]) -> None:
        """Drop what was judged, by site up to which slot."""
        for site_id, until in judged.items():
            if (wait := self._sites.get(site_id)) is not None:
                wait.slots = {slot for slot in wait.slots if slot > until}
                if not wait.slots:
                    del self._sites[site_id]

    async def load(self, session: AsyncSession, *, shard: int | None = None, site_ids: Any = None) -> None:
        """Note what is stored and was not judged yet."""
        parameters = {"shard": shard, "ids": None if site_ids is None else list(site_ids)}
        rows = (await session.execute(UNJUDGED, parameters)).all()
        vantages = {row.site_id: row.vantages for row in rows}
        ranges = [(row.site_id, row.seen_at or EPOCH, FAR_FUTURE) for row in rows]
        seen = {row.site_id: -1 if row.seen_at is None else to_slot(row.seen_at) for row in rows}
        for reading in (await reader.read(session, ranges, sources=VANTAGES)).readings():
            if reading.slot > seen[reading.key]:
                self.note(reading.key, vantages[reading.key], [reading])


async def list_former(session: AsyncSession, *, shard: int | None = None, site_ids: Any = None) -> list[DirtyRange]:
    """Return of the sites that one vantage looks at since lately, and several did before, since when."""
    parameters = {"shard": shard, "ids": None if site_ids is None else list(site_ids)}
    return [DirtyRange(row.site_id, row.since, utc_now()) for row in await session.execute(FORMER, parameters)]


def waits_of(session: AsyncSession) -> VantageWaits | None:
    """Return those of the process that judges; None where nobody waits, and everything is judged at once."""
    waits: VantageWaits | None = session.info.get(WAITS)
    return waits


def is_combined(session: AsyncSession, row: Any) -> bool:
    """Whether a site's looks wait for those of others; `row`: of the site, with the configuration in force."""
    waits = waits_of(session)
    return len(row.vantages) > 1 or (waits is not None and row.site_id in waits)
