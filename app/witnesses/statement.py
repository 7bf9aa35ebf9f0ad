"""What one witness says about a site at one moment. Pure: the rooms that keep evidence return it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.witnesses.kinds import Says, WitnessKind
from app.witnesses.rules import may_say


@dataclass(frozen=True, slots=True)
class Statement:
    """`started_at` to `ended_at`: the stretch that it speaks of, at least a second; `ended_at` None: it still lasts.

    `heard_at`: when this service learned of it; later than the stretch for what was reported afterwards.
    `is_claim`: reported afterwards of a time in which nobody heard the witness, so it proves nothing.
    Raises ValueError for what such a witness cannot say, and for a stretch without a second.
    """

    witness: WitnessKind
    says: Says
    started_at: datetime
    ended_at: datetime | None
    heard_at: datetime | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)  # JSON values; no personal data, no address
    is_claim: bool = False

    def __post_init__(self) -> None:
        if not may_say(self.witness, self.says):
            raise ValueError(f"a {self.witness} cannot say {self.says}")
        if self.ended_at is not None and self.ended_at <= self.started_at:
            raise ValueError(f"a statement without a second: {self.started_at} to {self.ended_at}")
