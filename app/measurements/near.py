"""What a site's device saw near itself beside a look at the anchors beyond, by its own account. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class Near(NamedTuple):
    """Whether the next hop and the terminal answered, and the interface had a signal; None: not asked."""

    lan: bool | None = None
    terminal: bool | None = None
    carrier: bool | None = None


class NearSeen(NamedTuple):
    """What one look saw, and its slot."""

    at: datetime
    near: Near


@dataclass(frozen=True, slots=True)
class NearStretch:
    """Lost looks in a row that saw the same near the device: the slots of the first and the last."""

    started_at: datetime
    ended_at: datetime
    looks: int
    near: Near


@dataclass(frozen=True, slots=True)
class NearAccount:
    """What a device saw during an outage, in order of time, and in its last answered look before it."""

    stretches: Sequence[NearStretch]
    before: Near
