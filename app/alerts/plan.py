"""What planning a channel's messages speaks of: groups as told so far, subjects, and the plan itself. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.alerts.gate import Hold, SubjectPhase, Verdict
from app.alerts.grouping import Commonality
from app.alerts.models import DropReason, HoldReason, NotificationKind

REOPEN_WITHIN = timedelta(minutes=30)  # of the recovery a recurrence belongs to the same group
STALE = timedelta(hours=1)  # after its last message a group takes only what shares its node, or provider and district
LONGEST_INTERVALS = 12  # the interval between updates doubles up to as many group intervals
FLAPPING_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Timing:
    wait: timedelta = timedelta(seconds=30)
    interval: timedelta = timedelta(minutes=5)


@dataclass(slots=True, eq=False)
class GroupState:
    """What a channel was told of one group; `open`: the sites of each subject that it was told and that lasts."""

    key: str
    opened_at: datetime
    id: int | None = None
    notified_at: datetime | None = None
    notifications: int = 0
    updates: int = 0  # of growth alone, in a row
    sites_told: int = 0
    cleared_at: datetime | None = None
    flapping_since: datetime | None = None
    due_at: datetime | None = None  # when flapping is looked at again
    recurred_at: list[datetime] = field(default_factory=list)
    open: dict[str, int] = field(default_factory=dict)
    affected_at: dict[str, datetime] = field(default_factory=dict)  # what it told of, and when that last changed

    def takes(self, subject: "Subject", now: datetime, *, crowded: bool) -> bool:
        """Whether the subject is told with this group. `crowded`: the channel has many recent groups."""
        if self.key not in subject.common.keys:
            return False
        if self.flapping_since is not None and not subject.affects <= self._flapping(self.flapping_since):
            return False  # nothing waits for what else is out of order
        if self.cleared_at is not None and self.flapping_since is None:
            return now < self.cleared_at + REOPEN_WITHIN and (crowded or self.told_of(subject))
        fresh = self.notified_at is None or now < self.notified_at + STALE
        return fresh or self.key not in subject.common.wide_keys

    def told_of(self, subject: "Subject") -> bool:
        return not subject.affects.isdisjoint(self.affected_at)

    def _flapping(self, since: datetime) -> set[str]:
        return {each for each, at in self.affected_at.items() if at > since - FLAPPING_WITHIN}

    def next_message(self, timing: Timing, now: datetime) -> datetime:
        """Return when the next outage, or an end, may be told."""
        return now if self.notified_at is None else self.notified_at + timing.interval

    def next_growth(self, timing: Timing, now: datetime) -> datetime:
        """Return when more sites of what was told may be told, ever more rarely."""
        if self.notified_at is None:
            return now
        intervals: int = min(2**self.updates, LONGEST_INTERVALS)
        return self.notified_at + timing.interval * intervals


@dataclass(slots=True, eq=False)
class Subject:
    """What one subject's pending announcements come to now."""

    name: str
    common: Commonality
    verdict: Verdict
    phase: SubjectPhase
    is_told: bool
    sites: int  # of the office's (or the provider's)
    changed_at: datetime  # when the last of its announcements was written
    first_due_at: datetime  # when its onset was to be told at the earliest
    held_by: HoldReason | None = None
    group: GroupState | None = None  # that told it, or what was merged into it
    succeeds: frozenset[str] = frozenset()  # merged subjects that were told: it has their outages now
    goes_on: bool = False  # an escalation or a reminder
    affects: frozenset[str] = frozenset()  # `site:<id>`, or what it is about if that is no outage

    @property
    def is_onset(self) -> bool:
        return self.phase is SubjectPhase.LASTS and not self.is_told


@dataclass(frozen=True, slots=True)
class Coming:
    """An onset that is not due yet."""

    common: Commonality
    due_at: datetime


@dataclass(slots=True, eq=False)
class PlannedMessage:
    """One notification, with the subjects that it tells. `still`: told before, and lasting."""

    kind: NotificationKind
    group: GroupState | None
    down: list[Subject] = field(default_factory=list)
    recovered: list[Subject] = field(default_factory=list)
    came_and_went: list[Subject] = field(default_factory=list)
    withdrawn: list[Subject] = field(default_factory=list)
    goes_on: list[Subject] = field(default_factory=list)
    still: list[str] = field(default_factory=list)
    held: HoldReason | None = None
    recurred: bool = False
    flapping: bool = False

    @property
    def subjects(self) -> list[Subject]:
        return [*self.down, *self.recovered, *self.came_and_went, *self.withdrawn, *self.goes_on]


@dataclass(slots=True)
class Plan:
    """Each subject is in one message, or held, or dropped, or told already by its group's last message."""

    messages: list[PlannedMessage] = field(default_factory=list)
    held: dict[Subject, Hold] = field(default_factory=dict)
    dropped: dict[Subject, DropReason] = field(default_factory=dict)
    told_already: dict[Subject, GroupState] = field(default_factory=dict)
    joined: dict[Subject, GroupState] = field(default_factory=dict)
    new_groups: list[GroupState] = field(default_factory=list)

    def hold(self, subjects: Iterable[Subject], until: datetime) -> None:
        self.held |= {subject: Hold(until, HoldReason.GROUPING) for subject in subjects}
