"""The content of one channel's messages: which sites, incidents and conditions they tell of, with the evidence."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.affected_members import OutageMember, load_refuted
from app.alerts.channel_backlog import ChannelBacklog, Pending
from app.alerts.content import NAMED_SITES, Content, Section, ToldCondition, ToldIncident, ToldPlace, ToldSite
from app.alerts.gate import Send, SubjectPhase
from app.alerts.models import AnnouncementKind, Channel, NotificationKind
from app.alerts.plan import PlannedMessage, Subject
from app.alerts.told import load_settled
from app.core.clock import from_slot
from app.incidents.models import Incident
from app.measurements.loss_counts import SiteTime, count_losses
from app.measurements.simulated_past import simulated_until
from app.postgres.engine import among
from app.registry import regions
from app.registry.models import Provider, Site

NO_LOSSES: Mapping[SiteTime, Mapping[str, int]] = {}
EVIDENCE_OF = timedelta(days=1)  # lost readings are counted of outages that began within


@dataclass(slots=True)
class ContentBuilder:
    session: AsyncSession
    channel: Channel
    provider: str | None  # the slug of the provider that the channel tells
    state: ChannelBacklog
    pending: dict[Subject, Pending]
    now: datetime
    is_simulated: bool = False
    losses: dict[SiteTime, dict[str, int]] = field(default_factory=dict)
    nodes: dict[int, ToldPlace] = field(default_factory=dict)
    providers: dict[int, ToldPlace] = field(default_factory=dict)
    sites: dict[int, ToldSite] = field(default_factory=dict)  # that conditions are about
    refuted: dict[int, list[OutageMember]] = field(default_factory=dict)  # told, and no outages: by incident
    settled: dict[str, datetime] = field(default_factory=dict)  # when the end of a subject was told before

    async def load(self, messages: Sequence[PlannedMessage]) -> None:
        """Load what the messages name, once for all of them."""
        self.is_simulated = await simulated_until(self.session) is not None
        down = [member for message in messages for member in self._down(message)[:NAMED_SITES]]
        own = {member for member in down if member.node_id is None}
        recent = {member for member in own if member.started_at > self.now - EVIDENCE_OF}
        self.losses = await count_losses(self.session, [(each.site_id, each.started_at, self.now) for each in recent])
        over = [self.pending[subject] for message in messages for subject in message.recovered]
        told = [each.told for each in over if each.told is not None and each.told.incident_id is not None]
        self.refuted = await load_refuted(self.session, {each.incident_id: each.told_at for each in told})
        self.settled = await load_settled(self.session, [each.subject for each in told], self.channel.id)
        keys = [message.group.key.split(":") for message in messages if message.group is not None]
        node_ids = [int(key[1]) for key in keys if key[0] == "node"]
        if node_ids:
            rows = await self.session.execute(select(Site.id, Site.code, Site.name).where(among(Site.id, node_ids)))
            self.nodes = {row.id: ToldPlace(code=row.code, name=row.name) for row in rows}
        provider_ids = [int(key[1]) for key in keys if key[0] == "provider"]
        if provider_ids:
            query = select(Provider).where(among(Provider.id, provider_ids))
            self.providers = {
                each.id: ToldPlace(code=each.slug, name=each.name) for each in await self.session.scalars(query)
            }
        self.sites = await _load_sites(self.session, self._sites_of_conditions(messages))

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
            simulated=self.is_simulated,
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
        refuted = [each for incident_id in of_recovered if incident_id for each in self.refuted.get(incident_id, ())]
        heard = [member for member in refuted if self.state.audience.hears_of(member)]
        return self._members(message.withdrawn) + heard

    def _recovered(self, message: PlannedMessage) -> list[OutageMember]:
        """Leave out what the channel was told before the incident was opened again."""
        recovered = []
        for subject in message.recovered:
            members, settled_at = self._members([subject]), self.settled.get(subject.name)
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
        return section_of(members, self.losses)

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
                site=self.sites.get(_site_id(pending.rows[0].subject)),
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
                site=self.sites.get(_site_id(row.subject)),
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
            return self.nodes.get(int(which))
        if what == "provider":
            return self.providers.get(int(which.split(":")[0]))
        return told_place(which) if what == "district" else None


def last_of_each_site(members: Iterable[OutageMember]) -> list[OutageMember]:
    """Return one outage a site, in the order of their start: a site that was down thrice has recovered once."""
    last = {member.site_id: member for member in sorted(members, key=lambda member: member.started_at)}
    return sorted(last.values(), key=lambda member: member.started_at)


def section_of(members: Sequence[OutageMember], losses: Mapping[SiteTime, Mapping[str, int]] = NO_LOSSES) -> Section:
    named = [told_site(each, losses.get((each.site_id, each.started_at), {})) for each in members[:NAMED_SITES]]
    cut_off = [each for each in members if each.node_id is not None]
    node = cut_off[0].node if cut_off and len({each.outage_site_id for each in members}) == 1 else None
    return Section(sites=named, total=len(members), cut_off=len(cut_off), node=node)


def told_site(member: OutageMember, lost_readings: Mapping[str, int]) -> ToldSite:
    return ToldSite(
        **_site_fields(member.code, member.name, member.village_code),
        technology=member.technology,
        provider=member.provider,
        service_no=member.service_no,
        incident_id=member.incident_id,
        started_at=member.started_at,
        last_ok_at=member.last_ok_at,
        ended_at=member.ended_at,
        is_cut_off=member.node_id is not None,
        lost_readings=dict(lost_readings),
    )


async def _load_sites(session: AsyncSession, site_ids: Collection[int]) -> dict[int, ToldSite]:
    if not site_ids:
        return {}
    rows = await session.execute(
        select(Site.id, Site.code, Site.name, Site.village_code, Site.technology, Site.service_no, Provider.name)
        .join(Provider, Provider.id == Site.provider_id)
        .where(among(Site.id, site_ids))
    )
    return {
        site_id: ToldSite(
            **_site_fields(code, name, village),
            technology=technology,
            provider=provider,
            service_no=service_no,
            incident_id=None,
            started_at=None,
            last_ok_at=None,
            ended_at=None,
        )
        for site_id, code, name, village, technology, service_no, provider in rows
    }


def _site_fields(code: str, name: str, village_code: str) -> dict[str, str]:
    names = regions.names()
    return {
        "code": code,
        "name": name,
        "village": names.get(village_code, village_code),
        "subdistrict": names.get(village_code[:8], village_code[:8]),
        "district": names.get(village_code[:5], village_code[:5]),
    }


def told_place(code: str) -> ToldPlace:
    return ToldPlace(code=code, name=regions.names().get(code, code))


def _site_id(subject: str) -> int:
    """Return 0 for a subject that is no site."""
    kind, _, site_id = subject.partition(":")
    return int(site_id) if kind == "site" else 0
