"""Load what rules ask for, each with each of its channels."""

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.matching import RuleFacts
from app.alerts.models import AlertRule, Channel
from app.core.daily_window import DailyWindow


async def load_rules(session: AsyncSession) -> tuple[dict[int, str], list[RuleFacts]]:
    """Return the offices by their channels, and each rule with each of its channels."""
    result = await session.execute(
        select(Channel.id, Channel.region_code, Channel.provider_id, AlertRule)
        .outerjoin(
            AlertRule,
            (AlertRule.region_code == Channel.region_code)
            & AlertRule.deleted_at.is_(None)
            & (Channel.id == func.any(AlertRule.channel_ids)),
        )
        .where(Channel.deleted_at.is_(None))
        .order_by(Channel.id, AlertRule.id)
    )
    offices: dict[int, str] = {}
    rules: list[RuleFacts] = []
    for channel_id, office, provider_id, rule in result:
        offices[channel_id] = office
        if rule is not None:
            rules.append(facts_of(rule, channel_id, provider_id))
    return offices, rules


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
