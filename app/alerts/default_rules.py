"""The rules that an office begins with: right on the first day, and its own to change from then on."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE
from app.alerts.models import AlertKind, AlertRule, Channel
from app.postgres.engine import Counter, next_version

HOUR = 60  # of the columns in minutes
LEAST_S, LEAST_OF_PROVIDER_S = 60, 300
QUIET = {"quiet_from": 22 * HOUR, "quiet_to": 6 * HOUR}
LASTING = {"least_s": LEAST_S, "remind_at": 8 * HOUR}
ESCALATING = {"escalate_to": PROVINCE, "escalate_after_min": 60, "escalate_beyond_sites": 10}

DISTRICT: dict[str, dict[str, Any]] = {
    "Putus layanan": {"kinds": [AlertKind.DOWN], **LASTING, **QUIET, **ESCALATING, "keeps_power_hours": True},
    "Gangguan massal": {"kinds": [AlertKind.SHARED], **LASTING, **ESCALATING},
    "Menurun atau tidak terpantau": {
        "kinds": [AlertKind.DEGRADED, AlertKind.NEVER_SEEN, AlertKind.COVERAGE_LOST],
        **QUIET,
    },
}
PROVINCIAL: dict[str, dict[str, Any]] = {
    "Gangguan massal dan eskalasi": {"kinds": [AlertKind.SHARED, AlertKind.ESCALATED], **LASTING},
    "Layanan pemantauan": {"kinds": [AlertKind.SERVICE_UNWELL]},
    "Kontrak dan jatah data": {"kinds": [AlertKind.BUDGET_SPENT, AlertKind.CONTRACT_AT_RISK], **QUIET},
    "Ringkasan harian": {"kinds": [AlertKind.DAILY_DIGEST]},
}
OF_PROVIDER: dict[str, dict[str, Any]] = {
    "Gangguan penyedia": {
        "kinds": [AlertKind.DOWN, AlertKind.SHARED],
        "least_s": LEAST_OF_PROVIDER_S,
        "keeps_power_hours": True,
    },
}


async def ensure_default_rules(
    session: AsyncSession, region_code: str, channel_id: int, by: str, provider_id: int | None
) -> list[AlertRule]:
    """Create an office's rules with its first channel, or that tells this provider. Return them.

    None where a rule ever named such a channel: what an office changed or deleted does not come back.
    """
    if await _has_rules(session, region_code, provider_id):
        return []
    version = await next_version(session, Counter.ALERT)
    taken = await _names(session, region_code)
    rules = [
        AlertRule(
            **{
                "region_code": region_code,
                "name": name if name not in taken else f"{name} ({channel_id})",
                "within": region_code,
                "technologies": [],
                "provider_ids": [],
                "least_s": 0,
                "degraded_hours": 6,
                "keeps_power_hours": False,
                "channel_ids": [channel_id],
                "created_by": by,
                "version": version,
                **columns,
            }
        )
        for name, columns in _defaults(region_code, provider_id).items()
    ]
    session.add_all(rules)
    await session.flush()
    return rules


def _defaults(region_code: str, provider_id: int | None) -> dict[str, dict[str, Any]]:
    """By name."""
    if provider_id is not None:
        return OF_PROVIDER
    return PROVINCIAL if region_code == PROVINCE else DISTRICT


async def _has_rules(session: AsyncSession, region_code: str, provider_id: int | None) -> bool:
    of_provider = select(Channel.id).where(
        Channel.id == func.any(AlertRule.channel_ids), Channel.provider_id.is_not_distinct_from(provider_id)
    )
    query = select(AlertRule.id).where(AlertRule.region_code == region_code, of_provider.exists())
    return await session.scalar(query.limit(1)) is not None


async def _names(session: AsyncSession, region_code: str) -> set[str]:
    query = select(AlertRule.name).where(AlertRule.region_code == region_code, AlertRule.deleted_at.is_(None))
    return set(await session.scalars(query))
