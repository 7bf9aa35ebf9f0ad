"""What a receiver's HTTP answer tells beside its status, read with bounds."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from app.courier.contract import LONGEST_ID

MAX_BODY = 65_536
NAMES_OF_IDS = ("id", "message_id", "event_id", "sid")


def read_bounded(chunks: Iterable[bytes]) -> bytes:
    """Return at most MAX_BODY bytes; the rest is left unread."""
    body = b""
    for chunk in chunks:
        body += chunk[: MAX_BODY - len(body)]
        if len(body) == MAX_BODY:
            break
    return body


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for, None if it is missing or malformed."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def receiver_id(body: bytes) -> str | None:
    """Return what the receiver calls the message: an id in its JSON answer, at most two levels deep."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return next(iter(_ids(answer, 2)), None)


def _ids(value: Any, depth: int) -> Iterable[str]:
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, Mapping):
        return
    for name in NAMES_OF_IDS:
        found = value.get(name)
        if isinstance(found, str | int) and not isinstance(found, bool) and 0 < len(str(found)) <= LONGEST_ID:
            text = str(found)
            if text.isprintable():
                yield text
    for inner in value.values() if depth else ():
        if isinstance(inner, Mapping | list):
            yield from _ids(inner, depth - 1)
