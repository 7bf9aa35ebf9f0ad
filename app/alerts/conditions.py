"""What is announced beside incidents: conditions of sites, contracts and this service, looked at each minute.

State-based like the outbox: an onset is written where a condition holds that a rule asks for and its channel has not
been told of, and `recovered` (or `withdrawn`: the site is out of service) to whoever was told once it is over. What
neither holds nor is over says nothing: a site that was degraded and is down now has not recovered.

`Announcement.version` is the second since when it holds; of what a month's figures tell, the month's first one.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts import contract_conditions, service_conditions, site_conditions
from app.alerts.condition import CONDITION_KINDS, Condition, Finding
from app.alerts.escalation import announce_lasting
from app.alerts.matching import RuleFacts, earliest
from app.alerts.models import UNSETTLED, Announcement, AnnouncementKind, HoldReason
from app.alerts.outbox import group_wait, insert_announcements
from app.alerts.rule_facts import load_rules
from app.core.clock import midnight, month_of
from app.postgres.engine import among

OF_MONTH = (AnnouncementKind.BUDGET_SPENT, AnnouncementKind.CONTRACT_AT_RISK)
MONTH_EVERY = timedelta(hours=1)  # what a month's figures tell, which cost more than all others together

FINDERS = {
    AnnouncementKind.DEGRADED: site_conditions.find_degraded,
    AnnouncementKind.NEVER_SEEN: site_conditions.find_never_seen,
    AnnouncementKind.COVERAGE_LOST: site_conditions.find_coverage_lost,
    AnnouncementKind.BUDGET_SPENT: site_conditions.find_budget_spent,
    AnnouncementKind.CONTRACT_AT_RISK: contract_conditions.find_at_risk,
}


@dataclass(frozen=True, slots=True)
class Unsettled:
    """An onset that a channel was told of, and not of its end."""

    id: int  # of the announcement
    kind: AnnouncementKind
    subject: str
    channel_id: int
    version: int
    rule_id: int | None
    facts: dict[str, Any]


@dataclass(slots=True)
class ConditionWatch:
    """Looks at conditions, each as often as it is worth."""

    looked_at: dict[AnnouncementKind, datetime] = field(default_factory=dict)

    async def evaluate(self, session: AsyncSession, *, now: datetime) -> None:
        """Announce what conditions have begun and ended, what is escalated and reminded of, in the caller's
        transaction. Idempotent; called each minute.

        While we do not see, sites are not looked at: that we do not is announced, once, and nothing of them.
        """
        offices, rules = await load_rules(session)
        if not offices:
            return
        known = [Unsettled(*row) for row in await session.execute(select_unsettled(now))]
        unsettled = [each for each in known if each.channel_id in offices]
        asked = {kind for rule in rules for kind in rule.kinds} | {each.kind for each in unsettled}
        findings = {}
        service = await service_conditions.find_unwell(session, now=now)
        if AnnouncementKind.SERVICE_UNWELL in asked:
            findings[AnnouncementKind.SERVICE_UNWELL] = service.finding(
                [each.subject for each in unsettled if each.kind is AnnouncementKind.SERVICE_UNWELL]
            )
        for kind, find in FINDERS.items():
            if kind in asked and service.sees and self._is_due(kind, now):
                subjects = {each.subject for each in unsettled if each.kind is kind}
                findings[kind] = await find(session, subjects, now=now)
        outbox = _ConditionOutbox(now, offices, unsettled)
        for kind, finding in findings.items():
            outbox.settle(kind, finding)
            outbox.announce(finding.conditions, [rule for rule in rules if kind in rule.kinds])
        await insert_announcements(session, outbox.rows)
        await _mark_settled(session, outbox.settled, now)
        if service.sees:
            await announce_lasting(session, offices, rules, now=now)

    def _is_due(self, kind: AnnouncementKind, now: datetime) -> bool:
        """A clock that was set back does not keep a month's figures from being looked at."""
        last = self.looked_at.get(kind)
        if kind in OF_MONTH and last is not None and abs(now - last) < MONTH_EVERY:
            return False
        self.looked_at[kind] = now
        return True


@dataclass(slots=True)
class _ConditionOutbox:
    now: datetime
    offices: dict[int, str]  # by channel
    unsettled: Sequence[Unsettled]
    rows: list[dict[str, Any]] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)  # onsets whose ends are among the rows

    def announce(self, conditions: Iterable[Condition], rules: Sequence[RuleFacts]) -> None:
        told = {(each.kind, each.subject, each.channel_id) for each in self.unsettled}
        for condition in conditions:
            matching: dict[int, list[RuleFacts]] = defaultdict(list)
            for rule in rules:
                if condition.concerns(rule, self.now) and condition.key(rule.channel_id) not in told:
                    matching[rule.channel_id].append(rule)
            for channel, of_channel in sorted(matching.items()):
                rule = earliest(of_channel, condition.since, self.now + group_wait())
                self._add(condition.kind, condition.subject, channel, condition.version, rule.rule_id, condition.facts)

    def settle(self, kind: AnnouncementKind, finding: Finding) -> None:
        for each in self.unsettled:
            if each.kind is kind and (end := finding.ended.get(each.subject)) is not None:
                self.settled.append(each.id)
                self._add(
                    end, each.subject, each.channel_id, each.version, each.rule_id, {**each.facts, "of": kind.value}
                )

    def _add(
        self,
        kind: AnnouncementKind,
        subject: str,
        channel: int,
        version: int,
        rule_id: int | None,
        facts: dict[str, Any],
    ) -> None:
        self.rows.append(
            {
                "subject": subject,
                "kind": kind,
                "region_code": self.offices[channel],
                "channel_id": channel,
                "version": version,
                "rule_id": rule_id,
                "created_at": self.now,
                "due_at": self.now + group_wait(),
                "hold_reason": HoldReason.GROUPING,
                "facts": facts,
            }
        )


def select_unsettled(now: datetime) -> Select[Any]:
    """Select the onsets of conditions without an end; of one that was dropped there is nothing to end.

    What a month's figures tell ends with the month, and nobody needs to be told that. Reads no more than it returns,
    however much was ever announced: its conditions are those of ix_announcement_unsettled.
    """
    month = int(midnight(month_of(now)).timestamp())
    onset = Announcement
    of_month = onset.kind.in_(OF_MONTH) & (onset.version >= month)
    return (
        select(onset.id, onset.kind, onset.subject, onset.channel_id, onset.version, onset.rule_id, onset.facts)
        .where(text(UNSETTLED))
        .where(onset.kind.in_(CONDITION_KINDS.difference(OF_MONTH)) | of_month)
        .order_by(onset.id)
    )


async def _mark_settled(session: AsyncSession, ids: Sequence[int], now: datetime) -> None:
    if ids:
        await session.execute(update(Announcement).where(among(Announcement.id, ids)).values(settled_at=now))
