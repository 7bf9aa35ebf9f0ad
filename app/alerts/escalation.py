"""Tell the office above what nobody acknowledged, or what is too large for one, and remind each day of what lasts.

An acknowledgement stops both. What is announced is keyed by the onset or by the day, never by the clock: one that is
set back or forward neither doubles nor loses an announcement.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.matching import MemberFacts, RuleFacts, earliest
from app.alerts.member_facts import load_members
from app.alerts.models import (
    AlertKind,
    Announcement,
    AnnouncementKind,
    AnnouncementState,
    DropReason,
    HoldReason,
    Notification,
)
from app.alerts.outbox import group_wait, insert_announcements
from app.alerts.told import BEGINNING, SETTLING
from app.core.clock import WITA, midnight
from app.incidents.models import Incident, IncidentSite, IncidentStatus
from app.postgres.engine import among

REMIND_AFTER = timedelta(hours=1)  # what was announced just before is no news at the hour of reminders


@dataclass(frozen=True, slots=True)
class Lasting:
    """An outage that lasts, that nobody acknowledged, and what a channel was announced of it last."""

    incident_id: int
    started_at: datetime
    region_code: str  # of the office
    channel_id: int
    kind: AnnouncementKind
    version: int
    rule_id: int | None
    told_at: datetime | None  # None: it is held or waits


@dataclass(frozen=True, slots=True)
class LastingOutages:
    now: datetime
    offices: Mapping[int, str]  # by channel
    rules: Sequence[RuleFacts]
    lasting: Sequence[Lasting]
    members: Mapping[int, Sequence[MemberFacts]]  # by incident

    def reminders(self) -> Iterator[dict[str, Any]]:
        rules = {(rule.rule_id, rule.channel_id): rule for rule in self.rules if rule.remind_at is not None}
        for each in self.lasting:
            rule = rules.get((each.rule_id or 0, each.channel_id))
            if rule is None or rule.remind_at is None or each.told_at is None:
                continue
            moment = last_moment(rule.remind_at, self.now)
            if each.told_at <= moment - REMIND_AFTER:
                day = moment.astimezone(WITA).date().toordinal()
                yield self._row(each, AnnouncementKind.REMINDER, each.channel_id, day, rule, None)

    def escalations(self) -> Iterator[dict[str, Any]]:
        """Yield one for each incident, channel above and reason, however many offices and channels were told of it."""
        told = {(each.incident_id, each.channel_id) for each in self.lasting}
        rules = {rule.rule_id: rule for rule in self.rules if rule.escalate_to is not None}
        of_incident: dict[int, list[Lasting]] = defaultdict(list)
        for each in self.lasting:
            if each.kind is not AnnouncementKind.ESCALATED and each.rule_id in rules:
                of_incident[each.incident_id].append(each)
        for incident_id, onsets in of_incident.items():
            version = min(onset.version for onset in onsets)
            for onset in onsets:
                rule = rules[onset.rule_id or 0]
                down = [member for member in self.members.get(incident_id, ()) if member.open]
                for facts, also_told in self._reasons(rule, onset, down):
                    for channel, above in self._channels_above(rule, onset, down).items():
                        if also_told or (incident_id, channel) not in told:
                            key = 2 * version + also_told
                            told_from = facts | {"from": onset.region_code}
                            yield self._row(onset, AnnouncementKind.ESCALATED, channel, key, above, told_from)

    def _reasons(
        self, rule: RuleFacts, onset: Lasting, down: Sequence[MemberFacts]
    ) -> Iterator[tuple[dict[str, Any], bool]]:
        """Yield why to escalate, and whether also those hear it who were told of the outage already."""
        if onset.told_at is None:
            return
        if rule.escalate_after is not None and self.now >= onset.told_at + rule.escalate_after:
            yield {"minutes": rule.escalate_after // timedelta(minutes=1)}, True
        elif rule.escalate_beyond_sites is not None and len(down) > rule.escalate_beyond_sites:
            yield {"sites": len(down), "beyond_sites": rule.escalate_beyond_sites}, False

    def _channels_above(self, rule: RuleFacts, onset: Lasting, down: Sequence[MemberFacts]) -> dict[int, RuleFacts]:
        """Return the channels of the office above that ask for escalations of such sites, by the rule that does."""
        matching: dict[int, list[RuleFacts]] = defaultdict(list)
        for each in self.rules:
            asks = each.region_code == rule.escalate_to and AlertKind.ESCALATED in each.kinds
            if asks and any(each.covers(member) for member in down):
                matching[each.channel_id].append(each)
        return {
            channel: earliest(rules, onset.started_at, self.now + group_wait()) for channel, rules in matching.items()
        }

    def _row(
        self,
        of: Lasting,
        kind: AnnouncementKind,
        channel: int,
        version: int,
        rule: RuleFacts,
        facts: dict[str, Any] | None,
    ) -> dict[str, Any]:
        return {
            "subject": f"incident:{of.incident_id}",
            "incident_id": of.incident_id,
            "kind": kind,
            "region_code": self.offices[channel],
            "channel_id": channel,
            "version": version,
            "rule_id": rule.rule_id,
            "created_at": self.now,
            "due_at": self.now + group_wait(),
            "hold_reason": HoldReason.GROUPING,
            "facts": facts,
        }


async def announce_lasting(
    session: AsyncSession, offices: Mapping[int, str], rules: Sequence[RuleFacts], *, now: datetime
) -> None:
    """Announce what is to be escalated and what is to be reminded of, in the caller's transaction. Idempotent.

    `facts` of an escalation: from (the code of the office), minutes for which nobody acknowledged it, or else sites,
    which are more than beyond_sites. Its version is none of the incident's, that of a reminder is a day's number.
    """
    if not any(rule.escalate_to is not None or rule.remind_at is not None for rule in rules):
        return
    lasting = [each for each in await _list_lasting(session) if each.channel_id in offices]
    members = await load_members(session, {each.incident_id for each in lasting})
    outages = LastingOutages(now, offices, rules, lasting, members)
    rows = [*outages.reminders(), *outages.escalations()]
    announced = await _list_announced(session, {row["incident_id"] for row in rows})
    await insert_announcements(session, [row for row in rows if _key(row) not in announced])


def last_moment(minute_of_day: int, now: datetime) -> datetime:
    """Return when it was last this minute of the day in WITA."""
    today = midnight(now.astimezone(WITA).date()) + timedelta(minutes=minute_of_day)
    return today if today <= now else today - timedelta(days=1)


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["incident_id"], row["kind"], row["channel_id"], row["version"]


async def _list_announced(session: AsyncSession, incident_ids: Collection[int]) -> set[tuple[Any, ...]]:
    if not incident_ids:
        return set()
    row = Announcement
    kinds = (AnnouncementKind.ESCALATED, AnnouncementKind.REMINDER)
    query = select(row.incident_id, row.kind, row.channel_id, row.version).where(row.kind.in_(kinds))
    return {tuple(each) for each in await session.execute(query.where(among(row.incident_id, incident_ids)))}


async def _list_lasting(session: AsyncSession) -> list[Lasting]:
    """Return what was announced last of each open incident through each channel, unless that it is over."""
    row, down = Announcement, IncidentSite
    dropped = (row.state == AnnouncementState.DROPPED) & (row.drop_reason != DropReason.FLAPPING)
    lasts = select(down.id).where(down.incident_id == Incident.id, down.ended_at.is_(None), down.withdrawn_at.is_(None))
    result = await session.execute(
        select(row.incident_id, Incident.started_at, row.region_code, row.channel_id)
        .add_columns(row.kind, row.version, row.rule_id, Notification.created_at)
        .ext(distinct_on(row.incident_id, row.channel_id))
        .join(Incident, Incident.id == row.incident_id)
        .outerjoin(Notification, Notification.id == row.notification_id)
        .where(Incident.status == IncidentStatus.OPEN, lasts.exists())
        .where(row.kind.in_(SETTLING) | (row.kind.in_(BEGINNING) & ~dropped))
        .order_by(row.incident_id, row.channel_id, row.id.desc())
    )
    return [lasting for each in result if (lasting := Lasting(*each)).kind not in SETTLING]
