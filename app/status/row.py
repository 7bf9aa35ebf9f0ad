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


class Figures(NamedTuple):
    """What each look moves."""

    last_seen_at: datetime | None
    rtt_ms: float | None
    loss_pct: float | None
    lost_from: tuple[int, ...] = ()  # vantages


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
    lost_from: tuple[int, ...] = ()  # the vantages that lost it at the last look, while others had an answer
    published: PublishedState = field(default=UNPUBLISHED, compare=False)  # in the current version
    _shown: tuple[SiteFields, Figures] | None = field(default=None, compare=False, repr=False)  # beside it
    _json: bytes | None = field(default=None, compare=False, repr=False)  # all of that, once it was asked for

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
            *_quality(row),
            row.incident_id,
            row.acknowledged,
            tuple(row.lost_from or ()),
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

    def move(self, row: Any) -> bool:
        """Take what a look has moved from a row of `store.MOVED`. Return whether any of it differs."""
        before, quality = self._judged(), _quality(row)  # first: a row that cannot be read changes nothing
        self.state, self.unknown_reason, self.since = intern(row.state), row.unknown_reason, row.since
        self.evidence_at, self.valid_s, self.last_seen_at = row.evidence_at, row.valid_s, row.last_ok_at
        self.rtt_ms, self.loss_pct = quality
        self.lost_from = tuple(row.lost_from or ())
        return self._judged() != before

    def _judged(self) -> tuple[object, ...]:
        return (self.state, self.unknown_reason, self.since, self.evidence_at, self.valid_s, *self._figures())

    def _figures(self) -> Figures:
        return Figures(self.last_seen_at, self.rtt_ms, self.loss_pct, self.lost_from)

    def published_as(self, other: "StatusEntry") -> None:
        """Let what is published of the other stay published."""
        self.published, self._shown, self._json = other.published, other._shown, other._json

    def publish(self, state: PublishedState) -> None:
        """Set what is published. All that may not be renderable is rendered at once; figures always are."""
        if state == self.published and self._shown is not None and self._shown[0] is self.site:
            self._shown, self._json = (self.site, self._figures()), None
        else:
            shown = self.site, self._figures()
            rendered = _render(*shown, state)
            self.published, self._shown, self._json = state, shown, rendered

    @property
    def json(self) -> bytes:
        """Return what is published as JSON, rendered when it is first asked for."""
        if self._json is None:
            assert self._shown is not None
            self._json = _render(*self._shown, self.published)
        return self._json


def _quality(row: Any) -> tuple[float | None, float | None]:
    """Return RTT in ms and loss in percent."""
    rtt_ms = None if row.rtt_us is None else row.rtt_us / 1000
    return rtt_ms, None if row.loss_pct is None else round(row.loss_pct, 3)  # real: 33.3 is read as 33.29999923706055


def _render(site: SiteFields, figures: Figures, state: PublishedState) -> bytes:
    responds = state.state in {"up", "degraded"}
    rendered = orjson.dumps(
        site._asdict()
        | state._asdict()
        | {
            "last_seen_at": figures.last_seen_at,
            "rtt_ms": figures.rtt_ms if responds else None,
            "loss_pct": None if state.state == "unknown" else figures.loss_pct,
        }
        | ({"lost_from": figures.lost_from} if responds and figures.lost_from else {}),
        option=orjson.OPT_UTC_Z,
    )
    return bytes(memoryview(rendered))  # a copy: orjson's own bytes hold 8 kB each
