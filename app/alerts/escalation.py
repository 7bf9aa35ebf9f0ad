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

from app.access.scope import covers
from app.alerts.matching import MemberFacts, RuleFacts, RulesByRegion, earliest
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
from app.incidents.models import Incident, IncidentKind, IncidentSite, IncidentStatus
from app.postgres.engine import among

REMIND_AFTER = timedelta(hours=1)  # what was announced just before is no news at the hour of reminders


@dataclass(frozen=True, slots=True)
class Lasting:
    """An outage that lasts, that nobody acknowledged, and what a channel was announced of it last."""

    incident_id: int
    incident_kind: IncidentKind
    started_at: datetime
    channel_id: int
    kind: AnnouncementKind
    version: int
    created_at: datetime
    hold_reason: HoldReason | None
    told_at: datetime | None  # None: it is held or waits

    @property
    def counts_from(self) -> datetime | None:
        """Return since when it may be acknowledged: a mute does not keep the office above from hearing of it."""
        return self.created_at if self.told_at is None and self.hold_reason is HoldReason.MUTED else self.told_at


@dataclass(frozen=True, slots=True)
class LastingOutages:
    now: datetime
    offices: Mapping[int, str]  # by channel
    rules: RulesByRegion
    lasting: Sequence[Lasting]
    members: Mapping[int, Sequence[MemberFacts]]  # by incident

    def rows(self) -> Iterator[dict[str, Any]]:
        by_incident: dict[int, dict[int, Lasting]] = defaultdict(dict)
        for each in self.lasting:
            by_incident[each.incident_id][each.channel_id] = each
        for incident_id, told in by_incident.items():
            down = [member for member in self.members.get(incident_id, ()) if member.open]
            covering = sorted(self.rules.covering(down), key=lambda rule: (rule.rule_id, rule.channel_id))
            yield from self._reminders(told, covering, down)
            yield from self._escalations(told, covering, down)

    def _reminders(
        self, told: Mapping[int, Lasting], covering: Sequence[RuleFacts], down: Sequence[MemberFacts]
    ) -> Iterator[dict[str, Any]]:
        for rule in covering:
            each = told.get(rule.channel_id)
            if rule.remind_at is None or each is None or each.told_at is None or not _asks(rule, each, down):
                continue
            moment = last_moment(rule.remind_at, self.now)
            if each.told_at <= moment - REMIND_AFTER:
                day = moment.astimezone(WITA).date().toordinal()
                yield self._row(each, AnnouncementKind.REMINDER, day, rule, None)

    def _escalations(
        self, told: Mapping[int, Lasting], covering: Sequence[RuleFacts], down: Sequence[MemberFacts]
    ) -> Iterator[dict[str, Any]]:
        """Yield one for each channel above and reason, however many rules, offices and channels told of it."""
        onsets = [each for each in told.values() if each.kind is not AnnouncementKind.ESCALATED]
        first = min((onset.version for onset in onsets), default=0)
        asking = _asking_by_office(covering)
        for rule in covering:
            each = told.get(rule.channel_id)
            if rule.escalate_to is None or each is None or each not in onsets:
                continue
            if not rule.wants(each.incident_kind, down):
                continue
            for facts, also_told in self._reasons(rule, each, down):
                for above in self._channels_above(asking.get(rule.escalate_to, {}), each):
                    if also_told or above.channel_id not in told:
                        told_from = facts | {"from": rule.region_code}
                        yield self._row(each, AnnouncementKind.ESCALATED, 2 * first + also_told, above, told_from)

    def _reasons(
        self, rule: RuleFacts, onset: Lasting, down: Sequence[MemberFacts]
    ) -> Iterator[tuple[dict[str, Any], bool]]:
        """Yield why to escalate, and whether also those hear it who were told of the outage already."""
        if onset.counts_from is None:
            return
        if rule.escalate_after is not None and self.now >= onset.counts_from + rule.escalate_after:
            yield {"minutes": rule.escalate_after // timedelta(minutes=1)}, True
        elif rule.escalate_beyond_sites is not None:
            sites_down = sum(not each.is_cut_off or covers(rule.region_code, each.village_code) for each in down)
            if sites_down > rule.escalate_beyond_sites:
                yield {"sites": sites_down, "beyond_sites": rule.escalate_beyond_sites}, False

    def _channels_above(self, asking: Mapping[int, list[RuleFacts]], onset: Lasting) -> Iterator[RuleFacts]:
        """Yield, for each channel of the office above that asks for escalations of such sites, the rule that does."""
        due_at = self.now + group_wait()
        return (earliest(rules, onset.started_at, due_at) for rules in asking.values())

    def _row(
        self, of: Lasting, kind: AnnouncementKind, version: int, rule: RuleFacts, facts: dict[str, Any] | None
    ) -> dict[str, Any]:
        return {
            "subject": f"incident:{of.incident_id}",
            "incident_id": of.incident_id,
            "kind": kind,
            "region_code": self.offices[rule.channel_id],
            "channel_id": rule.channel_id,
            "version": version,
            "rule_id": rule.rule_id,
            "created_at": self.now,
            "due_at": self.now + group_wait(),
            "hold_reason": HoldReason.GROUPING,
            "facts": facts,
        }


def _asking_by_office(covering: Sequence[RuleFacts]) -> Mapping[str, Mapping[int, list[RuleFacts]]]:
    """Return the rules that ask for escalations, by office and channel."""
    asking: dict[str, dict[int, list[RuleFacts]]] = defaultdict(lambda: defaultdict(list))
    for rule in covering:
        if AlertKind.ESCALATED in rule.kinds:
            asking[rule.region_code][rule.channel_id].append(rule)
    return asking


def _asks(rule: RuleFacts, told: Lasting, down: Sequence[MemberFacts]) -> bool:
    """Whether the rule asks for what the channel was told of it."""
    if told.kind is AnnouncementKind.ESCALATED:
        return AlertKind.ESCALATED in rule.kinds
    return rule.wants(told.incident_kind, down)


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
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}  # the first of those that many rules ask for
    for row in LastingOutages(now, offices, RulesByRegion(rules), lasting, members).rows():
        rows.setdefault(_key(row), row)
    announced = await _list_announced(session, {row["incident_id"] for row in rows.values()})
    await insert_announcements(session, [row for key, row in rows.items() if key not in announced])


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
        select(row.incident_id, Incident.kind, Incident.started_at, row.channel_id)
        .add_columns(row.kind, row.version, row.created_at, row.hold_reason, Notification.created_at)
        .ext(distinct_on(row.incident_id, row.channel_id))
        .join(Incident, Incident.id == row.incident_id)
        .outerjoin(Notification, Notification.id == row.notification_id)
        .where(Incident.status == IncidentStatus.OPEN, lasts.exists())
        .where(row.kind.in_(SETTLING) | (row.kind.in_(BEGINNING) & ~dropped))
        .order_by(row.incident_id, row.channel_id, row.id.desc())
    )
    return [lasting for each in result if (lasting := Lasting(*each)).kind not in SETTLING]
