"""What one witness says about a site at one moment. Pure: the rooms that keep evidence return it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class WitnessKind(StrEnum):
    """`central`: our own look; `agent`: the site's own device; `stream`: the connection that it holds open;
    `terminal`: the link's terminal or router, read on its own network; `provider`: the provider's own system;
    `visitor`: somebody on the village's Wi-Fi.
    """

    CENTRAL = "central"
    AGENT = "agent"
    STREAM = "stream"
    TERMINAL = "terminal"
    PROVIDER = "provider"
    VISITOR = "visitor"


class Says(StrEnum):
    """What of the link; `nothing`: the witness was there, and proves neither."""

    UP = "up"
    DOWN = "down"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Statement:
    """`started_at` to `ended_at`: the stretch that it speaks of, at least a second; `ended_at` None: it still lasts.

    `heard_at`: when this service learned of it; later than the stretch for what was reported afterwards.
    """

    witness: WitnessKind
    says: Says
    started_at: datetime
    ended_at: datetime | None
    heard_at: datetime | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)  # JSON values; no personal data, no address
