"""Rules as their offices see them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, any_, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.alerts.models import AlertRule
from app.alerts.offices import administered_by, of_offices
from app.core.clock import utc_now
from app.core.errors import NotFound
from app.registry import regions
from app.registry.models import Provider

Slugs = Mapping[int, str]  # of all providers, by id


def _rules(caller: Caller) -> Select[AlertRule]:
    """Select the rules that the caller sees and that are not deleted."""
    return select(AlertRule).where(administered_by(caller, AlertRule.region_code), AlertRule.deleted_at.is_(None))


async def list_rules(
    session: AsyncSession,
    *,
    caller: Caller,
    region: str | None,
    channel: int | None,
    after: int | None,
    limit: int,
) -> list[AlertRule]:
    """Return rules of the offices within a region, by id. Raises NotAllowed for a region out of scope."""
    filters = of_offices(AlertRule, caller=caller, region=region, after=after)
    query = _rules(caller).where(*filters).order_by(AlertRule.id).limit(limit)
    if channel is not None:
        query = query.where(literal(channel) == any_(AlertRule.channel_ids))
    return list(await session.scalars(query))


async def get_rule(session: AsyncSession, rule_id: int, *, caller: Caller, for_update: bool = False) -> AlertRule:
    """Raises NotFound, alike for an unknown rule, a deleted one and one out of scope."""
    query = _rules(caller).where(AlertRule.id == rule_id)
    if for_update:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    rule = await session.scalar(query)
    if rule is None:
        raise unknown_rule(rule_id)
    return rule


def unknown_rule(rule_id: int) -> NotFound:
    return NotFound("There is no rule {given} within your scope", values={"given": rule_id})


async def read_slugs(session: AsyncSession) -> Slugs:
    rows = await session.execute(select(Provider.id, Provider.slug))
    return {row.id: row.slug for row in rows}


def present(rule: AlertRule, slugs: Slugs) -> dict[str, Any]:
    """Return the fields of a RuleOut."""
    columns = (
        "id",
        "name",
        "kinds",
        "technologies",
        "least_s",
        "degraded_hours",
        "keeps_power_hours",
        "muted_until",
        "created_at",
        "created_by",
        "version",
    )
    return {name: getattr(rule, name) for name in columns} | {
        "office": rule.region_code,
        "office_name": regions.names()[rule.region_code],
        "region": rule.within,
        "region_name": regions.names()[rule.within],
        "providers": sorted(slugs[provider_id] for provider_id in rule.provider_ids),
        "channels": rule.channel_ids,
        "quiet_from": write_minute(rule.quiet_from),
        "quiet_to": write_minute(rule.quiet_to),
        "remind_at": write_minute(rule.remind_at),
        "escalate": rule.escalate_to
        and {"after_min": rule.escalate_after_min, "beyond_sites": rule.escalate_beyond_sites, "to": rule.escalate_to},
        "muted": rule.muted_until is not None and rule.muted_until > utc_now(),
    }


def write_minute(minute: int | None) -> str | None:
    """Return a minute of the day as HH:MM."""
    return None if minute is None else f"{minute // 60:02}:{minute % 60:02}"
