"""How long onsets took from confirmation to acceptance by the receiver, and in which stage."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.support.receivers import ReceivedMessage


@dataclass(frozen=True, slots=True)
class OnsetLatency:
    """`wanted_at`: when the outage was confirmed, or had lasted as long as the rule wants. The others follow it."""

    confirmed_at: datetime
    wanted_at: datetime
    announced_at: datetime
    composed_at: datetime
    accepted_at: datetime
    busy: bool  # its channel had told something within the group interval before, so that it may have had to wait

    @property
    def total_s(self) -> float:
        return (self.accepted_at - self.wanted_at).total_seconds()

    @property
    def announcing_s(self) -> float:
        return (self.announced_at - self.confirmed_at).total_seconds()

    @property
    def composing_s(self) -> float:
        """The wait for others with the same cause is in it."""
        return (self.composed_at - max(self.announced_at, self.wanted_at)).total_seconds()

    @property
    def delivering_s(self) -> float:
        return (self.accepted_at - self.composed_at).total_seconds()


GROUP_INTERVAL = timedelta(seconds=300)  # alerts.group_interval_s
STAGES: dict[str, Callable[[OnsetLatency], float]] = {
    "confirmation to announcement": lambda one: one.announcing_s,
    "announcement to notification": lambda one: one.composing_s,
    "notification to acceptance": lambda one: one.delivering_s,
    "all": lambda one: one.total_s,
}


def onset_latencies(
    announcements: Sequence[Mapping[str, Any]],
    notifications: Mapping[int, Mapping[str, Any]],
    incidents: Mapping[int, Mapping[str, Any]],
    got: Sequence[ReceivedMessage],
    *,
    least: timedelta,
) -> Iterator[OnsetLatency]:
    """Yield that of each outage that was told as lasting, not with a digest."""
    accepted: dict[UUID | None, datetime] = {}
    for message in got:
        accepted.setdefault(message.key, message.at)
    told_at = sorted(_moment(one, "created_at") for one in notifications.values())
    for one in announcements:
        notification = notifications.get(one["notification_id"], {"kind": "held"})
        if one["kind"] in {"down", "shared"} and notification["kind"] != "held":
            incident, key = incidents[one["incident_id"]], UUID(notification["key"])
            if key in accepted:
                confirmed_at, began_at = _moment(incident, "confirmed_at"), _moment(incident, "started_at")
                wanted_at, composed_at = max(confirmed_at, began_at + least), _moment(notification, "created_at")
                earlier = (at for at in told_at if wanted_at - GROUP_INTERVAL < at < composed_at)
                yield OnsetLatency(
                    confirmed_at,
                    wanted_at,
                    _moment(one, "created_at"),
                    composed_at,
                    accepted[key],
                    busy=any(earlier),
                )


def stage_lines(latencies: Sequence[OnsetLatency]) -> Iterator[str]:
    for stage, of in STAGES.items() if latencies else ():
        seconds = sorted(map(of, latencies))
        median, most = statistics.median(seconds), seconds[-1]
        yield f"{stage:<29} median {median:.1f} s, p95 {percentile_95(seconds):.1f} s, most {most:.1f} s"


def percentile_95(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[int(0.95 * (len(ordered) - 1))] if ordered else 0.0


def _moment(of: Mapping[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(of[name])
