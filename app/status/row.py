"""One site of the snapshot: what is known of it, what of that is shown, and since when it is too old to be."""

from dataclasses import dataclass, field
from datetime import datetime
from sys import intern
from typing import Any, NamedTuple

import orjson

from app.core.freshness import holds, lapses_at
from app.registry.models import State


class Site(NamedTuple):
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


class Shown(NamedTuple):
    """What dashboards learn at once when it changes; figures may wait."""

    state: str
    unknown_reason: str | None
    since: datetime
    maintenance: bool
    incident_id: int | None
    acknowledged: bool


NOTHING = Shown("", None, datetime.min, False, None, False)  # noqa: DTZ901  # compared with nothing


@dataclass(slots=True)
class Entry:
    site: Site
    provider_id: int
    state: str
    unknown_reason: str | None
    since: datetime
    evidence_at: datetime | None
    valid_s: int
    last_seen_at: datetime | None
    rtt_ms: float | None
    loss_pct: float | None
    incident_id: int | None  # the one that is open
    acknowledged: bool
    shown: Shown = field(default=NOTHING, compare=False)  # in the version that is out
    row: bytes = field(default=b"", compare=False, repr=False)  # the same as JSON, with its figures

    @classmethod
    def read(cls, row: Any) -> "Entry":
        site = Site(
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
        """Whether its evidence does not speak for it now."""
        if self.evidence_at is None:
            return False
        return not holds(self.evidence_at, self.valid_s, now)

    def shows(self, now: datetime, *, gone: str, maintenance: bool) -> Shown:
        """`gone`: why nothing is known of what is stale."""
        state, reason, since = self.state, self.unknown_reason, self.since
        if self.evidence_at is not None and self.is_stale(now):
            state, reason = State.UNKNOWN.value, gone
            since = min(lapses_at(self.evidence_at, self.valid_s), now)
        return Shown(state, reason, since, maintenance, self.incident_id, self.acknowledged)

    def show(self, shown: Shown) -> None:
        self.shown = shown
        answers = shown.state in {"up", "degraded"}
        row = orjson.dumps(
            self.site._asdict()
            | shown._asdict()
            | {
                "last_seen_at": self.last_seen_at,
                "rtt_ms": self.rtt_ms if answers else None,
                "loss_pct": None if shown.state == "unknown" else self.loss_pct,
            },
            option=orjson.OPT_UTC_Z,
        )
        self.row = bytes(memoryview(row))  # a copy: orjson's own bytes hold 8 kB each
