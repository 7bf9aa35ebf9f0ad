"""What one group tells of what is ready to be told: its onset, updates, recovery, recurrence, flapping. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.alerts.gate import Send, SubjectPhase
from app.alerts.models import HoldReason, NotificationKind
from app.alerts.plan import FLAPPING_WITHIN, STALE, GroupState, Plan, PlannedMessage, Subject, Timing

LONGEST_RECOVERY_WAIT = timedelta(hours=1)  # for the rest of the group to recover
FLAPPING_AFTER = 3  # recurrences
CALM = timedelta(minutes=30)  # without a change flapping has ended
LONGEST_SILENCE = timedelta(hours=1)  # of a group that flaps on


@dataclass(slots=True)
class GroupStep:
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
        message = sorted_message(kind, group, self.subjects)
        message.recurred, message.flapping = recurred, flapping
        if kind is NotificationKind.HELD:
            message.held = next((subject.held_by for subject in self.subjects if subject.held_by), HoldReason.GROUPING)
        told_now = {subject.name for subject in self.subjects}
        for subject in self.subjects:
            settle(group, subject)
        message.still = [name for name in group.open if name not in told_now]
        self.plan.messages.append(message)
        mark_notified(group, self.now)

    def _recur(self) -> None:
        """Nothing of this group lasted, and it was told so: what came since reopens it."""
        group, until = self.group, self.group.next_message(self.timing, self.now)
        if not self.subjects:
            return
        if until > self.now:
            self.plan.hold(self.subjects, until)
            return
        if not any(group.told_of(subject) for subject in self.subjects):
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
        begins = any((each.is_onset and not each.succeeds) or each.goes_on for each in self.subjects)
        grows = sum(self._remaining().values()) > group.sites_told
        recovered = [each for each in self.subjects if each.phase is not SubjectPhase.LASTS]
        waited = [each for each in recovered if each.changed_at + LONGEST_RECOVERY_WAIT <= now]
        if not begins and not grows and not waited:
            for each in self.subjects:
                if each not in recovered:
                    settle(group, each)
                    self.plan.told_already[each] = group
            for each in recovered:
                self.plan.hold([each], each.changed_at + LONGEST_RECOVERY_WAIT)
            return
        until = group.next_message(self.timing, now) if begins or waited else group.next_growth(self.timing, now)
        if until > now:
            self.plan.hold(self.subjects, until)
            return
        self._tell(NotificationKind.UPDATE if begins or grows else NotificationKind.RECOVERY)
        group.updates = 0 if begins else group.updates + 1


def sorted_message(kind: NotificationKind, group: GroupState | None, subjects: Iterable[Subject]) -> PlannedMessage:
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
    return message.recovered if subject.is_told or wants_only_end(subject) else message.came_and_went


def settle(group: GroupState, subject: Subject) -> None:
    group.affected_at |= dict.fromkeys(subject.affects, subject.changed_at)
    for merged in subject.succeeds:
        group.open.pop(merged, None)
    if subject.phase is SubjectPhase.LASTS:
        group.open[subject.name] = subject.sites
    else:
        group.open.pop(subject.name, None)


def mark_notified(group: GroupState, now: datetime) -> None:
    group.notified_at = now
    group.notifications += 1
    group.sites_told = sum(group.open.values())
    group.cleared_at = None if group.open else now
    if not group.open:
        group.updates = 0


def wants_only_end(subject: Subject) -> bool:
    return isinstance(subject.verdict, Send) and subject.verdict.only_end
