"""What a notification tells, before any wording: stored with it, and the body of a webhook."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from app.alerts.models import AnnouncementKind, NotificationKind
from app.incidents.models import IncidentKind, IncidentStatus
from app.profiles import Technology
from app.registry.models import Cause

NAMED_SITES = 10  # a notification names as many, and links the rest


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class ToldPlace(_Told):
    """A region, or the node or provider that sites share."""

    code: str
    name: str


class ToldSite(_Told):
    """One outage of one site of the office's, an access point cut off by a node's, or what a condition is about."""

    code: str
    name: str
    village: str
    subdistrict: str
    district: str
    technology: Technology
    provider: str  # its name
    service_no: str | None
    incident_id: int | None
    started_at: datetime | None
    last_ok_at: datetime | None
    ended_at: datetime | None
    is_cut_off: bool = False  # by the outage of a node that it hangs on, whose times these are
    lost_readings: dict[str, int] = {}  # by source: central, agent, silence


class ToldIncident(_Told):
    id: int
    kind: IncidentKind
    status: IncidentStatus
    started_at: datetime
    confirmed_at: datetime | None
    ended_at: datetime | None
    sites: int  # of the office's (or the provider's), so many are or were in it
    sites_down: int  # and so many still are
    cause: Cause | None
    cause_hint: Cause | None
    acknowledged_by: str | None
    ticket_no: str | None


class ToldCondition(_Told):
    """What is told of a subject that is no incident: `facts` by kind, as `conditions` has them."""

    kind: AnnouncementKind
    subject: str
    since: datetime
    ended_at: datetime | None
    facts: dict[str, Any]
    site: ToldSite | None = None


class Section(_Told):
    """Sites with something in common, the first NAMED_SITES of `total`."""

    sites: list[ToldSite] = []
    total: int = 0
    cut_off: int = 0  # of them, access points that hang on nodes that are or were down
    node: ToldPlace | None = None  # the node, if all are of its outage


class Content(_Told):
    """One notification. Every time is UTC; sites are those within the office's region (and the provider's own)."""

    kind: NotificationKind
    at: datetime
    office: ToldPlace
    provider: str | None = None  # the slug of the provider that the channel tells
    shared_by: ToldPlace | None = None  # the node, provider or district that the group's sites share
    down: Section = Section()  # still
    recovered: Section = Section()  # since they were announced
    came_and_went: Section = Section()  # while the announcement was held
    withdrawn: Section = Section()  # announced, but later evidence shows no outage
    incidents: list[ToldIncident] = []  # the first NAMED_SITES
    incidents_total: int = 0
    conditions: list[ToldCondition] = []
    conditions_total: int = 0
    escalated_after_min: int | None = None  # nobody acknowledged it for so long
    escalated_from: list[ToldPlace] = []  # the offices that did not
    is_reminder: bool = False
    recurred: bool = False  # within REOPEN_WITHIN of the recovery
    flapping: bool = False
    maintenance_overrun: bool = False
    held: str | None = None  # HoldReason: why a digest of what was held comes only now
    figures: dict[str, Any] = {}  # of a daily or weekly digest
    simulated: bool = False
