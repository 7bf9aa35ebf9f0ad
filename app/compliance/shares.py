"""Whether enough of what was measured is good enough: exact counts, with bounds where results are missing. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from app.availability.percent import percent


class PartResult(StrEnum):
    """What came of one part of the method.

    `passes`; `fails`; `undetermined`: too little was measured, or what is missing would decide it; `not_promised`: the
    contract names no speed in this direction, so the part is not judged.
    """

    PASSES = "passes"
    FAILS = "fails"
    UNDETERMINED = "undetermined"
    NOT_PROMISED = "not_promised"


class ComplianceVerdict(StrEnum):
    """`complies`: every part passes; `fails`: any part fails; `undetermined`: anything else."""

    COMPLIES = "complies"
    FAILS = "fails"
    UNDETERMINED = "undetermined"


class Doubt(StrEnum):
    """Why a part is undetermined.

    `too_few`: fewer were measured than the method's least number; `too_few_sites`: too many of the sites are
    unmeasured, and no sample was drawn or it was not measured either; `contested`: tests that ran without a result
    would decide it; `unknown_time`: unmeasured time would decide it; `no_contract`: no second was counted under one.
    """

    TOO_FEW = "too_few"
    TOO_FEW_SITES = "too_few_sites"
    CONTESTED = "contested"
    UNKNOWN_TIME = "unknown_time"
    NO_CONTRACT = "no_contract"


@dataclass(slots=True)
class Share:
    """How many passed of those counted. `contested` ran without a result: in nobody's favour."""

    counted: int = 0
    passed: int = 0
    contested: int = 0

    def add(self, other: "Share") -> None:
        self.counted += other.counted
        self.passed += other.passed
        self.contested += other.contested

    @property
    def pct(self) -> float | None:
        return percent(self.passed, self.counted)

    @property
    def worst_pct(self) -> float | None:
        """Return the share if all that is contested had failed."""
        return percent(self.passed, self.counted + self.contested)

    @property
    def best_pct(self) -> float | None:
        """Return the share if all that is contested had passed."""
        return percent(self.passed + self.contested, self.counted + self.contested)

    def judge(self, required_pct: int) -> PartResult:
        """Return `passes` if enough passed even if all that is contested failed, `fails` if not even were it good."""
        required = required_pct * (self.counted + self.contested)
        if 100 * self.passed >= required:
            return PartResult.PASSES
        return PartResult.FAILS if 100 * (self.passed + self.contested) < required else PartResult.UNDETERMINED


@dataclass(frozen=True, slots=True)
class Judged:
    """A part's result, and why it is undetermined."""

    result: PartResult
    doubt: Doubt | None = None


def judge_share(share: Share, *, required_pct: int, least: int, sites: int, measured: int, sites_pct: int) -> Judged:
    """Judge a share that was measured at `measured` of the `sites` that it stands for."""
    if share.counted < least:
        return Judged(PartResult.UNDETERMINED, Doubt.TOO_FEW)
    if 100 * measured < sites_pct * sites:
        return Judged(PartResult.UNDETERMINED, Doubt.TOO_FEW_SITES)
    result = share.judge(required_pct)
    return Judged(result, Doubt.CONTESTED if result is PartResult.UNDETERMINED else None)


def overall(availability: PartResult, speeds: list[PartResult], latency: PartResult) -> ComplianceVerdict:
    """Return the row's verdict. It complies only if its contract names some speed, and all that it names is reached."""
    judged = [result for result in speeds if result is not PartResult.NOT_PROMISED]
    parts = [availability, latency, *judged]
    if PartResult.FAILS in parts:
        return ComplianceVerdict.FAILS
    if judged and all(part is PartResult.PASSES for part in parts):
        return ComplianceVerdict.COMPLIES
    return ComplianceVerdict.UNDETERMINED
