"""What a channel's pending announcements come to, subject by subject: the gate's verdicts, as `planning` takes them."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta

from app.alerts.affected_members import commonality
from app.alerts.channel_backlog import ChannelBacklog, Pending, final_target
from app.alerts.gate import GateFacts, RuleTimes, SubjectPhase, decide
from app.alerts.grouping import Commonality
from app.alerts.models import AlertKind, AlertRule, Announcement, AnnouncementKind
from app.alerts.plan import Coming, Subject, Timing
from app.alerts.told import BEGINNING
from app.core.daily_window import DailyWindow

GOES_ON = frozenset({AnnouncementKind.ESCALATED, AnnouncementKind.REMINDER})
OF_SITES = ("incident:", "site:")
BY_KIND = ("site:", "contract:")


def subjects_of(state: ChannelBacklog, *, now: datetime, timing: Timing, is_blind: bool) -> dict[Subject, Pending]:
    """Ask the gate about each subject that is looked at now."""
    successors: dict[int, list[str]] = defaultdict(list)
    for name, told in state.open.items():
        if told.incident_id is not None and (target := final_target(state, told.incident_id)) != told.incident_id:
            successors[target].append(name)
    return {
        _subject(state, name, pending, successors, now=now, timing=timing, is_blind=is_blind): pending
        for name, pending in state.pending.items()
    }


def _subject(
    state: ChannelBacklog,
    name: str,
    pending: Pending,
    successors: Mapping[int, list[str]],
    *,
    now: datetime,
    timing: Timing,
    is_blind: bool,
) -> Subject:
    merged = successors.get(pending.incident.id, []) if pending.incident is not None else []
    facts = _gate_facts(state, name, pending, has_merged=bool(merged))
    told_group = pending.told.group_id if pending.is_told and pending.told is not None else None
    group_ids = [told_group, *(state.open[each].group_id for each in merged)]
    created = [row.created_at for row in pending.rows]
    members = state.members_of(pending.rows[0].incident_id)
    return Subject(
        name,
        _common(state, pending.rows[0], pending.kind),
        decide(facts, now, is_blind=is_blind),
        pending.phase,
        facts.is_told,
        len(members) if pending.incident is not None else 1,
        max(created),
        max(min(created) + timing.wait, pending.started_at + facts.rule.least),
        pending.held_by,
        next((state.groups[each] for each in group_ids if each in state.groups), None),
        frozenset(merged),
        facts.goes_on,
        frozenset(member.name_of_site for member in members) or frozenset({pending.rows[0].subject}),
    )


def _gate_facts(state: ChannelBacklog, name: str, pending: Pending, *, has_merged: bool) -> GateFacts:
    """`has_merged`: the channel was told of incidents that were merged into this one: so it hears of its end."""
    is_told = pending.is_told or (has_merged and pending.phase is not SubjectPhase.LASTS)
    members = state.members_of(pending.rows[0].incident_id) if not is_told else ()
    rule = state.rules.get(pending.rule_id) if pending.rule_id is not None else None
    goes_on = [row.kind in GOES_ON for row in pending.rows]
    return GateFacts(
        pending.phase,
        is_told,
        pending.started_at,
        pending.ended_at,
        [member.times(state.maintenance.get(member.outage, ())) for member in members],
        rule_times(rule),
        announces_onset=any(row.kind in BEGINNING for row in pending.rows),
        wants_end=rule is not None and AlertKind.RECOVERED in rule.kinds,
        goes_on=all(goes_on) or (any(goes_on) and pending.is_told and pending.phase is SubjectPhase.LASTS),
        is_acknowledged=pending.incident is not None and pending.incident.acknowledged_at is not None,
        of_sites=name.startswith(OF_SITES),
    )


def coming_of(state: ChannelBacklog) -> list[Coming]:
    """Return the onsets that are not due yet, but soon."""
    return [Coming(_common(state, row, row.kind), row.due_at) for row in state.coming]


def _common(state: ChannelBacklog, row: Announcement, kind: AnnouncementKind) -> Commonality:
    """What is told of sites and contracts is told by kind, anything else by itself."""
    if row.incident_id is not None:
        return commonality(state.incidents[row.incident_id], state.members_of(row.incident_id))
    return Commonality(condition=f"kind:{kind.value}" if row.subject.startswith(BY_KIND) else row.subject)


def rule_times(rule: AlertRule | None) -> RuleTimes:
    if rule is None:
        return RuleTimes()
    quiet = None
    if rule.quiet_from is not None and rule.quiet_to is not None:
        quiet = DailyWindow(rule.quiet_from, rule.quiet_to)
    return RuleTimes(timedelta(seconds=rule.least_s), quiet, rule.muted_until, rule.keeps_power_hours)
