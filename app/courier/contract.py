"""What the courier and its senders tell each other: a message to a receiver, and the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

LONGEST_PROBLEM, LONGEST_ID = 200, 100


class DeliveryOutcome(StrEnum):
    """`accepted`; `refused`: the same will be refused again; `failed`: a later attempt may succeed."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Message:
    key: UUID
    kind: str
    title: str
    text: str
    is_short: bool  # an SMS
    content: Mapping[str, Any]
    links: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Receiver:
    """Its representation shows no secret."""

    service: str
    url: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """`problem` is in our own words, without anything of the receiver's URL."""

    outcome: DeliveryOutcome
    problem: str | None = None
    http_status: int | None = None
    receiver_id: str | None = None
    retry_after_s: float | None = None


class Sender(Protocol):
    """Blocks until the receiver has answered; raises whatever it raises. Runs in a guarded thread."""

    def __call__(self, message: Message, receiver: Receiver) -> Answer: ...


def answer_of_status(status: int, *, receiver_id: str | None = None, retry_after_s: float | None = None) -> Answer:
    """Return what an HTTP status means: of errors of the request only 408, 425 and 429 are worth another attempt."""
    if 200 <= status < 300:
        return Answer(DeliveryOutcome.ACCEPTED, None, status, receiver_id)
    if status >= 500 or status in {408, 425, 429}:
        return Answer(DeliveryOutcome.FAILED, f"HTTP {status}", status, None, retry_after_s)
    moved = ", and redirects are not followed" if 300 <= status < 400 else ""
    return Answer(DeliveryOutcome.REFUSED, f"HTTP {status}{moved}", status)
