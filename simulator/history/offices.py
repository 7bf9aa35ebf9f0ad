"""What offices did in a simulated past: maintenance, causes, notes. Written through the service's own stores.

Some of it is there to be argued about: windows announced afterwards, outages that a device contests, objections.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from app.access.scope import PROVINCE, Caller
from app.core.clock import WITA, midnight, utc_now
from app.incidents import actions
from app.incidents import store as incidents
from app.incidents.reconcile import reconcile_incidents
from app.incidents.schemas import IncidentPatch
from app.judging import claim_store
from app.judging.claims import Claim
from app.judging.dirty_range import DirtyRange
from app.maintenance import planning
from app.maintenance.schemas import WindowIn
from app.registry import regions
from app.registry.models import Cause
from simulator.seeded_random import key, mix, share

HANDLED, LATE, OBJECTIONS, CONTESTED = 200, 5, 8, 3  # at most
LONG_S = 300
EVENING_HOURS, EVENING_LENGTH = range(17, 21), timedelta(hours=1)  # WITA: a power cut begins
CONTESTED_LENGTH, EDGE = timedelta(minutes=40), timedelta(minutes=10)
CAUSES = ((Cause.LINK, 0.6), (Cause.DEVICE, 0.75), (Cause.UNPLUGGED, 0.9), (Cause.WEATHER, 1.0))  # cumulative
ADDRESS = "203.0.113.7"  # that the devices' claims come from
PROVINCIAL = Caller(None, "Diskominfo Kalimantan Timur", Role.PROVINCE_ADMIN, PROVINCE)

OUTAGES = text("""
    SELECT i.id, i.kind = 'shared', m.site_id, s.code, s.village_code, s.probe = 'push', p.slug, p.name, m.started_at,
        m.ended_at
    FROM incident i JOIN incident_site m ON m.incident_id = i.id AND m.withdrawn_at IS NULL
    JOIN site s ON s.id = m.site_id JOIN provider p ON p.id = s.provider_id
    WHERE i.status = 'resolved' AND EXISTS (SELECT FROM site_contract c WHERE c.site_id = s.id) AND i.started_at >= :low
        AND m.ended_at >= m.started_at + make_interval(secs => :long_s)
    ORDER BY i.started_at, s.code
""")
# As if it had been recorded within a day and a half of each outage's end.
BACKDATE_ACTIONS = (
    "UPDATE outage_cause SET recorded_at = least(ended_at + make_interval(hours => 1 + id % 30), recorded_at)",
    """UPDATE incident_event e SET at = least(i.ended_at + make_interval(hours => 1 + i.id % 30), e.at)
        FROM incident i WHERE i.id = e.incident_id AND e.kind = 'changed'""",
)
BACKDATE_WINDOW = text(
    "UPDATE maintenance_window SET created_at = :at, announced_at = :at, updated_at = :at WHERE id = :id"
)


@dataclass(frozen=True, slots=True)
class PastOutage:
    """An outage of a site under contract, with its incident."""

    incident_id: int
    shared: bool
    site_id: int
    code: str
    village_code: str
    pushes: bool
    provider: str
    provider_name: str
    started_at: datetime
    ended_at: datetime

    def draw(self, seed: int, purpose: str) -> float:
        """Return a number in [0, 1) that belongs to this outage and purpose alone."""
        return share(mix(key(seed, f"{purpose} {self.code} {self.started_at:%Y-%m-%d}")))

    @property
    def length(self) -> timedelta:
        return self.ended_at - self.started_at

    @property
    def in_the_evening(self) -> bool:
        return self.started_at.astimezone(WITA).hour in EVENING_HOURS and self.length >= EVENING_LENGTH

    @property
    def office(self) -> Caller:
        """Return the office that deals with it: the province, of what several sites share."""
        district = self.village_code[:5]
        if self.shared:
            return PROVINCIAL
        return Caller(None, f"Diskominfo {regions.names()[district]}", Role.DISTRICT_OPERATOR, district)


async def write_actions(session: AsyncSession, *, seed: int, month: date) -> list[PastOutage]:
    """Write what offices did about outages since `month` began; return those whose cause becomes known late."""
    rows = await session.execute(OUTAGES, {"low": midnight(month), "long_s": LONG_S})
    outages = [PastOutage(*row) for row in rows]
    explained = _explained(seed, outages)
    late = _late(explained, month)
    for outage, cause in explained.items():
        if outage not in late:
            await _set_cause(session, outage, cause)
    unexplained = [outage for outage in outages if outage not in explained and not outage.shared]
    unexplained.sort(key=lambda outage: (outage.provider != "telkom-wms", -outage.length, outage.code))
    await _contest(session, [outage for outage in unexplained if outage.pushes and outage.length >= CONTESTED_LENGTH])
    await _plan_windows(session, month, [outage for outage in unexplained if outage.provider == "indihome"])
    for outage in unexplained[:OBJECTIONS]:
        await _object(session, outage)
    for statement in BACKDATE_ACTIONS:
        await session.execute(text(statement))
    return late


async def write_late_causes(session: AsyncSession, late: Sequence[PastOutage]) -> None:
    """Set the causes that become known when the month may be closed: what is closed is corrected beside it."""
    for outage in late:
        await _set_cause(session, outage, Cause.POWER)


def _explained(seed: int, outages: Sequence[PastOutage]) -> dict[PastOutage, Cause]:
    """Return the cause of those that somebody looked into, at most half; an incident is known by its first outage."""
    first = {outage.incident_id: outage for outage in reversed(outages)}
    by_chance = sorted(first.values(), key=lambda outage: outage.draw(seed, "looked into"))
    return {
        outage: _cause(outage, outage.draw(seed, "cause")) for outage in by_chance[: min(HANDLED, len(by_chance) // 2)]
    }


def _late(explained: Mapping[PastOutage, Cause], month: date) -> list[PastOutage]:
    """Return the longest power cuts of the month."""
    of_month = [
        outage
        for outage, cause in explained.items()
        if cause is Cause.POWER and outage.started_at.astimezone(WITA).date().replace(day=1) == month
    ]
    return sorted(of_month, key=lambda outage: -outage.length)[:LATE]


def _cause(outage: PastOutage, chance: float) -> Cause:
    if outage.shared:
        return Cause.PROVIDER
    if outage.in_the_evening:
        return Cause.POWER
    return next(cause for cause, upto in CAUSES if chance < upto)


async def _set_cause(session: AsyncSession, outage: PastOutage, cause: Cause) -> None:
    prefix = "PLN" if cause is Cause.POWER else outage.provider[:3].upper()
    patch = IncidentPatch(cause=cause, ticket_no=f"{prefix}-{outage.incident_id:05}")
    await actions.patch_incident(session, outage.incident_id, patch, caller=outage.office, if_match=None)


async def _contest(session: AsyncSession, outages: Sequence[PastOutage]) -> None:
    """Let the devices of a few sites say afterwards that they were well, but for the edges of the outage."""
    chosen = {outage.site_id: outage for outage in reversed(outages)}.values()
    contested = list(chosen)[-CONTESTED:]
    claims = [
        Claim(outage.site_id, outage.started_at + EDGE, outage.ended_at - EDGE, outage.ended_at, ADDRESS, "demo")
        for outage in contested
    ]
    await claim_store.record(session, claims, [])
    dirty = [DirtyRange(outage.site_id, outage.started_at, outage.ended_at) for outage in contested]
    await reconcile_incidents(session, dirty, now=utc_now())


async def _plan_windows(session: AsyncSession, month: date, outages: Sequence[PastOutage]) -> None:
    """Plan windows: one announced before, one announced after the longest of these outages, and a coming one."""
    night = midnight(month + timedelta(days=7))
    await _plan_window(
        session,
        night - timedelta(days=3),
        night,
        night + timedelta(hours=4),
        region="64.02",
        provider="telkom-wms",
        title="Perawatan jaringan inti",
        reason="Surat penyedia, tiga hari sebelumnya",
    )
    for outage in outages[:1]:
        await _plan_window(
            session,
            outage.ended_at + timedelta(days=1),
            outage.started_at,
            outage.ended_at,
            site=outage.code,
            title="Penggantian perangkat, diberitahukan setelah selesai",
            reason="Surat penyedia diterima sehari sesudahnya",
        )
    coming = midnight(utc_now().astimezone(WITA).date() + timedelta(days=3))
    await _plan_window(
        session,
        utc_now(),
        coming + timedelta(hours=1),
        coming + timedelta(hours=3),
        provider="telkomsat-starlink",
        title="Pembaruan perangkat lunak terminal",
    )


async def _plan_window(
    session: AsyncSession, announced_at: datetime, started_at: datetime, ended_at: datetime, **fields: str
) -> None:
    body = WindowIn.model_validate({"started_at": started_at.isoformat(), "ended_at": ended_at.isoformat(), **fields})
    row = await planning.create_window(session, body, caller=PROVINCIAL)
    await session.execute(BACKDATE_WINDOW, {"id": row.window.id, "at": announced_at})


async def _object(session: AsyncSession, outage: PastOutage) -> None:
    note = (
        f"{outage.provider_name} keberatan atas gangguan ini: menurut catatannya perangkat di lokasi dicabut. "
        "Bukti diminta; sampai diterima, gangguan tetap dihitung."
    )
    await incidents.add_note(session, outage.incident_id, note, outage.provider, caller=outage.office)
