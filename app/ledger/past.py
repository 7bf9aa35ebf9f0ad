"""Changes to what has been: they are counted again, and one that reaches into a closed month says why it is made."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import WITA, utc_now
from app.database import among
from app.errors import Fault, Invalid
from app.ledger import recount
from app.ledger.span import Span
from app.periods import Period, Step
from app.registry.models import SiteConfiguration

CLOSES_AFTER = timedelta(days=8)  # a month's last late beats have arrived by then

Stretch = tuple[datetime, datetime]


async def changed(
    session: AsyncSession, site_ids: Sequence[int], stretches: Sequence[Stretch], *, reason: str | None
) -> None:
    """Recounts these sites over these stretches, as far as they have been.

    Raises Invalid (`reason_needed`) when one reaches into a closed month and no reason is given.
    """
    now = utc_now()
    gone = [(start, min(end, now)) for start, end in stretches if start < min(end, now)]
    if reason is None:
        for start, end in gone:
            await _require_open(session, site_ids, start, end)
    await recount.touch(session, [Span(site_id, start, end) for site_id in site_ids for start, end in gone])


def difference(before: Stretch, after: Stretch) -> list[Stretch]:
    """What one of the two covers and the other does not."""
    if before[1] <= after[0] or after[1] <= before[0]:
        return [before, after]
    edges = [tuple(sorted(pair)) for pair in zip(before, after, strict=True)]
    return [(low, high) for low, high in edges if low < high]


async def _require_open(session: AsyncSession, site_ids: Sequence[int], start: datetime, end: datetime) -> None:
    closed = await touches_closed_month(session, site_ids, start, end)
    if closed:
        raise Invalid(Fault(
            "reason", "reason_needed", "This changes {month}, a month that is closed and settled",
            "Say in reason why it is changed: it is recorded", values={"month": f"{closed[0]:%Y-%m}"},
        ))  # fmt: skip


async def touches_closed_month(
    session: AsyncSession, site_ids: Sequence[int], start: datetime, end: datetime
) -> list[datetime]:
    """Starts (WITA) of the closed months in which one of the sites was under contract, within start and end."""
    held = (await session.execute(
        select(SiteConfiguration.started_at, SiteConfiguration.ended_at)
        .where(among(SiteConfiguration.site_id, site_ids), SiteConfiguration.contract_id.is_not(None))
        .where(SiteConfiguration.started_at < end)
        .where(or_(SiteConfiguration.ended_at > start, SiteConfiguration.ended_at.is_(None)))
        .distinct()
    )).all()  # fmt: skip
    months = _closed_months(start, end, utc_now())
    return [m.start.astimezone(WITA) for m in months if any(a < m.end and (b is None or b > m.start) for a, b in held)]


def _closed_months(start: datetime, end: datetime, now: datetime) -> Iterator[Period]:
    for month in Period(start, end).cut(Step.MONTH):
        whole_end = next(Period(month.start, month.start + timedelta(days=32)).cut(Step.MONTH)).end
        if whole_end + CLOSES_AFTER <= now:
            yield month
