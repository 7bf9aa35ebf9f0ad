"""The access points in service that are published, with their state: no other column of a site is read here."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.maintenance_overlay import running_now
from app.core.freshness import holds, lapses_at
from app.public.publication import Publication
from app.registry.models import Lifecycle, Site, SiteKind, SiteStatus, State

MAX_TEXT = 100  # characters of what districts typed


class AccessPoint(NamedTuple):
    """`state`: `unreachable` is told as `down`: what it hangs on is not published."""

    state: State
    since: datetime
    maintenance: bool
    ssid: str | None
    public_hours: str | None


class Village(NamedTuple):
    """A village's access points in service; at least one."""

    code: str
    access_points: tuple[AccessPoint, ...]

    @property
    def best(self) -> AccessPoint:
        """Return the one that villagers would use: the first of the best state."""
        return min(self.access_points, key=lambda point: ORDER.index(point.state))

    @property
    def state(self) -> State:
        """Return `down` only if every access point is known to be down."""
        return self.best.state

    @property
    def maintenance(self) -> bool:
        return all(point.maintenance for point in self.access_points)


ORDER = (State.UP, State.DEGRADED, State.UNKNOWN, State.DOWN)


class StatusRow(NamedTuple):
    village_code: str
    ssid: str | None
    public_hours: str | None
    state: State
    since: datetime
    evidence_at: datetime | None
    valid_s: int
    maintenance: bool

    def at(self, now: datetime) -> AccessPoint:
        """Return the access point as of `now`: unknown once its evidence has lapsed."""
        state, since = State.DOWN if self.state is State.UNREACHABLE else self.state, self.since
        if self.evidence_at is not None and not holds(self.evidence_at, self.valid_s, now):
            state, since = State.UNKNOWN, min(lapses_at(self.evidence_at, self.valid_s), now)
        return AccessPoint(state, since, self.maintenance, _short(self.ssid), _short(self.public_hours))


@dataclass(frozen=True, slots=True)
class StatusRows:
    """What was read of all access points in service, to be aged by our own clock if it cannot be read again."""

    rows: Sequence[StatusRow]

    def villages(self, now: datetime) -> Mapping[str, Village]:
        by_code: dict[str, list[AccessPoint]] = defaultdict(list)
        for row in self.rows:
            by_code[row.village_code].append(row.at(now))
        return {code: Village(code, tuple(points)) for code, points in by_code.items()}


async def read_access_points(session: AsyncSession, publication: Publication, now: datetime) -> StatusRows:
    running = await running_now(session, now)
    query = (
        select(
            Site.id,
            Site.technology,
            Site.village_code,
            Site.ssid,
            Site.public_hours,
            SiteStatus.state,
            SiteStatus.since,
            SiteStatus.evidence_at,
            SiteStatus.valid_s,
        )
        .join(SiteStatus, SiteStatus.site_id == Site.id)
        .where(Site.kind == SiteKind.ACCESS_POINT, Site.lifecycle == Lifecycle.ACTIVE)
        .order_by(Site.code)
    )
    rows = await session.execute(query)
    return StatusRows(
        [
            StatusRow(*row[2:], maintenance=row.id in running.site_ids)
            for row in rows
            if publication.includes(row.village_code, row.technology)
        ]
    )


def count_states(villages: Iterable[Village]) -> dict[State, int]:
    """Return how many villages are in each state, also those of which there are none."""
    counts = dict.fromkeys(ORDER, 0)
    for village in villages:
        counts[village.state] += 1
    return counts


def _short(text: str | None) -> str | None:
    return text[:MAX_TEXT] if text else None
