"""A visitor's download or upload: reserved from the data budget before its first byte, settled once it is over."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import month_of
from app.core.errors import Conflict, NotFound, Problem, TooManyRequests
from app.profiles import profiles
from app.visitors import visited_sites
from app.visitors.models import VisitDirection, VisitNetwork, VisitTraffic, VisitTransfer
from app.visitors.speed_offer import SpeedOffer, SpeedRefusal, decide, wire_bytes
from app.visitors.visit_token import OLDEST_ROW
from probes.rate import Rate

AT_ONCE_OF_NETWORK, MOST_OF_NETWORK = 2, 12  # running; begun in an hour
MARGIN_S = 60  # beyond a direction's own time, until it no longer counts as running
BUSY_RETRY_S = 15
REFUSED = {
    SpeedRefusal.OFF: "Visitors test no speed at this site",
    SpeedRefusal.OTHER_NETWORK: "The speed is tested from the site's own network only: join its Wi-Fi",
    SpeedRefusal.OUTSIDE_HOURS: "The speed of this site is not tested at this hour",
    SpeedRefusal.OVER_BUDGET: "Visitors' share of the site's data budget is spent for now",
    SpeedRefusal.USED: "This hour's test was used: one download and one upload an hour, and a few for each network",
}
LOCK = text("""
    INSERT INTO visit_traffic AS t (site_id, month, bytes, reserved_bytes) VALUES (:site_id, :month, 0, 0)
    ON CONFLICT (site_id, month) DO UPDATE SET bytes = t.bytes
""")
RUNNING = text("""
    SELECT count(*) FILTER (WHERE site_id = :site_id AND bytes IS NULL AND expires_at > :now) AS of_site,
        count(*) FILTER (WHERE source = :source AND bytes IS NULL AND expires_at > :now) AS of_network,
        count(*) FILTER (WHERE source = :source) AS begun, EXISTS (
            SELECT FROM throughput_test t WHERE t.site_id = :site_id AND t.status = 'running'
                AND (t.mode = 'pull' OR t.down_began_at IS NOT NULL OR t.up_began_at IS NOT NULL)
        ) AS tested
    FROM visit_transfer WHERE started_at > cast(:now AS timestamptz) - interval '1 hour'
        AND (site_id = :site_id OR source = :source)
""")


@dataclass(frozen=True, slots=True)
class Reserved:
    transfer_id: int
    site_id: int
    month: date
    max_bytes: int
    max_s: int
    reserved_bytes: int


async def reserve(
    session: AsyncSession,
    site_id: int,
    direction: VisitDirection,
    *,
    visitor: bytes,
    source: bytes,
    network: VisitNetwork,
    now: datetime,
) -> Reserved:
    """Reserve a direction's greatest cost. The site's row of the month is locked: its budget is spent once.

    Raises NotFound for a site that is no longer active; Conflict with the reason, TooManyRequests while another runs.
    """
    month = month_of(now)
    await session.execute(LOCK, {"site_id": site_id, "month": month})
    site = await visited_sites.read_site(session, site_id, now)
    if site is None:
        raise NotFound("This access point is not measured by visitors")
    decided = decide(site, profiles()[site.technology], network, now, direction=direction)
    if isinstance(decided, SpeedRefusal):
        raise refused(decided)
    running = (await session.execute(RUNNING, {"site_id": site_id, "source": source, "now": now})).one()
    if running.of_site or running.tested or running.of_network >= AT_ONCE_OF_NETWORK:
        raise refused(SpeedRefusal.BUSY)
    if running.begun >= MOST_OF_NETWORK:
        raise refused(SpeedRefusal.USED)
    return await _insert(session, site_id, direction, decided, visitor, source, now)


async def _insert(
    session: AsyncSession,
    site_id: int,
    direction: VisitDirection,
    offer: SpeedOffer,
    visitor: bytes,
    source: bytes,
    now: datetime,
) -> Reserved:
    allowed, cost = offer.allowed(direction), offer.cost(direction)
    made = insert(VisitTransfer).values(
        site_id=site_id,
        visitor=visitor,
        direction=direction,
        hour=now.replace(minute=0, second=0, microsecond=0),
        source=source,
        started_at=now,
        expires_at=now + timedelta(seconds=offer.max_s + MARGIN_S),
        allowed_bytes=allowed,
        reserved_bytes=cost,
    )
    transfer_id = await session.scalar(made.on_conflict_do_nothing().returning(VisitTransfer.id))
    if transfer_id is None:
        raise refused(SpeedRefusal.USED)
    await _spend(session, site_id, month_of(now), reserved=cost)
    return Reserved(transfer_id, site_id, month_of(now), allowed, offer.max_s, cost)


async def settle(
    session: AsyncSession, reserved: Reserved, *, size: int, ms: float, rate: Rate, open_end: bool
) -> None:
    """Store what it cost and its rate by our clock, once. `open_end`: the peer may send more than was counted."""
    row = VisitTransfer
    settled = await session.scalar(
        update(row)
        .where(row.id == reserved.transfer_id, row.bytes.is_(None))
        .values(bytes=size, ms=round(ms), mbps=rate.mbps)
        .returning(row.id)
    )
    if settled is not None:
        cost = wire_bytes(size)
        released = min(cost, reserved.reserved_bytes) if open_end else reserved.reserved_bytes
        await _spend(session, reserved.site_id, reserved.month, size=cost, reserved=-released)


async def add_page_bytes(session: AsyncSession, bytes_of_sites: Mapping[int, int], now: datetime) -> None:
    """Add what pages of these sites sent and received beside speed tests."""
    for site_id in sorted(bytes_of_sites):  # in one order: concurrent writers wait, and never deadlock
        await session.execute(LOCK, {"site_id": site_id, "month": month_of(now)})
        await _spend(session, site_id, month_of(now), size=bytes_of_sites[site_id])


async def find_unreported(
    session: AsyncSession, visitors: Collection[bytes], now: datetime
) -> dict[tuple[bytes, int, VisitDirection], list[Any]]:
    """Return settled transfers that no result is part of yet, by visitor, site and direction."""
    row = VisitTransfer
    query = select(row.id, row.visitor, row.site_id, row.direction, row.started_at, row.bytes, row.ms, row.mbps).where(
        row.visitor.in_(visitors), row.seq.is_(None), row.bytes.is_not(None), row.started_at > now - OLDEST_ROW
    )
    found: dict[tuple[bytes, int, VisitDirection], list[Any]] = {}
    for transfer in await session.execute(query):
        found.setdefault((transfer.visitor, transfer.site_id, transfer.direction), []).append(transfer)
    return found


async def mark_reported(session: AsyncSession, seqs: Mapping[int, int]) -> None:
    """Note by its id the result that each transfer became a part of."""
    for transfer_id in sorted(seqs):
        await session.execute(
            update(VisitTransfer).where(VisitTransfer.id == transfer_id).values(seq=seqs[transfer_id])
        )


async def delete_old(session: AsyncSession, before: datetime) -> None:
    await session.execute(delete(VisitTransfer).where(VisitTransfer.started_at < before))


async def _spend(session: AsyncSession, site_id: int, month: date, *, size: int = 0, reserved: int = 0) -> None:
    row = VisitTraffic
    await session.execute(
        update(row)
        .where(row.site_id == site_id, row.month == month)
        .values(bytes=row.bytes + size, reserved_bytes=func.greatest(0, row.reserved_bytes + reserved))
    )


def refused(reason: SpeedRefusal) -> Problem:
    """Return what is answered to who may not test."""
    if reason is SpeedRefusal.BUSY:
        return TooManyRequests(BUSY_RETRY_S)
    return Conflict(REFUSED[reason], reason=reason.value)
