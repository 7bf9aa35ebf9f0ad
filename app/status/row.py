"""One site of the snapshot: what is known of it, and what of that is published in the current version."""

from dataclasses import dataclass, field
from datetime import datetime
from sys import intern
from typing import Any, NamedTuple

import orjson

from app.core.freshness import holds, lapses_at
from app.registry.models import State


class SiteFields(NamedTuple):
    """What only the registry changes."""

    id: int
    code: str
    name: str
    kind: str
    village_code: str
    technology: str
    provider: str
    evidence: str
    latitude: float | None
    longitude: float | None


class PublishedState(NamedTuple):
    """What is published at once when it changes; RTT and loss wait for the next refresh."""

    state: str
    unknown_reason: str | None
    since: datetime
    maintenance: bool
    incident_id: int | None
    acknowledged: bool


UNPUBLISHED = PublishedState("", None, datetime.min, False, None, False)  # noqa: DTZ901  # compared with nothing


@dataclass(slots=True)
class StatusEntry:
    site: SiteFields
    provider_id: int
    state: str
    unknown_reason: str | None
    since: datetime
    evidence_at: datetime | None
    valid_s: int
    last_seen_at: datetime | None
    rtt_ms: float | None
    loss_pct: float | None
    incident_id: int | None  # of the open incident
    acknowledged: bool
    published: PublishedState = field(default=UNPUBLISHED, compare=False)  # in the current version
    json: bytes = field(default=b"", compare=False, repr=False)  # the same with all other fields

    @classmethod
    def from_row(cls, row: Any) -> "StatusEntry":
        site = SiteFields(
            row.id,
            row.code,
            row.name,
            intern(row.kind),
            row.village_code,
            intern(row.technology),
            intern(row.provider),
            "agent" if row.probe == "push" else "central",
            row.latitude,
            row.longitude,
        )
        return cls(
            site,
            row.provider_id,
            intern(row.state),
            row.unknown_reason,
            row.since,
            row.evidence_at,
            row.valid_s,
            row.last_ok_at,
            None if row.rtt_us is None else row.rtt_us / 1000,
            None if row.loss_pct is None else round(row.loss_pct, 3),  # real: 33.3 is read as 33.29999923706055
            row.incident_id,
            row.acknowledged,
        )

    def is_stale(self, now: datetime) -> bool:
        """Whether its evidence does not hold at `now`; False without any evidence."""
        if self.evidence_at is None:
            return False
        return not holds(self.evidence_at, self.valid_s, now)

    def state_at(self, now: datetime, *, stale_reason: str, maintenance: bool) -> PublishedState:
        """Return what to publish at `now`: unknown, with `stale_reason`, if the evidence is stale."""
        state, reason, since = self.state, self.unknown_reason, self.since
        if self.evidence_at is not None and self.is_stale(now):
            state, reason = State.UNKNOWN.value, stale_reason
            since = min(lapses_at(self.evidence_at, self.valid_s), now)
        return PublishedState(state, reason, since, maintenance, self.incident_id, self.acknowledged)

    def publish(self, state: PublishedState) -> None:
        """Set what is published and render it."""
        responds = state.state in {"up", "degraded"}
        rendered = orjson.dumps(
            self.site._asdict()
            | state._asdict()
            | {
                "last_seen_at": self.last_seen_at,
                "rtt_ms": self.rtt_ms if responds else None,
                "loss_pct": None if state.state == "unknown" else self.loss_pct,
            },
            option=orjson.OPT_UTC_Z,
        )
        self.published = state
        self.json = bytes(memoryview(rendered))  # a copy: orjson's own bytes hold 8 kB each
