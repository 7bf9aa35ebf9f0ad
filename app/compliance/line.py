"""What was measured of a line: a site while it had one provider and one technology. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from app.availability.site_verdicts import SiteVerdict
from app.compliance.shares import Share
from app.profiles import Technology


class LineKey(NamedTuple):
    site_id: int
    provider_id: int
    technology: Technology


class SpeedTier(NamedTuple):
    """The speeds that a contract promises, in Mbps; None: none."""

    down_mbps: float | None = None
    up_mbps: float | None = None


@dataclass(slots=True)
class SpeedCounts:
    """Tests of one direction. `unpromised` have a result, but no speed of a contract to compare it with."""

    share: Share = field(default_factory=Share)
    evening: Share = field(default_factory=Share)
    unpromised: int = 0

    def add(self, other: "SpeedCounts") -> None:
        self.share.add(other.share)
        self.evening.add(other.evening)
        self.unpromised += other.unpromised


@dataclass(slots=True)
class LookCounts:
    """Looks; those `lost` are among them. `left_out` are not, nor the days that were not counted."""

    share: Share = field(default_factory=Share)
    evening: Share = field(default_factory=Share)
    lost: int = 0
    evening_lost: int = 0
    left_out: int = 0
    days: int = 0  # that were counted

    def add(self, other: "LookCounts") -> None:
        self.share.add(other.share)
        self.evening.add(other.evening)
        self.lost += other.lost
        self.evening_lost += other.evening_lost
        self.left_out += other.left_out
        self.days += other.days


@dataclass(slots=True)
class Line:
    """A line's figures. `not_made`: planned tests without a result, by `<status>_<reason>`."""

    tier: SpeedTier = field(default_factory=SpeedTier)
    verdicts: list[SiteVerdict] = field(default_factory=list)
    planned: int = 0
    pushes: bool = False  # whether it is tested in both directions
    down: SpeedCounts = field(default_factory=SpeedCounts)
    up: SpeedCounts = field(default_factory=SpeedCounts)
    not_made: Counter[str] = field(default_factory=Counter)
    looks: LookCounts = field(default_factory=LookCounts)
