"""What one channel is told now of what the gate lets through, and what waits for its group. Pure.

A group tells its onset, then updates, then its recovery; one that keeps recurring is told as flapping.
The courier plans with what the database holds, the preview of a rule with what the ledger says.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from app.alerts.gate import Drop, Hold, SubjectPhase
from app.alerts.group_step import GroupStep, mark_notified, settle, sorted_message, wants_only_end
from app.alerts.grouping import MOST_GROUPS, Commonality, form_groups, is_of_outages
from app.alerts.models import HoldReason, NotificationKind
from app.alerts.plan import Coming, GroupState, Plan, Subject, Timing

RECENT = timedelta(minutes=15)  # groups that began within count when new ones form; of many, recovered ones take others

DIGESTED = frozenset({HoldReason.QUIET_HOURS, HoldReason.MUTED})  # what they held comes in one message


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
        GroupStep(plan, group, by_group[group], now, timing).run()
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
    recent = [group.key for group in groups if group.opened_at > now - RECENT and is_of_outages(group.key)]
    crowded = len(recent) >= MOST_GROUPS
    by_key: dict[str, list[GroupState]] = defaultdict(list)
    for group in sorted(groups, key=lambda each: (each.flapping_since is not None, each.opened_at), reverse=True):
        by_key[group.key].append(group)
    for subject in subjects:
        known = subject.group or _group_for(subject, by_key, now, crowded=crowded)
        if known is not None:
            plan.joined[subject] = known
        elif not subject.is_told and not wants_only_end(subject):
            unplaced[subject] = subject.common
    for key, of_group in form_groups(unplaced, recent=recent).items():
        plan.new_groups.append(new := GroupState(key, now))
        plan.joined |= dict.fromkeys(of_group, new)


def _group_for(
    subject: Subject, by_key: Mapping[str, Sequence[GroupState]], now: datetime, *, crowded: bool
) -> GroupState | None:
    """Return the group that told of the same, else the latest of the narrowest that take it."""
    takes = [
        group
        for key in subject.common.keys
        for group in by_key.get(key, ())
        if group.takes(subject, now, crowded=crowded)
    ]
    return next((group for group in takes if group.told_of(subject)), takes[0] if takes else None)


def _tell_apart(plan: Plan, subjects: Sequence[Subject]) -> None:
    """What has no group, in one message: mostly ends of what was not announced here, to those who asked for them."""
    if subjects:
        ends = any(subject.phase is not SubjectPhase.LASTS for subject in subjects)
        kind = NotificationKind.RECOVERY if ends else NotificationKind.UPDATE
        plan.messages.append(sorted_message(kind, None, subjects))


def _tell_held(plan: Plan, subjects: Sequence[Subject], now: datetime) -> None:
    """One message for all that was held; what lasts is in its group from now on, as if that had told it."""
    if not subjects:
        return
    message = sorted_message(NotificationKind.HELD, None, subjects)
    message.held = subjects[0].held_by
    plan.messages.append(message)
    touched = {plan.joined[subject]: None for subject in subjects if subject in plan.joined}
    for subject in subjects:
        if (group := plan.joined.get(subject)) is not None:
            settle(group, subject)
    for group in touched:
        mark_notified(group, now)
