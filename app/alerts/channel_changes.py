"""Creates, changes and deletes channels. URLs and secrets leave only as hints (`channel_sealing`)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.access import audit
from app.access.scope import Caller, require_writer
from app.alerts import channel_faults, channels, rule_changes
from app.alerts.channel_faults import WEBHOOK
from app.alerts.channel_schemas import ChannelIn, ChannelPatch
from app.alerts.channel_sealing import Sealing, read_target, set_sealed, set_target
from app.alerts.channels import ChannelRow
from app.alerts.default_rules import ensure_default_rules
from app.alerts.models import AlertRule, Channel, Notification, NotificationState
from app.alerts.offices import administered_by, find_office
from app.core.clock import utc_now
from app.core.errors import Conflict, Fault, Invalid
from app.core.pii import MASK
from app.postgres.engine import Counter, next_version, require_version
from app.registry import providers


@dataclass(frozen=True, slots=True)
class ChangedChannel:
    """`secret`: the one that was generated, which is not to be read again; `rules`: those made with the channel."""

    row: ChannelRow
    secret: str | None = None
    rules: Collection[int] = ()


async def create_channel(session: AsyncSession, body: ChannelIn, *, caller: Caller, sealing: Sealing) -> ChangedChannel:
    """Raises Invalid with every fault, NotAllowed for an office beyond the caller's, Conflict for a name in use."""
    version = await next_version(session, Counter.ALERT)  # one at a time: what is counted and compared below holds
    faults: list[Fault] = []
    office = await find_office(session, body.office, faults, caller=caller)
    provider = None
    if body.provider is not None:
        provider = await providers.find_by_slug(session, body.provider, faults)
    target = read_target(body.url.get_secret_value(), sealing, faults)
    others = [] if office is None else await _list_of_office(session, office)
    faults += channel_faults.check_fallback(body.fallback, others, provider.id if provider else None, own_id=None)
    if target is not None and target.service != WEBHOOK and body.secret is not None:
        faults.append(channel_faults.secret_of_webhooks("secret"))
    if faults or office is None or target is None:
        raise Invalid(*faults)
    require_writer(caller, office)
    channel_faults.require_unused(body.name, others)
    channel_faults.require_room(others)
    channel = Channel(
        region_code=office,
        name=body.name,
        language=body.language,
        form=body.form,
        fallback_id=body.fallback,
        created_by=caller.who,
        version=version,
    )
    channel.provider = provider
    secret = set_target(channel, target, body.url.get_secret_value(), sealing)
    if body.secret is not None:
        secret = None
        channel.secret = sealing.sealer.seal(body.secret.get_secret_value())
    session.add(channel)
    await session.flush()
    rules = await _default_rules(session, channel, caller) if body.default_rules else ()
    row = await channels.get_channel(session, channel.id, caller=caller)
    await audit.record(
        session, caller, "create", "channel", channel.id, region_code=office, after=_audit_fields(channel)
    )
    return ChangedChannel(row, secret, rules)


async def patch_channel(
    session: AsyncSession,
    channel_id: int,
    body: ChannelPatch,
    *,
    caller: Caller,
    if_match: int | None,
    sealing: Sealing | None,
) -> ChangedChannel:
    """Raises what `create_channel` does, NotFound, and Stale for another version.

    `sealing`: only a body that `needs_sealing` needs it: without the secret key a channel can still be paused.
    """
    version = await next_version(session, Counter.ALERT)
    row = await channels.get_channel(session, channel_id, caller=caller, for_update=True)
    channel = row.channel
    require_writer(caller, channel.region_code)
    require_version(if_match, channel.version)
    others = [each for each in await _list_of_office(session, channel.region_code) if each.id != channel.id]
    before = _audit_fields(channel)
    secret = _set_fields(channel, body, others, sealing)
    if not session.is_modified(channel):
        return ChangedChannel(row)
    channel.version = version
    await session.flush()
    hidden = {name: MASK for name in ("url", "secret") if getattr(body, name) is not None}
    hidden |= {"secret": MASK} if secret is not None else {}
    await audit.record(
        session,
        caller,
        "change",
        "channel",
        channel.id,
        region_code=channel.region_code,
        before=before,
        after=_audit_fields(channel) | hidden,
    )
    return ChangedChannel(await channels.get_channel(session, channel_id, caller=caller), secret)


def _set_fields(channel: Channel, body: ChannelPatch, others: list[Channel], sealing: Sealing | None) -> str | None:
    """Set what the body changes; return a secret that was generated. Raises Invalid, Conflict."""
    changes = body.model_dump(exclude_unset=True, include={"name", "language", "form", "fallback", "paused"})
    faults: list[Fault] = []
    target = None
    if body.url is not None and sealing is not None:
        target = read_target(body.url.get_secret_value(), sealing, faults)
    if "fallback" in changes:
        faults += channel_faults.check_fallback(body.fallback, others, channel.provider_id, own_id=channel.id)
        changes["fallback_id"] = changes.pop("fallback")
    service = channel.service if target is None else target.service
    for name in ("secret", "rotate_secret"):
        if service != WEBHOOK and getattr(body, name):
            faults.append(channel_faults.secret_of_webhooks(name))
    if faults:
        raise Invalid(*faults)
    channel_faults.require_unused(changes.get("name", channel.name), others)
    if "paused" in changes and changes.pop("paused") is not (channel.paused_at is not None):
        channel.paused_at = utc_now() if body.paused else None
    for name, value in changes.items():
        setattr(channel, name, value)
    return None if sealing is None else set_sealed(channel, body, target, sealing)


async def delete_channel(session: AsyncSession, channel_id: int, *, caller: Caller) -> None:
    """Forget where it delivers to, and give up what waits for it; notifications keep their channel. Idempotent.

    Raises Conflict while rules or other channels name it.
    """
    await next_version(session, Counter.ALERT)
    query = select(Channel).where(Channel.id == channel_id, administered_by(caller, Channel.region_code))
    query = query.options(joinedload(Channel.provider)).with_for_update(of=Channel, key_share=True)
    channel = await session.scalar(query)
    if channel is None:
        raise channels.unknown_channel(channel_id)
    require_writer(caller, channel.region_code)
    if channel.deleted_at is not None:
        return
    others = await _list_of_office(session, channel.region_code)
    of_office = select(AlertRule).where(AlertRule.region_code == channel.region_code, AlertRule.deleted_at.is_(None))
    rules = await session.scalars(of_office.order_by(AlertRule.id))
    if faults := [*channel_faults.check_unnamed(channel, rules, others)]:
        raise Conflict(faults=faults)
    before = _audit_fields(channel)
    channel.deleted_at = now = utc_now()
    channel.target, channel.secret = b"", None
    waiting = update(Notification).where(
        Notification.channel_id == channel.id, Notification.state == NotificationState.QUEUED
    )
    await session.execute(
        waiting.values(state=NotificationState.DEAD, settled_at=now, problem="the channel was deleted")
    )
    await audit.record(session, caller, "delete", "channel", channel.id, region_code=channel.region_code, before=before)


async def _list_of_office(session: AsyncSession, office: str) -> list[Channel]:
    query = select(Channel).where(Channel.region_code == office, Channel.deleted_at.is_(None))
    return list(await session.scalars(query))


async def _default_rules(session: AsyncSession, channel: Channel, caller: Caller) -> list[int]:
    """Create the rules that an office, or the provider that it tells, begins with; return their ids."""
    made = await ensure_default_rules(
        session, channel.region_code, channel.id, by=caller.who, provider_id=channel.provider_id
    )
    for rule in made:
        await rule_changes.record(session, caller, "create", rule)
    return [rule.id for rule in made]


def _audit_fields(channel: Channel) -> dict[str, Any]:
    return {
        "name": channel.name,
        "office": channel.region_code,
        "provider": channel.provider and channel.provider.slug,
        "service": channel.service,
        "target": channel.target_hint,
        "language": channel.language,
        "form": channel.form.value,
        "fallback": channel.fallback_id,
        "paused": channel.paused_at is not None,
    }
