"""Which rules want to hear of which outages, and when the earliest of them does. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.access.scope import covers
from app.alerts.models import AlertKind
from app.core.daily_window import DailyWindow
from app.incidents.models import IncidentKind
from app.profiles import Technology


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """What a site was when its outage began, or that of the node that it hangs on."""

    village_code: str
    technology: Technology
    provider_id: int
    open: bool = True  # it is still down
    is_cut_off: bool = False  # by the outage of a node: it has none of its own


@dataclass(frozen=True, slots=True, eq=False)  # by identity: each is loaded once
class RuleFacts:
    """A rule and one of its channels."""

    rule_id: int
    channel_id: int
    region_code: str  # the office's
    channel_provider_id: int | None
    kinds: frozenset[str]
    within: str
    technologies: frozenset[str]
    provider_ids: frozenset[int]
    least: timedelta = timedelta()
    degraded_hours: int = 0
    quiet: DailyWindow | None = None
    muted_until: datetime | None = None
    keeps_power_hours: bool = False
    escalate_after: timedelta | None = None
    escalate_beyond_sites: int | None = None
    escalate_to: str | None = None
    remind_at: int | None = None

    def wants(self, kind: IncidentKind, members: Iterable[MemberFacts]) -> bool:
        """Whether it asks for such outages: a node's is shared by the access points that it cuts off."""
        if AlertKind.DOWN in self.kinds:
            return True
        is_shared = kind is IncidentKind.SHARED or any(each.is_cut_off and self.hears_of(each) for each in members)
        return AlertKind.SHARED in self.kinds and is_shared

    def hears_of(self, member: MemberFacts) -> bool:
        """Whether it is one of the office's, and of the provider's that the channel tells."""
        return covers(self.region_code, member.village_code) and self.channel_provider_id in {None, member.provider_id}

    def covers(self, member: MemberFacts) -> bool:
        return (
            self.hears_of(member)
            and covers(self.within, member.village_code)
            and (not self.technologies or member.technology in self.technologies)
            and (not self.provider_ids or member.provider_id in self.provider_ids)
        )

    def due_at(self, started_at: datetime, at_earliest: datetime) -> datetime:
        return max(at_earliest, started_at + self.least)

    def sent_at(self, started_at: datetime, at_earliest: datetime) -> datetime:
        """Return when it has an outage told that lasts until then, as far as quiet hours and muting go."""
        moment = self.due_at(started_at, at_earliest)
        moment = max(moment, self.muted_until or moment)
        return (self.quiet and self.quiet.end_after(moment)) or moment


class RulesByRegion:
    """Rules found by the regions that a village lies in: an outage meets its own offices' rules alone."""

    def __init__(self, rules: Iterable[RuleFacts]) -> None:
        self._rules: dict[str, list[RuleFacts]] = {}
        for rule in rules:
            self._rules.setdefault(rule.within, []).append(rule)

    def covering(self, members: Collection[MemberFacts]) -> set[RuleFacts]:
        """Return the rules that cover at least one of the members."""
        return {
            rule
            for member in set(members)
            for code in regions_of(member.village_code)
            for rule in self._rules.get(code, ())
            if rule.covers(member)
        }


def regions_of(village_code: str) -> list[str]:
    """Return the village's code and those of the regions that it lies in, the province's first."""
    parts = village_code.split(".")
    return [".".join(parts[: depth + 1]) for depth in range(len(parts))]


def earliest(rules: Sequence[RuleFacts], started_at: datetime, at_earliest: datetime) -> RuleFacts:
    """Return the rule that has its channel told first; of equals one that does not wait for power."""
    return min(rules, key=lambda rule: (rule.sent_at(started_at, at_earliest), rule.keeps_power_hours, rule.rule_id))
