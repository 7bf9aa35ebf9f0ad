"""A condition that holds of a site, a contract or this service, and which rules it concerns. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.access.scope import covers
from app.alerts.matching import MemberFacts, RuleFacts
from app.alerts.models import AnnouncementKind

CONDITION_KINDS = frozenset(
    {
        AnnouncementKind.DEGRADED,
        AnnouncementKind.NEVER_SEEN,
        AnnouncementKind.COVERAGE_LOST,
        AnnouncementKind.BUDGET_SPENT,
        AnnouncementKind.CONTRACT_AT_RISK,
        AnnouncementKind.SERVICE_UNWELL,
    }
)


@dataclass(frozen=True, slots=True)
class Condition:
    """`members`: the sites that it is about; none: it is about this service, and for offices that cover `region`.

    `facts` are what a notification tells of it, by kind as the functions that find them say.
    """

    kind: AnnouncementKind
    subject: str
    since: datetime
    facts: dict[str, Any]
    members: frozenset[MemberFacts] = frozenset()
    region: str | None = None  # None: of every office
    but_channel: int | None = None  # which cannot tell it: it is the one that fails

    @property
    def version(self) -> int:
        return int(self.since.timestamp())

    def key(self, channel_id: int) -> tuple[AnnouncementKind, str, int]:
        return self.kind, self.subject, channel_id

    def concerns(self, rule: RuleFacts, now: datetime) -> bool:
        """Whether a rule that asks for its kind covers it, and it has lasted for as long as the rule says."""
        if self.kind is AnnouncementKind.DEGRADED and now - self.since < timedelta(hours=rule.degraded_hours):
            return False
        if self.members:
            return any(rule.covers(member) for member in self.members)
        of_office = self.region is None or covers(rule.region_code, self.region)
        return of_office and rule.channel_provider_id is None and rule.channel_id != self.but_channel


@dataclass(frozen=True, slots=True)
class Finding:
    """What holds, and how each of the known subjects that it does not hold of any more has ended."""

    conditions: list[Condition]
    ended: Mapping[str, AnnouncementKind] = field(default_factory=dict)  # by subject: recovered or withdrawn
