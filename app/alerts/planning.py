"""What one channel is told now of what the gate lets through, and what waits for its group. Pure.

A group tells its onset, then updates ever more rarely, then its recovery; one that keeps recurring is told as flapping.
The courier plans with what the database holds, the preview of a rule with what the ledger says.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.alerts.gate import Drop, Hold, Send, SubjectPhase, Verdict
from app.alerts.grouping import Commonality, form_groups, is_of_outages
from app.alerts.models import DropReason, HoldReason, NotificationKind

REOPEN_WITHIN = timedelta(minutes=30)  # of the recovery a recurrence belongs to the same group
RECENT = timedelta(minutes=15)  # groups that began within count when new ones form
STALE = timedelta(hours=1)  # after its last message a group takes only what shares its node, or provider and district
LONGEST_INTERVALS = 12  # the interval between updates doubles up to as many group intervals
LONGEST_RECOVERY_WAIT = timedelta(hours=1)  # for the rest of the group to recover
FLAPPING_AFTER = 3  # recurrences
FLAPPING_WITHIN = timedelta(hours=1)
CALM = timedelta(minutes=30)  # without a change flapping has ended
LONGEST_SILENCE = timedelta(hours=1)  # of a group that flaps on

DIGESTED = frozenset({HoldReason.QUIET_HOURS, HoldReason.MUTED})  # what they held comes in one message


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
    updates: int = 0  # in a row
    sites_told: int = 0
    cleared_at: datetime | None = None
    flapping_since: datetime | None = None
    due_at: datetime | None = None  # when flapping is looked at again
    recurred_at: list[datetime] = field(default_factory=list)
    open: dict[str, int] = field(default_factory=dict)
    affected_at: dict[str, datetime] = field(default_factory=dict)  # what it told of, and when that last changed

    def takes(self, subject: "Subject", now: datetime) -> bool:
        if self.key not in subject.common.keys:
            return False
        if self.flapping_since is not None and not subject.affects <= self._flapping(self.flapping_since):
            return False  # nothing waits for what else is out of order
        if self.cleared_at is not None and self.flapping_since is None:
            return now < self.cleared_at + REOPEN_WITHIN
        fresh = self.notified_at is None or now < self.notified_at + STALE
        return fresh or self.key not in subject.common.wide_keys

    def _flapping(self, since: datetime) -> set[str]:
        return {each for each, at in self.affected_at.items() if at > since - FLAPPING_WITHIN}

    def next_update(self, timing: Timing, now: datetime) -> datetime:
        """Return when an update may be told; after a long pause the interval is the first one again."""
        if self.notified_at is None:
            return now
        factor = 1 if self.cleared_at is not None else min(2**self.updates, LONGEST_INTERVALS)
        return self.notified_at + timing.interval * factor


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
    returns: bool = False  # its group told of the same before

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


def make_plan(
    groups: Sequence[GroupState],
    subjects: Sequence[Subject],
    *,
    now: datetime,
    timing: Timing,
    coming: Sequence[Coming] = (),
    grown: Collection[GroupState] = (),
) -> Plan:
    """Plan what one channel is told, and change its groups accordingly.

    `grown`: groups whose shared incidents have more sites now (`open` counts them).

    1. Hold and drop what the gate says.
    2. What quiet hours or a mute held comes in one message.
    3. An onset waits while more with its provider come; then it joins a group, or new groups form.
    4. Each group tells what happened to it, or holds it until it may.
    """
    plan = Plan()
    ready: list[Subject] = []
    for subject in subjects:
        if isinstance(subject.verdict, Hold):
            plan.held[subject] = subject.verdict
        elif isinstance(subject.verdict, Drop):
            plan.dropped[subject] = subject.verdict.reason
        else:
            ready.append(subject)
    digested = [subject for subject in ready if subject.held_by in DIGESTED]
    others = [subject for subject in ready if subject.held_by not in DIGESTED]
    others = _without_waiting(plan, others, coming, now=now, timing=timing)
    _assign(plan, groups, [*digested, *others], now)
    _tell_held(plan, digested, now)
    _tell_apart(plan, [subject for subject in others if subject not in plan.joined])
    by_group: dict[GroupState, list[Subject]] = defaultdict(list)
    for subject in others:
        if (group := plan.joined.get(subject)) is not None:
            by_group[group].append(subject)
    calmed = [group for group in groups if group.due_at is not None and group.due_at <= now]
    for group in dict.fromkeys([*by_group, *grown, *calmed]):
        _GroupStep(plan, group, by_group[group], now, timing).run()
    return plan


def _without_waiting(
    plan: Plan, subjects: Sequence[Subject], coming: Sequence[Coming], *, now: datetime, timing: Timing
) -> list[Subject]:
    """Hold onsets while more with the same provider or node come, at most as long again as they waited."""
    last: dict[str, datetime] = {}
    for each in coming:
        for key in _causes(each.common):
            last[key] = max(each.due_at, last.get(key, each.due_at))
    ready = []
    for subject in subjects:
        wait_until = max((last[key] for key in _causes(subject.common) if key in last), default=now)
        until = min(wait_until, subject.first_due_at + timing.wait)
        if subject.is_onset and until > now:
            plan.hold([subject], until)
        else:
            ready.append(subject)
    return ready


def _causes(common: Commonality) -> list[str]:
    return [key for key in (common.node, common.parent, common.provider, common.condition) if key is not None]


def _assign(plan: Plan, groups: Sequence[GroupState], subjects: Sequence[Subject], now: datetime) -> None:
    """Find the group of each subject; onsets without one form new ones."""
    unplaced: dict[Subject, Commonality] = {}
    by_key: dict[str, GroupState] = {group.key: group for group in groups}
    flapping = {group.key: group for group in groups if group.flapping_since is not None}
    for subject in subjects:
        known = (of.get(key) for key in subject.common.keys for of in (flapping, by_key))
        group = subject.group or next((each for each in known if each is not None and each.takes(subject, now)), None)
        if group is not None:
            plan.joined[subject] = group
        elif not subject.is_told and not _wants_only_end(subject):
            unplaced[subject] = subject.common
    recent = [group.key for group in groups if group.opened_at > now - RECENT and is_of_outages(group.key)]
    for key, of_group in form_groups(unplaced, recent=recent).items():
        of_key = by_key.get(key)
        if of_key is None or not all(of_key.takes(subject, now) for subject in of_group):
            of_key = GroupState(key, now)
            plan.new_groups.append(of_key)
        plan.joined |= dict.fromkeys(of_group, of_key)
    for subject, group in plan.joined.items():
        subject.returns = not subject.affects.isdisjoint(group.affected_at)


def _wants_only_end(subject: Subject) -> bool:
    return isinstance(subject.verdict, Send) and subject.verdict.only_end


def _tell_apart(plan: Plan, subjects: Sequence[Subject]) -> None:
    """What has no group, in one message: mostly ends of what was not announced here, to those who asked for them."""
    if subjects:
        ends = any(subject.phase is not SubjectPhase.LASTS for subject in subjects)
        kind = NotificationKind.RECOVERY if ends else NotificationKind.UPDATE
        plan.messages.append(_sorted_message(kind, None, subjects))


def _tell_held(plan: Plan, subjects: Sequence[Subject], now: datetime) -> None:
    """One message for all that was held; what lasts is in its group from now on, as if that had told it."""
    if not subjects:
        return
    message = _sorted_message(NotificationKind.HELD, None, subjects)
    message.held = subjects[0].held_by
    plan.messages.append(message)
    touched = {plan.joined[subject]: None for subject in subjects if subject in plan.joined}
    for subject in subjects:
        if (group := plan.joined.get(subject)) is not None:
            _settle(group, subject)
    for group in touched:
        _mark_notified(group, now)


def _sorted_message(kind: NotificationKind, group: GroupState | None, subjects: Iterable[Subject]) -> PlannedMessage:
    message = PlannedMessage(kind, group)
    for subject in subjects:
        _list_for(message, subject).append(subject)
    return message


def _list_for(message: PlannedMessage, subject: Subject) -> list[Subject]:
    if subject.goes_on and (subject.is_told or subject.phase is not SubjectPhase.LASTS):
        return message.goes_on
    if subject.phase is SubjectPhase.LASTS:
        return message.down
    if subject.phase is SubjectPhase.WITHDRAWN:
        return message.withdrawn
    return message.recovered if subject.is_told or _wants_only_end(subject) else message.came_and_went


def _settle(group: GroupState, subject: Subject) -> None:
    group.affected_at |= dict.fromkeys(subject.affects, subject.changed_at)
    for merged in subject.succeeds:
        group.open.pop(merged, None)
    if subject.phase is SubjectPhase.LASTS:
        group.open[subject.name] = subject.sites
    else:
        group.open.pop(subject.name, None)


def _mark_notified(group: GroupState, now: datetime) -> None:
    group.notified_at = now
    group.notifications += 1
    group.sites_told = sum(group.open.values())
    group.cleared_at = None if group.open else now
    if not group.open:
        group.updates = 0


@dataclass(slots=True)
class _GroupStep:
    """What one group tells now, of what is ready to be told."""

    plan: Plan
    group: GroupState
    subjects: list[Subject]
    now: datetime
    timing: Timing

    def run(self) -> None:
        group = self.group
        if group.flapping_since is not None:
            self._flap()
        elif not group.notifications:
            self._tell(NotificationKind.ONSET if self._lasts() else NotificationKind.HELD)
        elif group.cleared_at is not None:
            self._recur()
        elif not self._remaining():
            self._tell(NotificationKind.RECOVERY)
        else:
            self._update()

    def _lasts(self) -> bool:
        return any(subject.phase is SubjectPhase.LASTS for subject in self.subjects)

    def _remaining(self) -> dict[str, int]:
        """Return the sites by subject that lasts, once these have been told."""
        ended = {subject.name for subject in self.subjects if subject.phase is not SubjectPhase.LASTS}
        ended |= {name for subject in self.subjects for name in subject.succeeds}
        lasting = {subject.name: subject.sites for subject in self.subjects if subject.phase is SubjectPhase.LASTS}
        return {name: sites for name, sites in self.group.open.items() if name not in ended} | lasting

    def _tell(self, kind: NotificationKind, *, recurred: bool = False, flapping: bool = False) -> None:
        group = self.group
        message = _sorted_message(kind, group, self.subjects)
        message.recurred, message.flapping = recurred, flapping
        if kind is NotificationKind.HELD:
            message.held = next((subject.held_by for subject in self.subjects if subject.held_by), HoldReason.GROUPING)
        told_now = {subject.name for subject in self.subjects}
        for subject in self.subjects:
            _settle(group, subject)
        message.still = [name for name in group.open if name not in told_now]
        self.plan.messages.append(message)
        _mark_notified(group, self.now)

    def _recur(self) -> None:
        """Nothing of this group lasted, and it was told so: what came since reopens it."""
        group, until = self.group, self.group.next_update(self.timing, self.now)
        if not self.subjects:
            return
        if until > self.now:
            self.plan.hold(self.subjects, until)
            return
        if not any(subject.returns for subject in self.subjects):
            self._tell(NotificationKind.ONSET if self._lasts() else NotificationKind.HELD)
            return
        group.recurred_at = [at for at in group.recurred_at if at > self.now - FLAPPING_WITHIN] + [self.now]
        if len(group.recurred_at) >= FLAPPING_AFTER:
            group.flapping_since, group.due_at = self.now, self.now + CALM
            self._tell(NotificationKind.FLAPPING, recurred=True, flapping=True)
        else:
            self._tell(NotificationKind.UPDATE if self._lasts() else NotificationKind.RECOVERY, recurred=True)

    def _flap(self) -> None:
        """Tell nothing until it has been calm for long enough, then how it ended; each hour that it still flaps."""
        group, now = self.group, self.now
        changed = [subject.changed_at + CALM for subject in self.subjects]
        calm_at = max([group.due_at or now, *changed])
        until = min(calm_at, (group.flapping_since or now) + LONGEST_SILENCE)
        if until > now:
            group.due_at = until
            self.plan.hold(self.subjects, until)
        elif calm_at > now:
            group.flapping_since, group.due_at = now, calm_at
            self._tell(NotificationKind.FLAPPING, recurred=True, flapping=True)
        else:
            group.flapping_since = group.due_at = None
            group.recurred_at, group.updates = [], 0
            self._tell(NotificationKind.FLAPPING)

    def _update(self) -> None:
        """Some of it lasts."""
        group, now = self.group, self.now
        if group.notified_at is not None and now >= group.notified_at + STALE:
            group.updates = 0
        grows = any(each.is_onset and not each.succeeds for each in self.subjects)
        grows = grows or any(each.goes_on for each in self.subjects)
        grows = grows or sum(self._remaining().values()) > group.sites_told
        recovered = [each for each in self.subjects if each.phase is not SubjectPhase.LASTS]
        waited = [each for each in recovered if each.changed_at + LONGEST_RECOVERY_WAIT <= now]
        if not grows and not waited:
            for each in self.subjects:
                if each not in recovered:
                    _settle(group, each)
                    self.plan.told_already[each] = group
            for each in recovered:
                self.plan.hold([each], each.changed_at + LONGEST_RECOVERY_WAIT)
            return
        until = group.next_update(self.timing, now)
        if until > now:
            self.plan.hold(self.subjects, until)
            return
        self._tell(NotificationKind.UPDATE if grows else NotificationKind.RECOVERY)
        group.updates += 1
