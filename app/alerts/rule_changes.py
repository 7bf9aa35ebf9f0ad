"""Creates, changes and deletes rules."""

from collections.abc import Mapping
from datetime import time
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import Caller, require_writer
from app.alerts import rule_faults, rules
from app.alerts.holds import release_held
from app.alerts.models import AlertKind, AlertRule, Channel
from app.alerts.offices import administered_by, find_office
from app.alerts.rule_schemas import RuleIn, RuleOut, RulePatch
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid
from app.postgres.engine import Counter, next_version, require_version
from app.profiles import Technology
from app.registry import providers, regions

NOT_AUDITED: Any = {"id", "office_name", "region_name", "muted", "created_at", "created_by", "version"}


async def create_rule(session: AsyncSession, body: RuleIn, *, caller: Caller) -> AlertRule:
    """Raises Invalid with every fault, NotAllowed for an office beyond the caller's, Conflict for a name in use."""
    version = await next_version(session, Counter.ALERT)  # one at a time: what is counted and compared below holds
    rule = await draft_rule(session, body, caller=caller)
    others = await _list_others(session, rule)
    if len(others) >= rule_faults.MAX_RULES:
        raise rule_faults.too_many()
    _require_few_channels(rule.channel_ids, others)
    _require_unused(rule.name, others)
    rule.version = version
    session.add(rule)
    await session.flush()
    await session.refresh(rule)
    await record(session, caller, "create", rule)
    return rule


async def draft_rule(session: AsyncSession, body: RuleIn, *, caller: Caller) -> AlertRule:
    """Return the rule that a body describes, which is not stored. Raises Invalid with every fault, NotAllowed."""
    faults: list[Fault] = []
    office = await find_office(session, body.office, faults, caller=caller)
    if office is None:
        raise Invalid(*faults)
    columns = await _read(session, body.model_dump(), office)
    require_writer(caller, office)
    return AlertRule(region_code=office, created_by=caller.who, **columns)


async def patch_rule(
    session: AsyncSession, rule_id: int, body: RulePatch, *, caller: Caller, if_match: int | None
) -> AlertRule:
    """Raises what `create_rule` does, NotFound, and Stale for another version."""
    version = await next_version(session, Counter.ALERT)
    rule = await rules.get_rule(session, rule_id, caller=caller, for_update=True)
    require_writer(caller, rule.region_code)
    require_version(if_match, rule.version)
    before = await _audit_fields(session, rule)
    current = rules.present(rule, await rules.read_slugs(session)) | {
        name: _read_minute(getattr(rule, name)) for name in ("quiet_from", "quiet_to", "remind_at")
    }
    columns = await _read(session, current | body.model_dump(exclude_unset=True), rule.region_code)
    others = await _list_others(session, rule)
    _require_few_channels(columns["channel_ids"], others)
    _require_unused(columns["name"], others)
    for name, value in columns.items():
        setattr(rule, name, value)
    if not session.is_modified(rule):
        return rule
    rule.version = version
    await session.flush()
    await release_held(session, rule.id, now=utc_now())
    await record(session, caller, "change", rule, before=before)
    return rule


async def delete_rule(session: AsyncSession, rule_id: int, *, caller: Caller) -> None:
    """Its row is kept: whoever was told of an outage by it is told of its end. Idempotent."""
    await next_version(session, Counter.ALERT)
    query = select(AlertRule).where(AlertRule.id == rule_id, administered_by(caller, AlertRule.region_code))
    rule = await session.scalar(query.with_for_update(key_share=True))
    if rule is None:
        raise rules.unknown_rule(rule_id)
    require_writer(caller, rule.region_code)
    if rule.deleted_at is not None:
        return
    before = await _audit_fields(session, rule)
    rule.deleted_at = utc_now()
    await release_held(session, rule.id, now=rule.deleted_at)
    await record(session, caller, "delete", rule, before=before)


async def _read(session: AsyncSession, values: Mapping[str, Any], office: str) -> dict[str, Any]:
    """Return the columns of a rule, by its fields as a RuleIn has them. Raises Invalid with every fault."""
    faults = [*rule_faults.check_quiet_hours(values)]
    region = await _find_region(session, values["region"] or office, office, faults)
    found = [await providers.find_by_slug(session, slug, faults) for slug in sorted(set(values["providers"]))]
    channel_ids = await _find_channels(session, values["channels"], office, faults)
    escalate = values["escalate"] or {"after_min": None, "beyond_sites": None, "to": None}
    if escalate["to"] is not None:
        faults += rule_faults.check_escalation(escalate["to"], office)
    if faults:
        raise Invalid(*faults)
    same = ("name", "least_s", "degraded_hours", "keeps_power_hours", "muted_until")
    return {name: values[name] for name in same} | {
        "kinds": [kind.value for kind in AlertKind if kind in values["kinds"]],
        "within": region,
        "technologies": [each.value for each in Technology if each in values["technologies"]],
        "provider_ids": sorted(provider.id for provider in found if provider is not None),
        "channel_ids": channel_ids,
        **{name: _write_minute(values[name]) for name in ("quiet_from", "quiet_to", "remind_at")},
        "escalate_after_min": escalate["after_min"],
        "escalate_beyond_sites": escalate["beyond_sites"],
        "escalate_to": escalate["to"],
    }


async def _find_region(session: AsyncSession, region: str, office: str, faults: list[Fault]) -> str | None:
    try:
        code = await regions.require_current_code(session, region)
    except Invalid as invalid:
        faults += invalid.faults
        return None
    assert code is not None
    faults += rule_faults.check_region(code, office)
    return code


async def _find_channels(
    session: AsyncSession, channel_ids: list[int] | None, office: str, faults: list[Fault]
) -> list[int]:
    """Return the channels named, by default all of the office that tell no provider."""
    query = select(Channel).where(Channel.region_code == office, Channel.deleted_at.is_(None)).order_by(Channel.id)
    of_office = list(await session.scalars(query))
    if channel_ids is not None:
        faults += rule_faults.check_channels(channel_ids, of_office)
        return sorted(set(channel_ids))
    channel_ids = [channel.id for channel in of_office if channel.provider_id is None]
    faults += [] if channel_ids else [rule_faults.no_channel()]
    return channel_ids


async def _list_others(session: AsyncSession, rule: AlertRule) -> list[AlertRule]:
    query = select(AlertRule).where(AlertRule.region_code == rule.region_code, AlertRule.deleted_at.is_(None))
    return list(await session.scalars(query.where(AlertRule.id.is_distinct_from(rule.id)).order_by(AlertRule.id)))


def _require_few_channels(channel_ids: list[int], others: list[AlertRule]) -> None:
    pairs = len(channel_ids) + sum(len(other.channel_ids) for other in others)
    if pairs > rule_faults.MAX_PAIRS:
        raise rule_faults.too_many_pairs(pairs)


def _require_unused(name: str, others: list[AlertRule]) -> None:
    for other in others:
        if other.name == name:
            raise rule_faults.duplicate_name(other.id)


def _write_minute(value: time | None) -> int | None:
    return None if value is None else value.hour * 60 + value.minute


def _read_minute(minute: int | None) -> time | None:
    return None if minute is None else time(*divmod(minute, 60))


async def _audit_fields(session: AsyncSession, rule: AlertRule) -> dict[str, Any]:
    fields = RuleOut.model_validate(rules.present(rule, await rules.read_slugs(session)))
    return fields.model_dump(mode="json", exclude=NOT_AUDITED)


async def record(
    session: AsyncSession, caller: Caller, action: str, rule: AlertRule, *, before: dict[str, Any] | None = None
) -> None:
    """Audit what was done to a rule, with its fields as they are now and as they were before."""
    after = None if rule.deleted_at is not None else await _audit_fields(session, rule)
    await audit.record(
        session, caller, action, "rule", rule.id, region_code=rule.region_code, before=before, after=after
    )
