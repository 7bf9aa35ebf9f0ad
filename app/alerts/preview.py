"""What a rule would have sent, had it been in force: read from the ledger, asked of the same gate and groups.

Outages alone: conditions, reminders, escalations and digests need what the ledger does not hold. A mute is ignored.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime

from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.access.scope import in_region
from app.alerts.affected_members import Audience, Members, OutageMember, commonality, load_maintenance, load_members
from app.alerts.compose import timing_of
from app.alerts.content import Content, Section, ToldPlace
from app.alerts.matching import MemberFacts
from app.alerts.models import AlertKind, AlertRule, Channel, DropReason, HoldReason, MessageForm
from app.alerts.plan import Subject
from app.alerts.preview_schemas import LISTED, PreviewedDay, PreviewedNotification, RulePreview
from app.alerts.replay import PastMessage, Replay, ReplayedOutage
from app.alerts.rule_facts import facts_of
from app.alerts.subjects import rule_times
from app.alerts.texts import render
from app.alerts.told_sites import section_of, told_place
from app.core.clock import to_wita
from app.core.errors import Fault, Invalid
from app.incidents.models import Incident, IncidentSite, IncidentStatus
from app.postgres.engine import among
from app.registry.models import Site, SiteKind
from app.settings import settings

MAX_INCIDENTS = 10_000


async def preview(session: AsyncSession, rule: AlertRule, *, since: datetime, until: datetime) -> RulePreview:
    """Return what the rule would have sent through each of its channels, or through one of those that hear the same.

    Raises Invalid for more outages than are replayed.
    """
    channels = await _load_channels(session, rule)
    incidents = await _load_incidents(session, rule, since, until)
    members = await load_members(session, [incident.id for incident in incidents])
    maintenance = await load_maintenance(session, (each for of in members.values() for each in of), until)
    replays: list[tuple[Channel, Replay]] = []
    for channel in channels:
        outages = _outages_of(rule, channel, incidents, members)
        times = replace(rule_times(rule), muted_until=None)
        wants_end = AlertKind.RECOVERED in rule.kinds
        replays.append((channel, Replay(outages, times, wants_end, maintenance, timing_of(settings()))))
    return await asyncio.to_thread(_run, replays, since, until)


async def _load_channels(session: AsyncSession, rule: AlertRule) -> list[Channel]:
    """Return one channel for each of those whom the rule's channels tell: the office, or a provider."""
    query = select(Channel).where(among(Channel.id, rule.channel_ids)).order_by(Channel.id)
    found = list(await session.scalars(query.options(joinedload(Channel.provider))))
    return list({channel.provider_id: channel for channel in reversed(found)}.values())


async def _load_incidents(session: AsyncSession, rule: AlertRule, since: datetime, until: datetime) -> list[Incident]:
    """Return what lasted at some time within the period, of sites of the rule's region, or of nodes anywhere."""
    concerned = or_(in_region(Site.village_code, rule.within), Site.kind == SiteKind.NODE)
    of_region = (
        select(IncidentSite.id)
        .join(Site, Site.id == IncidentSite.site_id)
        .where(IncidentSite.incident_id == Incident.id, concerned)
    )
    query = (
        select(Incident)
        .where(Incident.started_at < until, or_(Incident.ended_at.is_(None), Incident.ended_at > since))
        .where(Incident.status != IncidentStatus.WITHDRAWN, exists(of_region.correlate(Incident)))
        .order_by(Incident.started_at, Incident.id)
        .limit(MAX_INCIDENTS + 1)
    )
    incidents = list(await session.scalars(query))
    if len(incidents) > MAX_INCIDENTS:
        raise Invalid(
            Fault(
                "region",
                "too_many_incidents",
                "There were more than {most} outages, too many to preview",
                "Preview the rule for a smaller region",
                values={"most": MAX_INCIDENTS},
            )
        )
    return incidents


def _outages_of(
    rule: AlertRule, channel: Channel, incidents: Sequence[Incident], members: Members
) -> list[ReplayedOutage]:
    """Return the outages that the channel would have heard of by this rule."""
    facts = facts_of(rule, channel.id, channel.provider_id)
    audience = Audience(rule.region_code, channel.provider_id)
    outages = []
    for incident in incidents:
        heard = [member for member in members.get(incident.id, ()) if audience.hears_of(member)]
        as_matched = [_facts_of(member) for member in heard]
        wanted = facts.wants(incident.kind, as_matched)
        if (wanted or AlertKind.RECOVERED in facts.kinds) and any(facts.covers(each) for each in as_matched):
            confirmed_at = incident.confirmed_at or incident.started_at
            outages.append(
                ReplayedOutage(
                    f"incident:{incident.id}",
                    incident.started_at,
                    confirmed_at,
                    incident.ended_at,
                    heard,
                    commonality(incident, heard),
                    wanted,
                )
            )
    return outages


def _facts_of(member: OutageMember) -> MemberFacts:
    is_cut_off = member.node_id is not None
    return MemberFacts(member.village_code, member.technology, member.provider_id, is_cut_off=is_cut_off)


def _run(replays: Iterable[tuple[Channel, Replay]], since: datetime, until: datetime) -> RulePreview:
    items: list[PreviewedNotification] = []
    held: Counter[HoldReason] = Counter()
    dropped: Counter[DropReason] = Counter()
    days: Counter[date] = Counter()
    for channel, replay in replays:
        replay.run(since, until)
        held += replay.held
        dropped += replay.dropped
        days.update(to_wita(message.at).date() for message in replay.messages)
        items += [_item(channel, message) for message in replay.messages[:LISTED]]
    items.sort(key=lambda item: item.at)
    return RulePreview(
        **{"from": since},
        to=until,
        notifications=sum(days.values()),
        items=items[:LISTED],
        days=[PreviewedDay(day=day, notifications=number) for day, number in sorted(days.items())],
        held=dict(held),
        not_sent=dict(dropped),
    )


def _item(channel: Channel, past: PastMessage) -> PreviewedNotification:
    message = past.message
    content = Content(
        kind=message.kind,
        at=past.at,
        office=told_place(channel.region_code),
        provider=channel.provider.slug if channel.provider is not None else None,
        shared_by=_shared_by(past),
        down=_section(past, [*message.down, *message.goes_on]),
        recovered=_section(past, message.recovered),
        came_and_went=_section(past, message.came_and_went),
        recurred=message.recurred,
        flapping=message.flapping,
        held=message.held,
    )
    title = render(content, language=channel.language, form=MessageForm.LONG).title
    sites = content.down.total + content.recovered.total + content.came_and_went.total
    return PreviewedNotification(at=past.at, kind=message.kind, title=title, sites=sites, held=message.held)


def _section(past: PastMessage, subjects: Iterable[Subject]) -> Section:
    return section_of([member for subject in subjects for member in past.outages[subject].sites(past.at)])


def _shared_by(past: PastMessage) -> ToldPlace | None:
    """Return the provider or the district of the group; a node's name is not looked up."""
    what, _, which = past.message.group.key.partition(":") if past.message.group is not None else ("", "", "")
    if what == "district":
        return told_place(which)
    of_provider = (member for outage in past.outages.values() for member in outage.members)
    member = next((each for each in of_provider if which.split(":")[0] == str(each.provider_id)), None)
    return ToldPlace(code=which, name=member.provider) if what == "provider" and member is not None else None
