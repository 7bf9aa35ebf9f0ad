"""What all public pages are rendered from: the states as of a minute, and the days, read every ten minutes.

While the database is away the states age by our own clock, and the pages say when they were read last.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE
from app.core.clock import WITA, floor_second, utc_now
from app.core.single_flight import SingleFlight
from app.measurements.simulated_past import simulated_until
from app.postgres.engine import Sessions, is_unavailable, transaction
from app.public.access_points import StatusRows, Village, read_access_points
from app.public.editions.edition import Edition, shown_editions
from app.public.editions.store import list_editions
from app.public.history import PublicHistory, read_history
from app.public.publication import Publication
from app.registry.models import RegionAlias
from app.reviews.satisfaction import Satisfaction, by_region
from app.visitors.village_figures import VillageVisitors, by_village

log = structlog.get_logger()

STATES_EVERY_S = 60
DAYS_EVERY = timedelta(minutes=10)
ANSWERED_DAYS, VILLAGE_CODE = 90, 13  # days whose answers are shown; characters of a village's code
LATE = timedelta(minutes=3)  # a page says so when what was read is older


@dataclass(frozen=True, slots=True)
class PublicSnapshot:
    """`read_at`: when the states were read; `at`: as of when they are shown."""

    at: datetime
    read_at: datetime
    rows: StatusRows
    history: PublicHistory
    aliases: Mapping[str, str]  # present codes by former ones
    simulated_until: datetime | None
    villages: Mapping[str, Village]  # that have an access point, as of `at`
    satisfaction: Mapping[str, Satisfaction]  # of villages in the last ANSWERED_DAYS, read with the days
    visitors: Mapping[str, VillageVisitors]  # what visitors measured by village, read with the days
    editions: Mapping[date, Sequence[Edition]]  # of the monthly open data that may be shown, read with the days

    @property
    def late_since(self) -> datetime | None:
        return self.read_at if self.at - self.read_at > LATE else None


class PublicReader:
    """Reads at most once a minute, when it is asked."""

    def __init__(
        self, sessions: Callable[[], Sessions], publication: Publication, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._sessions, self.publication, self._now = sessions, publication, now
        self._snapshot: PublicSnapshot | None = None
        self._fresh_until = 0.0  # monotonic
        self._flight: SingleFlight[str, PublicSnapshot] = SingleFlight()

    @property
    def fresh_until(self) -> float:
        """Return until when, on the monotonic clock, the snapshot is not read again."""
        return self._fresh_until

    async def current(self) -> PublicSnapshot:
        """Raises what the database raised if nothing was ever read."""
        if self._snapshot is not None and time.monotonic() < self._fresh_until:
            return self._snapshot
        return await self._flight.run("snapshot", self._renew)

    async def _renew(self) -> PublicSnapshot:
        now = floor_second(self._now())
        try:
            snapshot = await self._read(now)
        except Exception as error:
            if self._snapshot is None:
                raise
            if not is_unavailable(error):
                log.error("public_snapshot_not_read", exc_info=error)
            snapshot = replace(self._snapshot, at=now, villages=self._snapshot.rows.villages(now))
        self._snapshot, self._fresh_until = snapshot, time.monotonic() + STATES_EVERY_S
        return snapshot

    async def _read(self, now: datetime) -> PublicSnapshot:
        async with transaction(self._sessions()) as session:
            rows = await read_access_points(session, self.publication, now)
            before = self._snapshot
            if before is None or _is_over(before.history, now):
                history = await read_history(session, self.publication, now)
                editions = shown_editions(await list_editions(session), self.publication)
                satisfaction = await self._read_satisfaction(session, history.today)
                visitors = await self._read_visitors(session, now)
            else:
                history, editions = before.history, before.editions
                satisfaction, visitors = before.satisfaction, before.visitors
            aliases = {alias.code: alias.region_code for alias in await session.scalars(select(RegionAlias))}
            until = await simulated_until(session)
            villages = rows.villages(now)
            return PublicSnapshot(now, now, rows, history, aliases, until, villages, satisfaction, visitors, editions)

    async def _read_satisfaction(self, session: AsyncSession, today: date) -> Mapping[str, Satisfaction]:
        if not self.publication.shows_villages:
            return {}
        first = today - timedelta(days=ANSWERED_DAYS - 1)
        return await by_region(session, PROVINCE, first, today, length=VILLAGE_CODE)

    async def _read_visitors(self, session: AsyncSession, now: datetime) -> Mapping[str, VillageVisitors]:
        if not self.publication.shows_villages:
            return {}
        return await by_village(session, hidden_technologies=self.publication.hidden_technologies, now=now)


def _is_over(history: PublicHistory, now: datetime) -> bool:
    return now - history.counted_at >= DAYS_EVERY or now.astimezone(WITA).date() != history.today
