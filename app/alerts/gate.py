"""Whether an announcement is sent, held or dropped now. Pure: the courier and the preview of a rule ask the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.alerts.models import DropReason, HoldReason
from app.core.daily_window import DailyWindow

LOOK_AGAIN = timedelta(minutes=1)  # at a maintenance window, which may be cancelled
SIGHT = timedelta(seconds=15)  # while we are blind, as often
POWER_EDGE_MIN = 10  # power comes and goes a little off its hours, and then a site takes time to answer


class SubjectPhase(StrEnum):
    """Of what was announced. `merged`: another incident has its outages now."""

    LASTS = "lasts"
    OVER = "over"
    WITHDRAWN = "withdrawn"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class MemberTimes:
    """One outage of one site, its maintenance since then, and the hours in which it has power (none: always)."""

    started_at: datetime
    ended_at: datetime | None
    maintenance: Sequence[tuple[datetime, datetime]] = ()  # in order, apart
    power: Sequence[DailyWindow] = ()

    def maintenance_until(self, now: datetime) -> datetime | None:
        return next((end for start, end in self.maintenance if start <= now < end), None)

    def was_maintained(self, now: datetime) -> bool:
        """Whether all of the outage was within one stretch of maintenance."""
        return any(start <= self.started_at and (self.ended_at or now) <= end for start, end in self.maintenance)

    @property
    def powered_from(self) -> datetime:
        """Return since when the site lacked an answer although it had power; later than now if it had none yet."""
        surely = (window.shortened(POWER_EDGE_MIN) for window in self.power)
        return min((window.next_start(self.started_at) for window in surely), default=self.started_at)


@dataclass(frozen=True, slots=True)
class RuleTimes:
    """What of a rule decides when something is told."""

    least: timedelta = timedelta()
    quiet: DailyWindow | None = None
    muted_until: datetime | None = None
    keeps_power_hours: bool = False


@dataclass(frozen=True, slots=True)
class GateFacts:
    phase: SubjectPhase
    is_told: bool  # the channel heard of it, and not of its end
    started_at: datetime
    ended_at: datetime | None = None
    members: Sequence[MemberTimes] = ()
    rule: RuleTimes = RuleTimes()  # without one nothing is held back
    announces_onset: bool = True  # else only an end, or that it goes on
    wants_end: bool = False  # the rule asks for the end also of what was not announced
    goes_on: bool = False  # an escalation or a reminder
    is_acknowledged: bool = False
    of_sites: bool = True  # while we are blind, nothing is told of sites


@dataclass(frozen=True, slots=True)
class Send:
    maintenance_overrun: bool = False
    only_end: bool = False  # its onset was never announced here


@dataclass(frozen=True, slots=True)
class Hold:
    until: datetime  # look again then
    reason: HoldReason


@dataclass(frozen=True, slots=True)
class Drop:
    reason: DropReason


Verdict = Send | Hold | Drop


def decide(facts: GateFacts, now: datetime, *, is_blind: bool = False, channel_deleted: bool = False) -> Verdict:
    """Return the first that applies; a hold ends later than `now`."""
    if channel_deleted:
        return Drop(DropReason.CHANNEL_DELETED)
    if reason := next(_reasons_to_drop(facts, now), None):
        return Drop(reason)
    only_end = not facts.announces_onset and not facts.is_told
    send = Send(maintenance_overrun=_overruns(facts, now), only_end=only_end)
    return next(_holds(facts, now, is_blind=is_blind), send)


def _reasons_to_drop(facts: GateFacts, now: datetime) -> Iterator[DropReason]:
    if facts.goes_on:
        if facts.phase is not SubjectPhase.LASTS or facts.is_acknowledged:
            yield DropReason.ACKNOWLEDGED
        if not facts.is_told and not facts.announces_onset:
            yield DropReason.NOT_TOLD
        return
    if facts.phase is SubjectPhase.MERGED:
        yield DropReason.MERGED
    if facts.is_told:
        if facts.phase is SubjectPhase.LASTS:
            yield DropReason.FLAPPING  # its end was announced, and it goes on: the channel knows what is true
        return
    if facts.phase is SubjectPhase.WITHDRAWN:
        yield DropReason.WITHDRAWN
    if facts.phase is SubjectPhase.LASTS and not facts.announces_onset:
        yield DropReason.FLAPPING
    if facts.phase is SubjectPhase.OVER:
        yield from _reasons_not_to_tell(facts, facts.ended_at or now)


def _reasons_not_to_tell(facts: GateFacts, ended_at: datetime) -> Iterator[DropReason]:
    """Of an outage that ended before it was told."""
    if not facts.announces_onset and not facts.wants_end:
        yield DropReason.NOT_TOLD
    if ended_at - facts.started_at < facts.rule.least:
        yield DropReason.TOO_SHORT
    if facts.members and all(member.was_maintained(ended_at) for member in facts.members):
        yield DropReason.IN_MAINTENANCE
    if (
        facts.rule.keeps_power_hours
        and facts.members
        and all(each.powered_from >= (each.ended_at or ended_at) for each in facts.members)
    ):
        yield DropReason.OUTSIDE_POWER_HOURS


def _holds(facts: GateFacts, now: datetime, *, is_blind: bool) -> Iterator[Hold]:
    if is_blind and facts.of_sites:
        yield Hold(now + SIGHT, HoldReason.BLIND)
    if facts.phase is SubjectPhase.LASTS and not facts.is_told:
        lasting = [member for member in facts.members if member.ended_at is None] or facts.members
        ends = [member.maintenance_until(now) for member in lasting]
        known = [end for end in ends if end is not None]
        if known and len(known) == len(ends):
            yield Hold(min(*known, now + LOOK_AGAIN), HoldReason.MAINTENANCE)
        if facts.rule.keeps_power_hours and lasting:
            powered_from = min(member.powered_from for member in lasting)
            if powered_from > now:
                yield Hold(powered_from, HoldReason.POWER_HOURS)
    if facts.rule.muted_until is not None and facts.rule.muted_until > now:
        yield Hold(facts.rule.muted_until, HoldReason.MUTED)
    if facts.rule.quiet is not None and (quiet_until := facts.rule.quiet.end_after(now)) is not None:
        yield Hold(quiet_until, HoldReason.QUIET_HOURS)


def _overruns(facts: GateFacts, now: datetime) -> bool:
    """Whether an outage that began within maintenance outlasts it."""
    if facts.phase is not SubjectPhase.LASTS or facts.is_told or not facts.members:
        return False
    return all(
        any(start <= member.started_at < end <= now for start, end in member.maintenance) for member in facts.members
    )
