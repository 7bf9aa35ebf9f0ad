"""Load what rules ask for, each with each of its channels."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.matching import RuleFacts
from app.alerts.models import AlertRule, Channel
from app.core.daily_window import DailyWindow


async def load_rules(session: AsyncSession) -> tuple[dict[int, str], list[RuleFacts]]:
    """Return the offices by their channels, and each rule with each of its channels."""
    channels = await session.execute(
        select(Channel.id, Channel.region_code, Channel.provider_id)
        .where(Channel.deleted_at.is_(None))
        .order_by(Channel.id)
    )
    by_id = {channel.id: channel for channel in channels}
    if not by_id:
        return {}, []
    facts: list[RuleFacts] = []
    for rule in await session.scalars(select(AlertRule).where(AlertRule.deleted_at.is_(None)).order_by(AlertRule.id)):
        named = [by_id[each] for each in rule.channel_ids if each in by_id]
        of_office = [channel for channel in named if channel.region_code == rule.region_code]
        first = facts_of(rule, 0, None)
        facts += [replace(first, channel_id=each.id, channel_provider_id=each.provider_id) for each in of_office]
    facts.sort(key=lambda each: (each.channel_id, each.rule_id))
    return {channel.id: channel.region_code for channel in by_id.values()}, facts


def facts_of(rule: AlertRule, channel_id: int, provider_id: int | None) -> RuleFacts:
    return RuleFacts(
        rule.id,
        channel_id,
        rule.region_code,
        provider_id,
        frozenset(rule.kinds),
        rule.within,
        frozenset(rule.technologies),
        frozenset(rule.provider_ids),
        timedelta(seconds=rule.least_s),
        rule.degraded_hours,
        None if rule.quiet_from is None or rule.quiet_to is None else DailyWindow(rule.quiet_from, rule.quiet_to),
        rule.muted_until,
        rule.keeps_power_hours,
        None if rule.escalate_after_min is None else timedelta(minutes=rule.escalate_after_min),
        rule.escalate_beyond_sites,
        rule.escalate_to,
        rule.remind_at,
    )
