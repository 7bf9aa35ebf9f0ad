"""The last 90 days and today, by day, of the province, its districts and villages: read from the counted days.

Days that the rollup has not counted yet (today; after midnight yesterday, too) are counted on request, as in
`availability`. Only what is published goes into any sum.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE
from app.aggregates.selection import SiteGroup
from app.availability import site_history
from app.availability.daily_reader import CountedDays
from app.availability.live_counting import uncounted_slices
from app.availability.models import CountedDay
from app.availability.slices import Slice
from app.availability.tally import BAD_STATES, GOOD_STATES
from app.core.clock import WITA, floor_second, midnight
from app.core.periods import Period
from app.public.publication import Publication
from app.public.service_seconds import DayVerdict, ServiceSeconds
from app.registry.models import SiteKind

WHOLE_DAYS, SHOWN_DAYS = 90, 30
LEVELS = (2, 5, 13)  # lengths of codes: province, district, village
# hidden: regions and technologies that are not published
PUBLISHED = """
    NOT a.technology = ANY(cast(:technologies AS text[]))
    AND NOT EXISTS (SELECT FROM unnest(cast(:regions AS text[])) r WHERE a.village_code || '.' ^@ (r || '.'))
"""
BY_DAY = text(f"""
    WITH by_day AS (
        SELECT left(a.village_code, level.width) AS code, a.day - cast(:first AS date) AS number,
            sum(a.up + a.degraded)::bigint AS good, sum(a.down + a.unreachable)::bigint AS bad,
            sum(a.unknown)::bigint AS unknown, sum(a.maintenance)::bigint AS maintenance
        FROM availability_day a, unnest(ARRAY{list(LEVELS)}) AS level(width)
        WHERE a.day >= :first AND a.day <= :last AND {PUBLISHED}
        GROUP BY 1, 2
    )
    SELECT code, array_agg(number), array_agg(good), array_agg(bad), array_agg(unknown), array_agg(maintenance)
    FROM by_day GROUP BY code
""")


class RegionDays:
    """Seconds by the number of the day: the whole days from 0 on, then today. Arrays: all villages take 3 MB.

    What the last 30 days come to is computed once: of every village it is asked for again and again.
    """

    def __init__(self) -> None:
        self.columns = tuple(array("q", bytes(8 * (WHOLE_DAYS + 1))) for _ in ServiceSeconds._fields)

    def add(self, number: int, seconds: ServiceSeconds) -> None:
        for column, value in zip(self.columns, seconds, strict=True):
            column[number] += value

    def on(self, number: int) -> ServiceSeconds:
        return ServiceSeconds(*(column[number] for column in self.columns))

    @property
    def today(self) -> ServiceSeconds:
        return self.on(WHOLE_DAYS)

    def last(self, days: int) -> list[ServiceSeconds]:
        """Return the last whole days, without today."""
        return [self.on(number) for number in range(WHOLE_DAYS - days, WHOLE_DAYS)]

    @cached_property
    def last_30(self) -> ServiceSeconds:
        """Return the sum of the last 30 whole days."""
        return ServiceSeconds(*(sum(column[WHOLE_DAYS - SHOWN_DAYS : WHOLE_DAYS]) for column in self.columns))

    @cached_property
    def verdicts(self) -> dict[DayVerdict, int]:
        """Return how many of the last 30 whole days were what, also those of which there are none."""
        counted = Counter(seconds.verdict for seconds in self.last(SHOWN_DAYS))
        return {verdict: counted[verdict] for verdict in DayVerdict}


@dataclass(frozen=True, slots=True)
class PublicHistory:
    counted_at: datetime
    today: date
    by_code: dict[str, RegionDays]

    def of(self, code: str) -> RegionDays:
        return self.by_code.get(code) or RegionDays()

    def day(self, number: int) -> date:
        return self.today - timedelta(days=WHOLE_DAYS - number)


async def read_history(session: AsyncSession, publication: Publication, now: datetime) -> PublicHistory:
    now = floor_second(now)
    today = now.astimezone(WITA).date()
    by_code: dict[str, RegionDays] = defaultdict(RegionDays)
    if publication.shows_anything:
        await _add_counted(session, publication, by_code, today)
        async for number, village_code, seconds in _count_recent(session, publication, today, now):
            for width in LEVELS:
                by_code[village_code[:width]].add(number, seconds)
    if not publication.shows_villages:
        by_code = {code: days for code, days in by_code.items() if len(code) < max(LEVELS)}
    return PublicHistory(now, today, dict(by_code))


async def _add_counted(
    session: AsyncSession, publication: Publication, by_code: dict[str, RegionDays], today: date
) -> None:
    rows = await session.execute(
        BY_DAY,
        {
            "first": today - timedelta(days=WHOLE_DAYS),
            "last": today - timedelta(days=1),
            "technologies": sorted(publication.hidden_technologies),
            "regions": list(publication.hidden_regions),
        },
    )
    for code, numbers, *values in rows:
        days = by_code[code]
        for number, *seconds in zip(numbers, *values, strict=True):
            days.add(number, ServiceSeconds(*seconds))


async def _count_recent(
    session: AsyncSession, publication: Publication, today: date, now: datetime
) -> AsyncIterator[tuple[int, str, ServiceSeconds]]:
    """Yield the number of the day, village and seconds of today, and of yesterday unless it is counted already."""
    yesterday = today - timedelta(days=1)
    is_counted = await session.scalar(select(CountedDay.day).where(CountedDay.day == yesterday)) is not None
    parts = [Period(midnight(today), now)]
    if not is_counted:
        parts.insert(0, Period(midnight(yesterday), midnight(today)))
    sites = await site_history.list_sites(session, SiteGroup(PROVINCE).site_ids)
    async for _, slices in uncounted_slices(session, sites, CountedDays(set(), ()), parts, now=now):
        for number, slice_ in slices:
            configuration = slice_.configuration
            if (
                configuration is not None
                and configuration.kind is SiteKind.ACCESS_POINT
                and publication.includes(configuration.village_code, configuration.technology)
            ):
                yield WHOLE_DAYS + 1 - len(parts) + number, configuration.village_code, _seconds_of(slice_)


def _seconds_of(slice_: Slice) -> ServiceSeconds:
    length, kind = slice_.length_s, slice_.kind
    return ServiceSeconds(
        length if kind in GOOD_STATES else 0,
        length if kind in BAD_STATES else 0,
        length if kind == "unknown" else 0,
        length if kind == "maintenance" else 0,
    )
