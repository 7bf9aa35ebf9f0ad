"""A row of the table: the lines of one provider, technology and contract speed, judged part by part. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from app.availability import contract_tally
from app.availability.contract_tally import ContractTally, Stretch
from app.compliance.line import Line, LineKey, LookCounts, SpeedCounts, SpeedTier
from app.compliance.method import Method
from app.compliance.shares import ComplianceVerdict, Doubt, Judged, PartResult, Share, judge_share, overall
from app.profiles import Technology

OF_VERDICT = {
    "met": Judged(PartResult.PASSES),
    "missed": Judged(PartResult.FAILS),
    "undetermined": Judged(PartResult.UNDETERMINED, Doubt.UNKNOWN_TIME),
    None: Judged(PartResult.UNDETERMINED, Doubt.NO_CONTRACT),
}


class Basis(StrEnum):
    """Whose tests a row's speed is judged by.

    `all`: all sites', because the method's share of them was tested; `sample`: those of the sites that were drawn
    beforehand; `none`: too few were tested and none was drawn, so that nobody can say for whom the tests stand.
    """

    ALL = "all"
    SAMPLE = "sample"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Speed:
    """One direction's tests, of the sites that are its basis."""

    basis: Basis
    counts: SpeedCounts
    of_sites: int
    tested_sites: int
    judged: Judged


@dataclass(slots=True)
class ComplianceUnit:
    """The lines of a row, by site; `drawn`: the sites that the period's sample drew."""

    provider_id: int
    technology: Technology
    tier: SpeedTier
    method: Method
    lines: dict[int, Line] = field(default_factory=dict)
    drawn: Collection[int] = ()

    @property
    def availability(self) -> tuple[ContractTally, list[Stretch], Judged]:
        tally, stretches = ContractTally(), list[Stretch]()
        for row in (row for line in self.lines.values() for row in line.verdicts):
            tally.merge(row.tally)
            stretches += _stretches(row.figures)
        return tally, stretches, OF_VERDICT[contract_tally.verdict(stretches)]

    def speed(self, direction: str) -> Speed:
        """Return the tests of `down` or `up`, judged."""
        counts = {site_id: getattr(line, direction) for site_id, line in self.lines.items()}
        tested = {site for site, each in counts.items() if each.share.counted >= self.method.least_tests_of_site}
        for basis, sites in ((Basis.ALL, set(counts)), (Basis.SAMPLE, set(counts) & set(self.drawn))):
            enough = 100 * len(tested & sites) >= self.method.least_sites_pct * len(sites)
            if sites and (enough or basis is Basis.SAMPLE):
                break
        else:
            basis, sites = Basis.NONE, set(counts)
        whole = SpeedCounts()
        for site in sites:
            whole.add(counts[site])
        measured = len(tested & sites)
        judged = self._judge(whole.share, self.method.tests_pct, self.method.least_tests, len(sites), measured)
        if getattr(self.tier, f"{direction}_mbps") is None:
            judged = Judged(PartResult.NOT_PROMISED)
        return Speed(basis, whole, len(sites), measured, judged)

    @property
    def latency(self) -> tuple[LookCounts, int, Judged]:
        """Return the looks, how many sites had enough of them, and what follows."""
        whole = LookCounts()
        for line in self.lines.values():
            whole.add(line.looks)
        least = self.method.least_looks_of_site
        measured = sum(line.looks.share.counted >= least for line in self.lines.values())
        judged = self._judge(whole.share, self.method.looks_pct, self.method.least_looks, len(self.lines), measured)
        return whole, measured, judged

    @property
    def not_made(self) -> Counter[str]:
        return sum((line.not_made for line in self.lines.values()), Counter())

    def _judge(self, share: Share, required_pct: int, least: int, sites: int, measured: int) -> Judged:
        return judge_share(
            share,
            required_pct=required_pct,
            least=least,
            sites=sites,
            measured=measured,
            sites_pct=self.method.least_sites_pct,
        )

    def verdict(self) -> ComplianceVerdict:
        speeds = [self.speed(direction).judged.result for direction in ("down", "up")]
        return overall(self.availability[2].result, speeds, self.latency[2].result)


def units_of(lines: Mapping[LineKey, Line], drawn: Collection[int], method: Method) -> list[ComplianceUnit]:
    """Return the lines by provider, technology and contract speed, in that order."""
    units: dict[tuple[int, Technology, SpeedTier], ComplianceUnit] = {}
    for key, line in sorted(lines.items()):
        of = key.provider_id, key.technology, line.tier
        unit = units.setdefault(of, ComplianceUnit(*of, method, drawn=drawn))
        unit.lines[key.site_id] = line
    return sorted(units.values(), key=lambda unit: (unit.provider_id, unit.technology, _speeds(unit.tier)))


def _speeds(tier: SpeedTier) -> tuple[float, float]:
    return tier.down_mbps or 0, tier.up_mbps or 0


def _stretches(figures: Mapping[str, Any]) -> Iterable[Stretch]:
    """Yield what was counted under each terms of a verdict with the target of these."""
    for part in figures["stretches"] or [figures]:
        if part["target_pct"] is not None:
            names = ("service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s", "excluded")
            yield Stretch(Decimal(str(part["target_pct"])), ContractTally(**{name: part[name] for name in names}))
