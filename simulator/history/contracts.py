"""The contracts of a simulated past, one of each kind, and which sites are under which from when. Pure.

What changes does so in `month`, the last one that is over: its verdicts are there to be argued about.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from simulator.villages import draw

FORGOTTEN_SHARE = 0.03  # of the sites are under no contract
OFFICE_HOURS: dict[str, Any] = {"service_from": "07:30", "service_to": "16:00"}
STRICT: dict[str, Any] = {"min_outage_s": 0, "excluded_causes": []}
Rule = dict[str, Any]
RULES: dict[str, Rule] = {
    "proportional": {"kind": "proportional"},
    "divided": {"kind": "proportional", "divisor_pct": 99.5, "unknown": "pro_rata"},
    "shortfall": {"kind": "shortfall"},
    "banded": {
        "kind": "banded",
        "bands": [
            {"below_pct": 99, "share_pct": 5},
            {"below_pct": 97, "share_pct": 15},
            {"below_pct": 90, "share_pct": 40},
        ],
    },
    "incidents": {"kind": "per_incident", "after_s": 14_400, "per_hour_pct": 0.5, "cap_pct": 25},
    "hours": {"kind": "per_incident", "after_s": 7_200, "per_hour_idr": 50_000},
    "cliff": {"kind": "cliff", "below_pct": 95, "cap_pct": 50},
}
FIRST_OF = {
    "telkom-wms": "0101",
    "indihome": "0103",
    "comtelindo": "0104",
    "orbit": "0106",
    "telkomsat-starlink": "0107",
    "bestcamp-starlink": "0108",
    "iconplus": "0109",
}

Change = tuple[str, date, str | None]


@dataclass(frozen=True, slots=True)
class PlannedContract:
    """`terms` are fields of `POST /contracts`; `addendum` changes some from a day on."""

    key: str
    provider: str
    terms: dict[str, Any]
    valid_from: date
    valid_to: date | None = None
    addendum: tuple[date, dict[str, Any]] | None = None

    @property
    def number(self) -> str:
        return f"027/{self.key}/DISKOMINFO/{self.valid_from.year}"


@dataclass(frozen=True, slots=True)
class PlannedAssignment:
    """A site is under a contract from a day up to another; `reason` says why that was recorded late."""

    contract: PlannedContract
    started_on: date
    ended_on: date | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedContracts:
    """All contracts: `start` is the first day of the past, `month` the first of the last month that is over."""

    start: date
    month: date
    by_key: dict[str, PlannedContract] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_key.update({contract.key: contract for contract in self._contracts()})

    def day(self, of_month: int) -> date:
        return self.month + timedelta(days=of_month - 1)

    def assignments(self, village_code: str, provider: str, technology: str) -> Iterator[PlannedAssignment]:
        """Yield the contracts that an access point has been under since the start, in order of time."""
        if draw(village_code, "contract") < FORGOTTEN_SHARE:
            return
        changes = list(self._changes(village_code, provider, technology))
        ends = [*(started_on for _, started_on, _ in changes[1:]), self.by_key[changes[-1][0]].valid_to]
        for (key, started_on, reason), ended_on in zip(changes, ends, strict=True):
            if ended_on is None or ended_on > self.start:
                yield PlannedAssignment(self.by_key[key], max(started_on, self.start), ended_on, reason)

    def _changes(self, village_code: str, provider: str, technology: str) -> Iterator[Change]:
        """Yield the key of each contract of an access point, since when, and why that was recorded late."""
        chance = draw(village_code, "moved")
        if (provider, technology) == ("iconplus", "geo"):
            yield "0110", self.start, None
            return
        yield FIRST_OF[provider], self.start, None
        if provider == "telkom-wms" and chance < 0.12:
            yield "0102", self.day(12), None
        elif provider == "telkom-wms" and chance < 0.16:
            yield "0102", self.day(20), "Pindah kontrak menurut BAST, baru dicatat kemudian"
        elif provider == "comtelindo" and chance < 0.8:  # the others were not taken over into the next contract
            yield "0105", self.day(20), None

    def _contracts(self) -> Iterator[PlannedContract]:
        year = self.start.replace(month=1, day=1)
        cut = {"sla_target_pct": 99.0, "bandwidth_down_mbps": 30, "bandwidth_up_mbps": 15}
        main = _terms(99.5, 4_500_000, 50, 25, rule="proportional", min_coverage_pct=90)
        yield PlannedContract("0101", "telkom-wms", main, year, addendum=(self.day(16), cut))
        office = _terms(97, 3_200_000, 50, 25, rule="shortfall", excuses_parent=True, **OFFICE_HOURS)
        yield PlannedContract("0102", "telkom-wms", office, self.day(12))
        yield PlannedContract("0103", "indihome", _terms(98, 1_150_000, 50, 25, rule="banded", **STRICT), year)
        weather: dict[str, Any] = {"excluded_causes": ["power", "weather"]}
        ended = _terms(99, 3_900_000, 50, 25, rule="incidents", excuses_parent=True, **weather)
        yield PlannedContract("0104", "comtelindo", ended, year, self.day(20))
        follows = _terms(99.5, 4_100_000, 100, 50, rule="incidents", excuses_parent=True)
        yield PlannedContract("0105", "comtelindo", follows, self.day(20))
        hours = {"service_from": "06:00", "service_to": "22:00"}
        cellular = _terms(97, 650_000, 20, 5, rule="divided", degraded_counts=True, **hours)
        yield PlannedContract("0106", "orbit", cellular, year)
        starlink = _terms(99, 5_200_000, 150, 20, rule="banded", **weather)
        yield PlannedContract("0107", "telkomsat-starlink", starlink, year)
        bestcamp = _terms(95, 4_800_000, 100, 15, rule="cliff", min_outage_s=900)
        yield PlannedContract("0108", "bestcamp-starlink", bestcamp, year)
        yield PlannedContract("0109", "iconplus", _terms(99.5, 5_000_000, 50, 25, rule="hours", **STRICT), year)
        whole = _terms(95, 7_500_000, 10, 2, degraded_counts=True, fee_per="contract")  # and without a rule
        yield PlannedContract("0110", "iconplus", whole, year)


def _terms(
    target_pct: float, fee_idr: int, down_mbps: float, up_mbps: float, *, rule: str | None = None, **others: Any
) -> dict[str, Any]:
    return {
        "sla_target_pct": target_pct,
        "monthly_fee_idr": fee_idr,
        "fee_per": "site",
        "restitution": None if rule is None else RULES[rule],
        "bandwidth_down_mbps": down_mbps,
        "bandwidth_up_mbps": up_mbps,
        **others,
    }
