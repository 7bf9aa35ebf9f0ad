"""Links of a message: to its page, and the signed one by which its incidents are acknowledged."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.alerts.content import Content
from app.alerts.message_values import NO_LINKS, Links
from app.core.sealing import Sealer
from app.incidents.models import IncidentStatus

PURPOSE = "acknowledge"
GOOD_FOR = timedelta(days=7)
TOKEN = re.compile(r"([1-9][0-9]{0,17})\.([1-9][0-9]{9})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class AcknowledgeToken:
    """Names a notification, and proves that we made the link; it signs nobody in and gives no right."""

    notification_id: int
    expires_at: datetime


def links_of(notification_id: int, content: Content, *, base: str | None, sealer: Sealer) -> Links:
    """Return the links of a notification; none without a public address, and none to acknowledge what is over.

    A provider is given none to acknowledge either: its office does that.
    """
    if base is None:
        return NO_LINKS
    acknowledge = None
    if content.provider is None and any(incident.status is IncidentStatus.OPEN for incident in content.incidents):
        token = make_token(notification_id, content.at + GOOD_FOR, sealer)
        acknowledge = f"{base}/console/acknowledge/{token}"
    return Links(page_of(notification_id, base), acknowledge)


def page_of(notification_id: int, base: str) -> str:
    """Return the address of a notification's page; `base`: the service's public address."""
    return f"{base}/console/notifications/{notification_id}"


def make_token(notification_id: int, expires_at: datetime, sealer: Sealer) -> str:
    signed = f"{notification_id}.{int(expires_at.timestamp())}"
    return f"{signed}.{sealer.sign(PURPOSE, signed)}"


def read_token(token: str, sealer: Sealer) -> AcknowledgeToken | None:
    """Return what the token names; None for one that we did not make."""
    parts = TOKEN.fullmatch(token)
    if parts is None or not sealer.verifies(PURPOSE, f"{parts[1]}.{parts[2]}", parts[3]):
        return None
    return AcknowledgeToken(int(parts[1]), datetime.fromtimestamp(int(parts[2]), UTC))
