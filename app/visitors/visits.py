"""What a process keeps for visitors: the months' keys, sites, limits, and the writer of results."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from app.core.errors import Fault, Invalid, NotFound, TooManyRequests
from app.core.networks import network_of
from app.postgres.engine import Sessions, transaction
from app.profiles import profiles
from app.settings import Settings
from app.throughput.timed_transfer import TimedTransfer
from app.visitors import transfers
from app.visitors.models import VisitDirection, VisitNetwork
from app.visitors.networks import classify
from app.visitors.rate_limits import VisitLimits
from app.visitors.recording import ReceivedResults, ResultsWriter
from app.visitors.result_parser import ParsedResults
from app.visitors.speed_offer import SpeedOffer, SpeedRefusal, decide
from app.visitors.transfers import BUSY_RETRY_S, Reserved
from app.visitors.visit_token import Visit, VisitKeys
from app.visitors.visited_sites import VisitedSite, VisitedSites, read_code
from probes.rate import rate_of

# Of no spending, so that they hold for a site that was read a minute ago.
NEVER_NOW = frozenset({SpeedRefusal.OFF, SpeedRefusal.OTHER_NETWORK, SpeedRefusal.OUTSIDE_HOURS})


@dataclass(frozen=True, slots=True)
class OpenedVisit:
    token: str
    visit: Visit
    site: VisitedSite
    network: VisitNetwork
    speed: SpeedOffer | SpeedRefusal


class Visits:
    def __init__(self, sessions: Callable[[], Sessions], settings: Settings) -> None:
        self._sessions = sessions
        self.limits = VisitLimits(settings.visitors)
        self.keys = VisitKeys(sessions)
        self.sites = VisitedSites(sessions, settings.public)
        self.writer = ResultsWriter(sessions)

    async def open(self, code: str, visitor: str, address: str | None, now: datetime) -> OpenedVisit:
        """Begin a visit; nothing is stored of it. Raises TooManyRequests, Invalid for an unknown code."""
        self.limits.charge_visit(address)
        registered = read_code(code)
        site = await self.sites.find(registered, now) if registered is not None else None
        if site is None:
            raise Invalid(unknown_code(code))
        token = await self.keys.issue(site.id, visitor, now)
        visit, network = await self.keys.read(token, now), classify(network_of(address), site.networks)
        speed = decide(site, profiles()[site.technology], network, now)
        if isinstance(speed, SpeedOffer) and not self.limits.has_free_test:
            speed = SpeedRefusal.BUSY
        return OpenedVisit(token, visit, site, network, speed)

    async def take(
        self, parsed: ParsedResults, address: str | None, now: datetime, *, size_bytes: int
    ) -> tuple[int, int]:
        """Store the rows of a request; return how many were new and how many not.

        Raises Invalid for the visit, TooManyRequests, Unavailable: nothing is stored then.
        """
        visit, site, network = await self._of_visit(parsed.visit, address, now)
        visitor = visit.latest_visitor
        self.limits.charge_results(len(parsed.rows), visitor=visitor, address=address, site_id=site.id, network=network)
        if not parsed.rows:
            return 0, 0
        received = ReceivedResults(visit, site.technology, network, now, parsed.rows, size_bytes)
        accepted = await self.writer.submit(received)
        return accepted, len(parsed.rows) - accepted

    @asynccontextmanager
    async def transfer(
        self, token: str, direction: VisitDirection, address: str | None, now: datetime
    ) -> AsyncIterator["OpenTransfer"]:
        """Reserve a direction of the visit. The process' share is freed when the caller is done with it.

        Who may not test anyway is refused before that, and without the database: however often it asks, nobody waits.
        """
        self.limits.charge_visit(address)
        visit, site, network = await self._of_visit(token, address, now)
        decided = decide(site, profiles()[site.technology], network, now, direction=direction)
        if decided in NEVER_NOW:
            raise transfers.refused(SpeedRefusal(decided))
        if not self.limits.has_free_test:
            raise TooManyRequests(BUSY_RETRY_S)
        self.limits.speed_tests += 1
        opened = OpenTransfer(self)
        try:
            source = await self.keys.source(network_of(address), now)
            async with transaction(self._sessions()) as session:
                opened.reserved = await transfers.reserve(
                    session, site.id, direction, visitor=visit.visitor(now), source=source, network=network, now=now
                )
            yield opened
        finally:
            if not opened.kept:
                opened.free()

    async def store(self, reserved: Reserved, timed: TimedTransfer) -> None:
        """Settle a transfer by our clock."""
        async with transaction(self._sessions()) as session:
            await transfers.settle(
                session,
                reserved,
                size=timed.bytes,
                ms=timed.ms,
                rate=rate_of(timed.samples),
                open_end=timed.open_end,
            )

    async def close(self) -> None:
        await self.writer.close()

    async def _of_visit(
        self, token: str, address: str | None, now: datetime
    ) -> tuple[Visit, VisitedSite, VisitNetwork]:
        """Raises Invalid for a visit that is over, NotFound for a site that is no longer active."""
        visit = await self.keys.read(token, now)
        site = await self.sites.find(visit.site_id, now)
        if site is None:
            raise NotFound("This access point is not measured by visitors")
        return visit, site, classify(network_of(address), site.networks)


class OpenTransfer:
    """A reserved direction while it runs in this process."""

    def __init__(self, visits: Visits) -> None:
        self._visits = visits
        self.reserved: Reserved | None = None
        self.kept = False  # beyond the request's handler: a response still streams

    def timed(self, *, kept: bool = False) -> TimedTransfer:
        """Return its clock and counter. `kept`: its share of the process is freed by its settling."""
        assert self.reserved is not None
        reserved, self.kept = self.reserved, kept

        async def store(timed: TimedTransfer) -> None:
            if kept:
                self.free()
            await self._visits.store(reserved, timed)

        return TimedTransfer(site_id=reserved.site_id, max_bytes=reserved.max_bytes, max_s=reserved.max_s, store=store)

    def free(self) -> None:
        self._visits.limits.speed_tests -= 1


def unknown_code(code: str) -> Fault:
    return Fault(
        "code",
        "unknown_site",
        "{given} is not the code of an access point in service",
        "It is printed beside the QR, for example 64.02.05.2003-01",
        values={"given": code[:30]},
    )
