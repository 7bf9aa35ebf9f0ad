"""How much of a period a site was up, down or unseen: whole seconds that add up to the period exactly. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.ledger.timeline import Piece
from app.registry.models import State

GOOD, BAD = ("up", "degraded"), ("down", "unreachable")
CLASSES = ("up", "degraded", "down", "unreachable", "unknown", "maintenance", "inactive")


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch in which the site was in service."""

    started_at: datetime
    ended_at: datetime


@dataclass(slots=True)
class Availability:
    start: datetime
    end: datetime
    seconds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    outages: int = 0  # that began in the period, or reach into it
    longest_outage_s: int = 0

    @property
    def percentages(self) -> dict[str, float | None]:
        good = sum(self.seconds[name] for name in GOOD)
        bad = sum(self.seconds[name] for name in BAD)
        unknown = self.seconds["unknown"]
        return {
            "uptime_pct": percent(good, good + bad),
            "coverage_pct": percent(good + bad, good + bad + unknown),
            "worst_pct": percent(good, good + bad + unknown),
            "best_pct": percent(good + unknown, good + bad + unknown),
        }


def percent(part: int, whole: int) -> float | None:
    """0 to 100 with three decimals, rounded down: 99.999 is never shown as 100."""
    return None if whole == 0 else part * 100_000 // whole / 1000


def availability(pieces: Sequence[Piece], windows: Sequence[Window], start: datetime, end: datetime) -> Availability:
    """`pieces` cover the period without gap or overlap; what lies outside every window is `inactive`."""
    result = Availability(start, end)
    active = 0
    for piece in pieces:
        served = sum(_overlaps(piece.started_at, piece.ended_at, windows, start, end))
        active += served
        result.seconds[piece.state.value] += served
        if piece.state is State.DOWN and served:
            result.outages += 1
            result.longest_outage_s = max(result.longest_outage_s, served)
    result.seconds["inactive"] = _seconds(start, end) - active
    return result


def _overlaps(
    begins: datetime, ends: datetime, windows: Sequence[Window], start: datetime, end: datetime
) -> Iterator[int]:
    for window in windows:
        low, high = max(begins, window.started_at, start), min(ends, window.ended_at, end)
        if low < high:
            yield _seconds(low, high)


def _seconds(start: datetime, end: datetime) -> int:
    return round((end - start).total_seconds())
