"""What one channel has pending and was told, as the gate and `planning` take it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from app.alerts.affected_members import Audience, OutageMember
from app.alerts.gate import SubjectPhase
from app.alerts.models import AlertGroup, AlertRule, Announcement, AnnouncementKind, HoldReason
from app.alerts.plan import GroupState
from app.alerts.planning import DIGESTED
from app.alerts.told import BEGINNING
from app.availability.intervals import TimeRange
from app.availability.maintenance_overlay import Outage
from app.core.clock import from_slot
from app.incidents.models import Incident, IncidentStatus

PHASES = {
    IncidentStatus.OPEN: SubjectPhase.LASTS,
    IncidentStatus.ACKNOWLEDGED: SubjectPhase.LASTS,
    IncidentStatus.RESOLVED: SubjectPhase.OVER,
    IncidentStatus.WITHDRAWN: SubjectPhase.WITHDRAWN,
}


@dataclass(slots=True)
class Pending:
    """A subject's pending announcements, in order, and what the channel was last told of it."""

    rows: list[Announcement] = field(default_factory=list)
    incident: Incident | None = None
    told: Row[Any] | None = None  # name, subject, kind, group_id, incident_id, rule_id, version, facts, told_at

    @property
    def is_told(self) -> bool:
        return self.told is not None and self.told.kind in BEGINNING

    @property
    def rule_id(self) -> int | None:
        """Of the onset, so that the end is held as that was."""
        if self.is_told and self.told is not None:
            return self.told.rule_id  # type: ignore[no-any-return]
        return next((row.rule_id for row in self.rows if row.kind in BEGINNING), self.rows[0].rule_id)

    @property
    def kind(self) -> AnnouncementKind:
        """Of the onset, if that is known."""
        if self.is_told and self.told is not None:
            return self.told.kind  # type: ignore[no-any-return]
        of = (self.rows[0].facts or {}).get("of", self.rows[0].kind)
        return next((row.kind for row in self.rows if row.kind in BEGINNING), AnnouncementKind(of))

    @property
    def facts(self) -> dict[str, Any]:
        """Of the last announcement that has any: of a subject that is no incident."""
        facts: dict[str, Any] = (self.told.facts if self.told is not None else None) or {}
        for row in self.rows:
            facts = facts | (row.facts or {})
        return {key: value for key, value in facts.items() if key != "of"}

    @property
    def held_by(self) -> HoldReason | None:
        reasons = [row.hold_reason for row in self.rows if row.hold_reason is not None]
        return next((reason for reason in reasons if reason in DIGESTED), reasons[0] if reasons else None)

    @property
    def phase(self) -> SubjectPhase:
        if self.incident is not None:
            merged = self.incident.status is IncidentStatus.WITHDRAWN and self.incident.merged_into is not None
            return SubjectPhase.MERGED if merged else PHASES[self.incident.status]
        last = self.rows[-1].kind
        if last is AnnouncementKind.RECOVERED:
            return SubjectPhase.OVER
        return SubjectPhase.WITHDRAWN if last is AnnouncementKind.WITHDRAWN else SubjectPhase.LASTS

    @property
    def started_at(self) -> datetime:
        if self.incident is not None:
            return self.incident.started_at
        if self.is_told and self.told is not None:
            return from_slot(self.told.version)
        return from_slot(next((row.version for row in self.rows if row.kind in BEGINNING), self.rows[0].version))

    @property
    def ended_at(self) -> datetime | None:
        if self.incident is not None:
            return self.incident.ended_at
        return self.rows[-1].created_at if self.phase is not SubjectPhase.LASTS else None


@dataclass(slots=True)
class ChannelBacklog:
    audience: Audience
    groups: dict[int, GroupState] = field(default_factory=dict)
    rows: dict[int, AlertGroup] = field(default_factory=dict)
    pending: dict[str, Pending] = field(default_factory=dict)  # what is looked at now, by subject
    coming: list[Announcement] = field(default_factory=list)
    open: dict[str, Row[Any]] = field(default_factory=dict)  # told, and not settled: subject, group_id, incident_id …
    incidents: dict[int, Incident] = field(default_factory=dict)
    members: dict[int, list[OutageMember]] = field(default_factory=dict)
    maintenance: dict[Outage, list[TimeRange]] = field(default_factory=dict)
    rules: dict[int, AlertRule] = field(default_factory=dict)

    def members_of(self, incident_id: int | None) -> Sequence[OutageMember]:
        return self.members.get(incident_id, ()) if incident_id is not None else ()


def name_of(row: Announcement) -> str:
    """Return what a subject is called here: of one that is no incident, each onset with its end is a subject."""
    if row.incident_id is not None:
        return row.subject
    return f"{row.subject} {(row.facts or {}).get('of', row.kind.value)} {row.version}"


def final_target(state: ChannelBacklog, incident_id: int) -> int:
    """Return the incident that has this one's outages now: itself, unless it was merged."""
    seen: set[int] = set()
    while incident_id not in seen and (incident := state.incidents.get(incident_id)) is not None:
        seen.add(incident_id)
        if incident.status is not IncidentStatus.WITHDRAWN or incident.merged_into is None:
            break
        incident_id = incident.merged_into
    return incident_id
