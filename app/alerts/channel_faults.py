"""What may be wrong with a channel beside others of its office. Pure."""

from collections.abc import Collection, Iterable, Iterator

from app.alerts.models import AlertRule, Channel
from app.core.errors import Conflict, Fault

WEBHOOK = "webhook"  # the service that is our own
MAX_CHANNELS = 50  # of an office


def check_fallback(
    fallback_id: int | None, others: Collection[Channel], provider_id: int | None, *, own_id: int | None
) -> Iterator[Fault]:
    """Yield a fault for a fallback that is not another channel of the office, or from which no way leads on.

    A channel that tells a provider of its own sites is none for what is told to others.
    """
    if fallback_id is None:
        return
    by_id = {channel.id: channel for channel in others}
    values = {"given": fallback_id}
    if fallback_id == own_id or fallback_id not in by_id:
        yield Fault(
            "fallback",
            "unknown_channel",
            "Channel {given} is not another channel of this office",
            "Choose one of: GET /api/v1/channels",
            values=values,
        )
        return
    if by_id[fallback_id].provider_id not in {None, provider_id}:
        yield Fault(
            "fallback",
            "other_provider",
            "Channel {given} tells a provider, of its own sites alone",
            "Choose a channel that tells the office",
            values=values,
        )
    following: int | None = fallback_id
    for _ in range(len(by_id) + 1):
        following = by_id[following].fallback_id if following in by_id else None
        if following is not None and following == own_id:
            yield Fault(
                "fallback",
                "fallback_cycle",
                "Channel {given} itself falls back to this one",
                "Choose another, or change that one first",
                values=values,
            )
            return


def secret_of_webhooks(field: str) -> Fault:
    return Fault(
        field,
        "not_a_webhook",
        "Only webhooks have a secret",
        "Leave it out: what this service needs stands in its URL",
    )


def require_unused(name: str, others: Iterable[Channel]) -> None:
    """Raises Conflict for a name of another channel."""
    for other in others:
        if other.name == name:
            raise Conflict(
                faults=[
                    Fault(
                        "name",
                        "duplicate_channel",
                        "Channel {given} of this office has that name",
                        "Change that one: PATCH /api/v1/channels/{given}",
                        values={"given": other.id},
                    )
                ]
            )


def require_room(others: Collection[Channel]) -> None:
    """Raises Conflict where the office has as many as it may."""
    if len(others) >= MAX_CHANNELS:
        raise Conflict(
            faults=[
                Fault(
                    "office",
                    "too_many_channels",
                    "An office has at most {most} channels",
                    "Delete one that is not needed",
                    values={"most": MAX_CHANNELS},
                )
            ]
        )


def check_unnamed(channel: Channel, rules: Iterable[AlertRule], others: Iterable[Channel]) -> Iterator[Fault]:
    """Yield a fault for each rule, and each other channel, that still needs this one."""
    for rule in rules:
        if channel.id in rule.channel_ids:
            yield Fault(
                "rule",
                "used_by_rule",
                "Rule {given} ({name}) tells through this channel",
                "Take it out of the rule, or delete the rule: /api/v1/rules/{given}",
                values={"given": rule.id, "name": rule.name},
            )
    for other in others:
        if other.fallback_id == channel.id:
            yield Fault(
                "fallback",
                "used_as_fallback",
                "Channel {given} ({name}) falls back to this one",
                "Choose another for it: PATCH /api/v1/channels/{given}",
                values={"given": other.id, "name": other.name},
            )
