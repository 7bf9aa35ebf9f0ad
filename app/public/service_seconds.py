"""Seconds of service on a day or in a period, their percentages, and what a day counts as. Pure."""

from enum import StrEnum
from typing import NamedTuple

from app.availability.percent import percent

NORMAL_PCT = 95  # of a day's service time


class DayVerdict(StrEnum):
    """`normal`: good for at least NORMAL_PCT of the day, whatever the unknown time was; `disturbed`: for less, whatever
    it was; `undetermined`: that depends on it; `no_service`: nothing was to be in service (maintenance, inactive).
    """

    NORMAL = "normal"
    DISTURBED = "disturbed"
    UNDETERMINED = "undetermined"
    NO_SERVICE = "no_service"


class ServiceSeconds(NamedTuple):
    """`good`: normal and degraded; `bad`: down, also behind a node that is down; without inactive time."""

    good: int = 0
    bad: int = 0
    unknown: int = 0
    maintenance: int = 0

    def merged_with(self, other: "ServiceSeconds") -> "ServiceSeconds":
        return ServiceSeconds(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def service(self) -> int:
        """Return what the percentages divide by: maintenance is no service time."""
        return self.good + self.bad + self.unknown

    @property
    def percentages(self) -> dict[str, float | None]:
        """Return them under the API's names; None where there is nothing to divide by."""
        good, measured = self.good, self.good + self.bad
        return {
            "uptime_pct": percent(good, measured),
            "coverage_pct": percent(measured, self.service),
            "worst_pct": percent(good, self.service),
            "best_pct": percent(good + self.unknown, self.service),
        }

    @property
    def verdict(self) -> DayVerdict:
        if not self.service:
            return DayVerdict.NO_SERVICE
        if 100 * self.good >= NORMAL_PCT * self.service:
            return DayVerdict.NORMAL
        if 100 * (self.good + self.unknown) < NORMAL_PCT * self.service:
            return DayVerdict.DISTURBED
        return DayVerdict.UNDETERMINED
