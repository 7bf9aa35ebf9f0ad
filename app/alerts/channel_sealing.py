"""Where a channel delivers to and what signs it: checked, sealed, and never read again but by the courier."""

import secrets
from dataclasses import dataclass

from pydantic import BaseModel

from app.alerts.channel_faults import WEBHOOK
from app.alerts.channel_schemas import ChannelIn, ChannelPatch
from app.alerts.models import Channel
from app.alerts.targets import ChannelTarget, parse_target
from app.core.errors import Fault, Invalid
from app.core.sealing import Sealer
from probes.policy import AddressPolicy


@dataclass(frozen=True, slots=True)
class Sealing:
    """What a channel's target is checked and sealed with."""

    sealer: Sealer
    policy: AddressPolicy


class Fingerprint(BaseModel):
    body: str


def fingerprint(body: ChannelIn, sealing: Sealing) -> Fingerprint:
    """Return what tells one request from another, and nothing of its URL and secret to who reads it."""
    hidden = [body.url.get_secret_value(), body.secret.get_secret_value() if body.secret else ""]
    return Fingerprint(body=body.model_dump_json() + sealing.sealer.sign("idempotency", "\n".join(hidden)))


def set_sealed(channel: Channel, body: ChannelPatch, target: ChannelTarget | None, sealing: Sealing) -> str | None:
    """Set its URL and secret; return a secret that was generated."""
    secret = None
    if target is not None and body.url is not None:
        secret = set_target(channel, target, body.url.get_secret_value(), sealing)
    if body.rotate_secret:
        secret = _generate_secret(channel, sealing)
    if body.secret is not None:
        secret = None
        channel.secret = sealing.sealer.seal(body.secret.get_secret_value())
    return secret


def read_target(url: str, sealing: Sealing, faults: list[Fault]) -> ChannelTarget | None:
    try:
        return parse_target(url, policy=sealing.policy)
    except Invalid as invalid:
        faults += invalid.faults
        return None


def set_target(channel: Channel, target: ChannelTarget, url: str, sealing: Sealing) -> str | None:
    """Set where a channel delivers to, which is untested then; return the secret of a new webhook."""
    was_webhook = channel.service == WEBHOOK
    channel.service, channel.target_hint = target.service, target.hint
    channel.target = sealing.sealer.seal(url)
    channel.failures, channel.retry_at, channel.problem, channel.accepted_at = 0, None, None, None
    if target.service != WEBHOOK:
        channel.secret = None
        return None
    return None if was_webhook else _generate_secret(channel, sealing)


def _generate_secret(channel: Channel, sealing: Sealing) -> str:
    secret = secrets.token_urlsafe(32)
    channel.secret = sealing.sealer.seal(secret)
    return secret
