"""From the inbox into the ledger: what devices pushed, what their silence says, and when we could not hear them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.agents import agent_tokens
from app.core.clock import WITA, from_slot, utc_now
from app.judging.blind_ranges import BlindRange
from app.judging.ingest import AddressedReading, JudgedSite
from app.judging.rejudge import rejudgeable_since
from app.measurements import partitions
from app.measurements import store as measurements
from app.postgres.engine import Sessions, is_refused, transaction
from app.profiles import profiles
from app.push import inbox
from app.push.inbox import Delivery
from app.push.timestamps import ARRIVAL
from app.worker import missed_pushes, writer
from app.worker import peer_quorum as crowd
from app.worker.counters import Figures
from app.worker.ingest_heartbeat import OwnBeat, Proof
from app.worker.peer_quorum import Crowd
from probes.contract import SILENCE, Reading

log = structlog.get_logger()

MOST, MOST_BYTES = 2_000, 400_000  # deliveries a transaction, and what they may weigh: some 6,000 rows
AHEAD = timedelta(days=partitions.AHEAD_DAYS - 1)
BACK = timedelta(days=partitions.BACK_DAYS - 1)


@dataclass
class Intake:
    """Every step is one transaction; what it changes here it changes once that has ended well."""

    sessions: Sessions
    figures: Figures
    own: OwnBeat
    proof: Proof = field(default_factory=lambda: Proof(utc_now()))
    began_at: datetime = field(default_factory=utc_now)
    crowd: Crowd = field(default_factory=Crowd)
    _most: int = MOST
    _away: bool = False
    _told: tuple[Proof, datetime | None] | None = None  # what the database knows of the proof

    async def begin(self, session: AsyncSession) -> None:
        """Goes on from what was proven before; what was set aside is tried again, by a newer version perhaps."""
        await agent_tokens.delete_heartbeat_tokens(session)
        _, self.own.secret = await agent_tokens.mint(session, None, by="worker")
        await inbox.requeue_set_aside(session)
        told = await writer.deaf_beat(session)
        if told is not None:
            self.proof = Proof(told.beat_at, told.started_at if told.blind_since is None else None)
            for site_id, heard_at in await missed_pushes.heard_since(session, told.beat_at - _remembered()):
                self.crowd.hear(site_id, heard_at)

    @property
    def is_up_to_date(self) -> bool:
        """Whether the last step found nothing more to take in."""
        return not self._away

    async def step(self) -> tuple[list[JudgedSite], bool]:
        """Takes in the oldest deliveries. What they came to, and whether there may be more."""
        now, deliveries = utc_now(), list[Delivery]()
        try:
            async with transaction(self.sessions) as session:
                deliveries = await inbox.dequeue(session, limit=self._most, max_bytes=MOST_BYTES)
                proof, blind = self._hear(deliveries)
                items = await self._items(session, deliveries)
                judged = await writer.write_batch(session, items, blind, source=SILENCE)
                if proof != self.proof:
                    await writer.write_deaf_beat(session, proof, None)
        except Exception as error:
            await self._not_taken(deliveries, error)
            return [], not self._away
        self._taken(deliveries, proof, items, now)
        return judged, bool(deliveries)

    def _hear(self, deliveries: Sequence[Delivery]) -> tuple[Proof, list[BlindRange]]:
        proof, blind = self.proof, list[BlindRange]()
        for at in sorted(one.received_at for one in deliveries if one.site_id is None and not one.is_api_start):
            proof, unproven = proof.heard(at, began_at=self.began_at)
            blind += unproven
        return proof, blind

    async def _items(self, session: AsyncSession, deliveries: Sequence[Delivery]) -> list[AddressedReading]:
        """Each row in a second of its own: receipts say that it is new, so none is lost for sharing one. That something
        came is said once of a second, if no row says it."""
        readings = [reading for one in deliveries if one.site_id is not None for reading in one.readings()]
        closed = int((await rejudgeable_since(session)).timestamp())
        kept = [one for one in readings if one.slot >= closed]
        if len(kept) < len(readings):
            self.figures.closed_rows += len(readings) - len(kept)
            log.warning("pushed_too_late", rows=len(readings) - len(kept), why="older than the raw readings kept")
        await _make_room(session, kept)
        arrivals = [one for one in kept if one.reason == ARRIVAL]
        kept = await measurements.in_distinct_slots(session, [one for one in kept if one.reason != ARRIVAL])
        kept += await measurements.in_free_slots(session, arrivals, kept)
        return [(one, None) for one in (await writer.as_in_service(session, kept) if kept else [])]

    def _taken(
        self, deliveries: Sequence[Delivery], proof: Proof, items: Sequence[AddressedReading], now: datetime
    ) -> None:
        self.proof = proof
        self._most, self._away = MOST, False
        for one in deliveries:
            if one.site_id is not None:
                self.crowd.hear(one.site_id, one.received_at)
            elif one.is_api_start:
                self.crowd.miss(one.received_at)
            else:
                self.crowd.hear_own(one.received_at)
        self.figures.pushes += sum(one.site_id is not None for one in deliveries)
        self.figures.own_beats_heard += sum(one.site_id is None and not one.is_api_start for one in deliveries)
        self.figures.pushed_rows += len(items)
        waited = now - deliveries[0].received_at if deliveries else timedelta()
        self.figures.inbox_age_seconds = max(0, int(waited.total_seconds()))

    async def _not_taken(self, deliveries: Sequence[Delivery], error: Exception) -> None:
        """What cannot be taken in is looked for by halves, and set aside: it is kept, and nothing waits for it."""
        self.figures.failed_intakes += 1
        was_away, self._away = self._away, not (deliveries and _is_its_own(error))
        if self._away:
            if not was_away:
                log.warning("inbox_not_taken", error=repr(error))
        elif len(deliveries) > 1:
            self._most = len(deliveries) // 2
        else:
            await self._set_aside(deliveries[0], error)

    async def _set_aside(self, bad: Delivery, error: Exception) -> None:
        async with transaction(self.sessions) as session:
            await inbox.set_aside(session, bad.id)
        log.error("push_refused", delivery=bad.id, site=bad.site_id, bytes=len(bad.payload), error=repr(error))
        self.figures.refused_pushes += 1
        self._most = MOST

    async def listen(self, now: datetime) -> list[JudgedSite]:
        """Once the inbox is empty as of `now`: writes down the silences that are certain, and tells what is proven."""
        now += self.own.ahead
        self.crowd.forget(now - _remembered())
        deaf_since = self.proof.deaf_since(now)
        self.figures.ingest_proven = int(deaf_since is None)
        self.figures.own_beats_sent = self.own.sent
        async with transaction(self.sessions) as session:
            due: list[AddressedReading] = []
            if deaf_since is None:
                due = await missed_pushes.list_due(session, self.proof, self.crowd, now, profiles=profiles())
            judged = await writer.write_batch(session, due, [])
            if (self.proof, deaf_since) != self._told:
                await writer.write_deaf_beat(session, self.proof, deaf_since)
        self._tell(deaf_since)
        self.figures.silences += len(due)
        return judged

    def _tell(self, deaf_since: datetime | None) -> None:
        was_deaf = self._told is None or self._told[1] is not None
        if deaf_since is None and was_deaf:
            log.info("ingest_proven", since=str(self.proof.since))
        elif deaf_since is not None and not was_deaf:
            log.warning(
                "ingest_unproven", since=str(deaf_since), why="our own beat does not come through: no silence counts"
            )
        self._told = self.proof, deaf_since


def _remembered() -> timedelta:
    return crowd.KEPT_TURNS * timedelta(seconds=max(profile.send_every_s for profile in profiles().values()))


async def _make_room(session: AsyncSession, readings: Sequence[Reading]) -> None:
    """Partitions for rows that waited long, or were placed by a clock ahead of ours."""
    now = utc_now()
    moments = (from_slot(one.slot) for one in readings)
    days = {at.astimezone(WITA).date() for at in moments if not now - BACK < at < now + AHEAD}
    if days:
        await partitions.create(session, sorted(days))


def _is_its_own(error: Exception) -> bool:
    """Whether it lies with what was delivered: then the same again fails again, and anything else need not."""
    unreadable = isinstance(error, ValueError | TypeError | LookupError | ArithmeticError)
    return unreadable or is_refused(error)
