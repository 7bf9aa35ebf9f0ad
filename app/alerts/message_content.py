"""The content of one channel's messages: which sites, incidents and conditions they tell of, with the evidence."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.affected_members import OutageMember
from app.alerts.channel_backlog import ChannelBacklog, Pending
from app.alerts.content import NAMED_SITES, Content, Section, ToldCondition, ToldIncident, ToldPlace
from app.alerts.gate import Send, SubjectPhase
from app.alerts.message_facts import MessageFacts, load_facts
from app.alerts.models import AnnouncementKind, Channel, NotificationKind
from app.alerts.plan import PlannedMessage, Subject
from app.alerts.told_sites import last_of_each_site, section_of, told_place
from app.core.clock import from_slot
from app.incidents.models import Incident


@dataclass(slots=True)
class ContentBuilder:
    session: AsyncSession
    channel: Channel
    provider: str | None  # the slug of the provider that the channel tells
    state: ChannelBacklog
    pending: dict[Subject, Pending]
    now: datetime
    facts: MessageFacts = field(default_factory=MessageFacts)

    async def load(self, messages: Sequence[PlannedMessage]) -> None:
        """Load what the messages name, once for all of them."""
        self.facts = await load_facts(
            self.session,
            self.channel.id,
            down=[member for message in messages for member in self._down(message)[:NAMED_SITES]],
            recovered=[self.pending[subject] for message in messages for subject in message.recovered],
            group_keys=[message.group.key for message in messages if message.group is not None],
            site_ids=self._sites_of_conditions(messages),
            now=self.now,
        )

    def build(self, message: PlannedMessage) -> Content:
        incidents, conditions = self._incidents(message), self._conditions(message)
        escalated = [row.facts or {} for row in self._rows(message) if row.kind is AnnouncementKind.ESCALATED]
        minutes = [int(facts["minutes"]) for facts in escalated if facts.get("minutes") is not None]
        down = self._down(message)
        return Content(
            kind=message.kind,
            at=self.now,
            office=told_place(self.channel.region_code),
            provider=self.provider,
            shared_by=self._shared_by(message),
            down=self._section(down),
            recovered=self._section(last_of_each_site(self._recovered(message))),
            came_and_went=self._section(self._members(message.came_and_went)),
            withdrawn=self._section(last_of_each_site(self._withdrawn(message))),
            incidents=incidents[:NAMED_SITES],
            incidents_total=len(incidents),
            conditions=conditions[:NAMED_SITES],
            conditions_total=len(conditions),
            escalated_after_min=min(minutes, default=None),
            escalated_from=[
                told_place(code) for code in sorted({facts["from"] for facts in escalated if "from" in facts})
            ],
            is_reminder=any(row.kind is AnnouncementKind.REMINDER for row in self._rows(message)),
            recurred=message.recurred,
            flapping=message.flapping,
            maintenance_overrun=any(
                isinstance(each.verdict, Send) and each.verdict.maintenance_overrun for each in message.down
            ),
            held=message.held,
            simulated=self.facts.is_simulated,
        )

    def _rows(self, message: PlannedMessage) -> Iterator[Any]:
        for subject in message.subjects:
            yield from self.pending[subject].rows

    def _members(self, subjects: Iterable[Subject]) -> list[OutageMember]:
        return [
            member
            for subject in subjects
            if (incident := self.pending[subject].incident) is not None
            for member in self.state.members_of(incident.id)
        ]

    def _withdrawn(self, message: PlannedMessage) -> list[OutageMember]:
        """Return also the outages that an incident which is over turned out not to have had."""
        of_recovered = (self.pending[subject].rows[0].incident_id for subject in message.recovered)
        refuted = [
            each for incident_id in of_recovered if incident_id for each in self.facts.refuted.get(incident_id, ())
        ]
        heard = [member for member in refuted if self.state.audience.hears_of(member)]
        return self._members(message.withdrawn) + heard

    def _recovered(self, message: PlannedMessage) -> list[OutageMember]:
        """Leave out what the channel was told before the incident was opened again."""
        recovered = []
        for subject in message.recovered:
            members, settled_at = self._members([subject]), self.facts.settled.get(subject.name)
            news = [each for each in members if settled_at is None or not each.ended_at or each.ended_at > settled_at]
            recovered += news or members
        return recovered

    def _down(self, message: PlannedMessage) -> list[OutageMember]:
        """Return what is new first, then what was told before."""
        members = self._members([*message.down, *message.goes_on])
        for name in message.still:
            members += self.state.members_of(self.state.open[name].incident_id)
        return [member for member in members if member.ended_at is None]

    def _section(self, members: Sequence[OutageMember]) -> Section:
        return section_of(members, self.facts.losses)

    def _incidents(self, message: PlannedMessage) -> list[ToldIncident]:
        told = [self.pending[subject].incident for subject in message.subjects]
        still = [self.state.incidents.get(self.state.open[name].incident_id) for name in message.still]
        return [self._incident(incident) for incident in dict.fromkeys([*told, *still]) if incident is not None]

    def _incident(self, incident: Incident) -> ToldIncident:
        members = self.state.members_of(incident.id)
        return ToldIncident(
            id=incident.id,
            kind=incident.kind,
            status=incident.status,
            started_at=incident.started_at,
            confirmed_at=incident.confirmed_at,
            ended_at=incident.ended_at,
            sites=len(members),
            sites_down=sum(member.ended_at is None for member in members),
            cause=incident.cause,
            cause_hint=incident.cause_hint,
            acknowledged_by=incident.acknowledged_by,
            ticket_no=incident.ticket_no,
        )

    def _conditions(self, message: PlannedMessage) -> list[ToldCondition]:
        told = [
            ToldCondition(
                kind=pending.kind,
                subject=pending.rows[0].subject,
                since=pending.started_at,
                ended_at=pending.ended_at if subject.phase is not SubjectPhase.LASTS else None,
                facts=pending.facts,
                site=self.facts.sites.get(_site_id(pending.rows[0].subject)),
            )
            for subject in message.subjects
            if (pending := self.pending[subject]).incident is None
        ]
        still = [self.state.open[name] for name in message.still]
        return told + [
            ToldCondition(
                kind=row.kind,
                subject=row.subject,
                since=from_slot(row.version),
                ended_at=None,
                facts=row.facts or {},
                site=self.facts.sites.get(_site_id(row.subject)),
            )
            for row in still
            if row.incident_id is None
        ]

    def _sites_of_conditions(self, messages: Iterable[PlannedMessage]) -> set[int]:
        subjects = [self.pending[subject].rows[0].subject for each in messages for subject in each.subjects]
        subjects += [self.state.open[name].subject for message in messages for name in message.still]
        return {_site_id(subject) for subject in subjects} - {0}

    def _shared_by(self, message: PlannedMessage) -> ToldPlace | None:
        """Return the node, provider or district of the group, where more than one site is told of."""
        if message.group is None or message.kind is NotificationKind.HELD:
            return None
        what, _, which = message.group.key.partition(":")
        if what == "node":
            return self.facts.nodes.get(int(which))
        if what == "provider":
            return self.facts.providers.get(int(which.split(":")[0]))
        return told_place(which) if what == "district" else None


def _site_id(subject: str) -> int:
    """Return 0 for a subject that is no site."""
    kind, _, site_id = subject.partition(":")
    return int(site_id) if kind == "site" else 0
