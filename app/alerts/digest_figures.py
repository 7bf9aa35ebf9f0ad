"""What a digest tells of a span of days: outages and incidents, states now, uptime, and the digest that was skipped."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE
from app.alerts.affected_members import Audience, OutageMember, load_members
from app.alerts.message_facts import is_simulated
from app.alerts.models import Channel, Notification, NotificationKind
from app.availability.models import ALL_PROVIDERS, ALL_TECHNOLOGIES, RegionAvailabilityDay
from app.availability.percent import percent
from app.core.clock import WITA, midnight, to_wita
from app.core.freshness import hold_sql
from app.incidents.models import Incident, IncidentStatus

NAMESPACE = UUID("0b6a4b52-93d7-4a37-9a0e-7d1f0c1f6e34")
BEGINS = time(7, 30)
PROVIDERS_NAMED = 3

STATES = text(f"""
    SELECT CASE WHEN st.evidence_at + {hold_sql("st.valid_s")} >= :now THEN st.state ELSE 'unknown' END AS state,
        count(*) AS sites
    FROM site s JOIN site_status st ON st.site_id = s.id
    WHERE s.kind = 'access_point' AND s.lifecycle = 'active'
        AND (cast(:region AS text) = '{PROVINCE}' OR s.village_code LIKE cast(:region AS text) || '.%')
        AND (cast(:provider AS int) IS NULL OR s.provider_id = cast(:provider AS int))
    GROUP BY 1
""")


@dataclass(frozen=True, slots=True)
class Span:
    """Whole WITA days, told on the day after them."""

    kind: NotificationKind
    day: date  # on which it is told
    days: int

    @property
    def start(self) -> datetime:
        return midnight(self.day - timedelta(days=self.days))

    @property
    def end(self) -> datetime:
        return midnight(self.day)

    @property
    def begins_at(self) -> datetime:
        return datetime.combine(self.day, BEGINS, WITA)

    def key(self, channel_id: int, day: date | None = None) -> UUID:
        return uuid5(NAMESPACE, f"{self.kind.value}:{channel_id}:{day or self.day}")

    @property
    def previous_day(self) -> date:
        return self.day - timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class DigestReader:
    """What all channels' digests of a span are made of."""

    session: AsyncSession
    span: Span
    now: datetime
    incidents: Mapping[int, Incident]  # that lasted at some time since the span began
    members: Mapping[int, Sequence[OutageMember]]
    is_simulated: bool

    def outages(self, audience: Audience) -> list[OutageMember]:
        members = (member for of_incident in self.members.values() for member in of_incident)
        heard = [each for each in members if each.node_id is None and audience.hears_of(each)]
        return sorted(heard, key=lambda each: each.started_at)

    async def figures(self, channel: Channel, outages: Sequence[OutageMember]) -> dict[str, Any]:
        span = self.span
        heard = {member.incident_id for member in outages}
        incidents = [self.incidents[incident_id] for incident_id in heard]
        parameters = {"now": self.now, "region": channel.region_code, "provider": channel.provider_id}
        rows = await self.session.execute(STATES, parameters)
        states: Counter[str] = Counter({row.state: row.sites for row in rows})
        return {
            "from": span.start.isoformat(),
            "to": span.end.isoformat(),
            "sites": states.total(),
            "normal": states["up"],
            "degraded": states["degraded"],
            "unreachable": states["unreachable"],
            "unknown": states["unknown"],
            "opened": sum(span.start <= incident.started_at < span.end for incident in incidents),
            "resolved": sum(
                incident.ended_at is not None and span.start <= incident.ended_at < span.end for incident in incidents
            ),
            "unacknowledged": sum(incident.status is IncidentStatus.OPEN for incident in incidents),
            "providers": self._providers(outages),
            **await self._uptime(channel),
            **await self._skipped(channel),
        }

    def _providers(self, outages: Iterable[OutageMember]) -> list[dict[str, Any]]:
        """Return those with most outages that began within the span."""
        began = (member for member in outages if self.span.start <= member.started_at < self.span.end)
        counts = Counter(member.provider for member in began)
        return [{"name": name, "outages": count} for name, count in counts.most_common(PROVIDERS_NAMED)]

    async def _uptime(self, channel: Channel) -> dict[str, float | None]:
        """Return the percentages of the counted days; None while none is counted, or nothing was seen."""
        row = RegionAvailabilityDay
        good, bad = func.sum(row.up + row.degraded), func.sum(row.down + row.unreachable)
        first, last = self.span.previous_day, self.span.day - timedelta(days=1)
        result = await self.session.execute(
            select(good, bad, func.sum(row.unknown))
            .where(row.region_code == channel.region_code, row.technology == ALL_TECHNOLOGIES)
            .where(row.provider_id == (channel.provider_id or ALL_PROVIDERS), row.day.between(first, last))
        )
        up, down, unknown = (int(value or 0) for value in result.one())
        service = up + down + unknown
        return {
            "uptime_pct": percent(up, up + down),
            "coverage_pct": percent(up + down, service),
            "worst_pct": percent(up, service),
            "best_pct": percent(up + unknown, service),
        }

    async def _skipped(self, channel: Channel) -> dict[str, str]:
        """Return the day of the digest before, if that was due and never sent."""
        before = self.span.previous_day
        if channel.created_at > datetime.combine(before, BEGINS, WITA):
            return {}
        earlier = select(Notification.created_at).where(
            Notification.channel_id == channel.id,
            Notification.kind == self.span.kind,
        )
        last = await self.session.scalar(earlier.order_by(Notification.created_at.desc()).limit(1))
        return {} if last is None or to_wita(last).date() >= before else {"skipped_on": before.isoformat()}


async def read_digests(session: AsyncSession, span: Span, now: datetime) -> DigestReader:
    query = select(Incident).where(
        Incident.status != IncidentStatus.WITHDRAWN, or_(Incident.ended_at.is_(None), Incident.ended_at >= span.start)
    )
    incidents = {incident.id: incident for incident in await session.scalars(query)}
    members = await load_members(session, incidents.keys())
    return DigestReader(session, span, now, incidents, members, await is_simulated(session))
