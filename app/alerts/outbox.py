"""Announce what changed in incidents, in the transaction that changed it: whatever is killed then, nothing is lost.

State-based, hence idempotent: an announcement is written where a channel has not been announced what is true now.
`reconcile_incidents` holds the incident counter until the commit, so two workers never write at the same time.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import covers
from app.alerts.matching import MemberFacts, RuleFacts, RulesByRegion, earliest
from app.alerts.member_facts import load_members
from app.alerts.models import AlertKind, Announcement, AnnouncementKind, HoldReason
from app.alerts.rule_facts import load_rules
from app.alerts.told import Told, ToldByChannel, load_told
from app.incidents.models import Incident, IncidentKind, IncidentStatus
from app.postgres.engine import among
from app.postgres.work_signals import Work, announce
from app.settings import settings

LASTING = frozenset({IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED})
RECENT = timedelta(hours=1)  # a recovery from what was not announced is news for so long

RuleIds = dict[int, int | None]  # by channel


@dataclass(slots=True)
class Outbox:
    """Announcements of changed incidents, collected from what rules want and what channels were told."""

    now: datetime
    offices: Mapping[int, str]  # by channel
    rules: RulesByRegion
    members: Mapping[int, Sequence[MemberFacts]]  # by incident
    told: Mapping[str, ToldByChannel]  # by subject
    merged: Mapping[int, ToldByChannel]  # by incident: who has heard only of those that were merged into it
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def at_earliest(self) -> datetime:
        return self.now + group_wait()

    def announce(self, incident: Incident, *, lives_on: bool) -> None:
        """Collect onsets where they lack, and the end where the onset was announced.

        `lives_on`: it was withdrawn because another one has its outages now.
        """
        if incident.status in LASTING:
            self._add_onsets(incident, self._wanted(incident))
        elif incident.status is IncidentStatus.RESOLVED:
            onsets = self._add_onsets(incident, {})
            self._add_ends(incident, AnnouncementKind.RECOVERED, self._unsettled(incident) | onsets)
            self._add_ends(incident, AnnouncementKind.RECOVERED, self._recoveries(incident))
        elif not lives_on:
            self._add_ends(incident, AnnouncementKind.WITHDRAWN, self._unsettled(incident))

    def _told(self, incident: Incident) -> ToldByChannel:
        return self.told.get(subject_of(incident), {})

    def _unsettled(self, incident: Incident) -> RuleIds:
        """Return the rules by the channels that were announced its onset, and not its end."""
        return {channel: told.rule_id for channel, told in self._told(incident).items() if not told.settled}

    def _wanted(self, incident: Incident) -> dict[int, RuleFacts]:
        """Return, by channel not announced its onset, the rule that asks for this outage."""
        members = [member for member in self.members.get(incident.id, ()) if member.open]
        dependents = [member for member in members if member.is_cut_off]
        wanting = (rule for rule in self.rules.covering(members) if rule.wants(incident.kind, dependents))
        rules = self._by_channel(incident, wanting)
        unsettled = self._unsettled(incident)
        return {channel: rule for channel, rule in rules.items() if channel not in unsettled}

    def _by_channel(self, incident: Incident, rules: Iterable[RuleFacts]) -> dict[int, RuleFacts]:
        matching: dict[int, list[RuleFacts]] = defaultdict(list)
        for rule in rules:
            matching[rule.channel_id].append(rule)
        return {channel: earliest(each, incident.started_at, self.at_earliest) for channel, each in matching.items()}

    def _add_onsets(self, incident: Incident, wanted: Mapping[int, RuleFacts]) -> RuleIds:
        """Announce the onset to those who want it, and to those who have heard only of what was merged into it.

        Return their rules by channel.
        """
        told = self._told(incident)
        heard = {channel: of for channel, of in self.merged.get(incident.id, {}).items() if channel not in told}
        announced: RuleIds = {}
        for channel in sorted(wanted.keys() | heard.keys()):
            rule, merged = wanted.get(channel), heard.get(channel)
            due_at = self.at_earliest
            if rule is not None and (merged is None or merged.is_pending):
                due_at = rule.due_at(incident.started_at, self.at_earliest)
            elif merged is not None and merged.is_pending:
                due_at = max(due_at, merged.due_at)
            rule_id = rule.rule_id if rule is not None else merged.rule_id if merged is not None else None
            self._add(incident, self._onset_kind(incident, channel), channel, rule_id=rule_id, due_at=due_at)
            announced[channel] = rule_id
        return announced

    def _onset_kind(self, incident: Incident, channel: int) -> AnnouncementKind:
        """Return `shared` also for a node's outage that cuts off access points of the office's."""
        office, cut_off = self.offices[channel], [each for each in self.members.get(incident.id, ()) if each.is_cut_off]
        is_shared = incident.kind is IncidentKind.SHARED or any(covers(office, each.village_code) for each in cut_off)
        return AnnouncementKind.SHARED if is_shared else AnnouncementKind.DOWN

    def _recoveries(self, incident: Incident) -> RuleIds:
        """Return, by channel that was told nothing of it, the rule that asks for its recovery all the same."""
        if incident.ended_at is None or incident.ended_at < self.now - RECENT:
            return {}
        lasted = incident.ended_at - incident.started_at
        rules = self.rules.covering(self.members.get(incident.id, ()))
        asking = (rule for rule in rules if AlertKind.RECOVERED in rule.kinds and lasted >= rule.least)
        told = self._told(incident).keys() | self.merged.get(incident.id, {}).keys()
        wanted = self._by_channel(incident, asking)
        return {channel: rule.rule_id for channel, rule in wanted.items() if channel not in told}

    def _add_ends(self, incident: Incident, kind: AnnouncementKind, rule_ids: RuleIds) -> None:
        for channel, rule_id in sorted(rule_ids.items()):
            self._add(incident, kind, channel, rule_id=rule_id, due_at=self.at_earliest)

    def _add(
        self, incident: Incident, kind: AnnouncementKind, channel: int, *, rule_id: int | None, due_at: datetime
    ) -> None:
        groups = due_at <= self.at_earliest
        self.rows.append(
            {
                "subject": subject_of(incident),
                "incident_id": incident.id,
                "kind": kind,
                "region_code": self.offices[channel],
                "channel_id": channel,
                "version": incident.version,
                "rule_id": rule_id,
                "created_at": self.now,
                "due_at": due_at,
                "hold_reason": HoldReason.GROUPING if groups else HoldReason.LEAST_DURATION,
            }
        )


async def write_announcements(session: AsyncSession, incidents: Sequence[Incident], *, now: datetime) -> None:
    """Announce these changed incidents to whom their offices' rules name. Idempotent.

    1. Without incidents, or channels to announce them to, nothing is done.
    2. Whoever was told of an incident that was merged into another is told of that one: so its end reaches them.
    3. Onsets, recoveries and withdrawals are written where they lack.
    """
    if not incidents:
        return
    offices, rules = await load_rules(session)
    if not offices:
        return
    known = {incident.id: incident for incident in (*await _load_merge_targets(session, incidents), *incidents)}
    targets = {incident.id: _final_target(incident, known) for incident in known.values()}
    told = await load_told(session, [subject_of(incident) for incident in known.values()], offices.keys())
    merged: dict[int, ToldByChannel] = defaultdict(dict)
    for incident in known.values():
        if (target := targets[incident.id]) is not None:
            merged[target] |= _unheard_ends(told.get(subject_of(incident), {}))
    outbox = Outbox(now, offices, RulesByRegion(rules), await load_members(session, known.keys()), told, merged)
    for incident in known.values():
        outbox.announce(incident, lives_on=targets[incident.id] is not None)
    await insert_announcements(session, outbox.rows)
    await announce(session, Work.ANNOUNCEMENTS)  # also of one that only has more sites now


def group_wait() -> timedelta:
    """Return how long what is announced waits: others with the same cause join it."""
    return timedelta(seconds=settings().alerts.group_wait_s)


def subject_of(incident: Incident) -> str:
    return f"incident:{incident.id}"


def _unheard_ends(told: Mapping[int, Told]) -> ToldByChannel:
    """Return also an end that is pending: of a merged incident it is never told."""
    return {channel: of for channel, of in told.items() if not of.settled or of.is_pending}


def _final_target(incident: Incident, known: Mapping[int, Incident]) -> int | None:
    """Return the incident that has the outages of a withdrawn one now, or None."""
    seen, current = {incident.id}, incident
    while current.status is IncidentStatus.WITHDRAWN:
        if current.merged_into is None or current.merged_into in seen:
            return None
        current = known[current.merged_into]
        seen.add(current.id)
    return None if current is incident else current.id


async def _load_merge_targets(session: AsyncSession, incidents: Collection[Incident]) -> list[Incident]:
    """Return the incidents that withdrawn ones were merged into, and those that these were, unless among them."""
    known = {incident.id for incident in incidents}
    targets: list[Incident] = []
    missing = {incident.merged_into for incident in incidents} - known - {None}
    while missing:
        rows = list(await session.scalars(select(Incident).where(among(Incident.id, missing))))
        targets += rows
        known |= {incident.id for incident in rows}
        missing = {incident.merged_into for incident in rows} - known - {None}
    return targets


async def insert_announcements(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Insert those that are not there yet. All have the same columns."""
    if rows:
        await session.execute(insert(Announcement).on_conflict_do_nothing(), rows)
        await announce(session, Work.ANNOUNCEMENTS)
