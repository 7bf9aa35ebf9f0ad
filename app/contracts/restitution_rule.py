"""How a contract pays back what was not delivered: the rule in its terms, and what may be wrong with it. Pure."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from app.core.errors import Fault

MAX_BANDS = 12
WEEK_S = 7 * 86_400


class RuleKind(StrEnum):
    """`proportional`: fee x downtime / service time; `shortfall`: fee x what availability lacks of the target;
    `banded`: a share of the fee by the lowest band that availability is in; `per_incident`: for each begun hour of an
    outage beyond a time to repair; `cliff`: a share of the fee once availability is below a limit.
    """

    PROPORTIONAL = "proportional"
    SHORTFALL = "shortfall"
    BANDED = "banded"
    PER_INCIDENT = "per_incident"
    CLIFF = "cliff"


class UnknownAs(StrEnum):
    """What unknown time counts as. `unproven`: only what is proven is claimed; `as_good`: as available; `as_down`: as
    downtime; `pro_rata`: like the time that is known.
    """

    UNPROVEN = "unproven"
    AS_GOOD = "as_good"
    AS_DOWN = "as_down"
    PRO_RATA = "pro_rata"


BY_THRESHOLD = frozenset({RuleKind.SHORTFALL, RuleKind.BANDED, RuleKind.CLIFF})  # availability decides, not downtime


def _as_number(least: float) -> WithJsonSchema:
    return WithJsonSchema({"type": "number", "minimum": least, "maximum": 100})


WRITTEN = PlainSerializer(float, return_type=float, when_used="json")
Share = Annotated[
    Decimal,
    Field(ge=Decimal("0.001"), le=100, decimal_places=3, allow_inf_nan=False),
    WRITTEN,
    _as_number(0.001),
]
Divisor = Annotated[Decimal, Field(ge=50, le=100, decimal_places=3, allow_inf_nan=False), WRITTEN, _as_number(50)]


class Band(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"below_pct": 99.5, "share_pct": 5}]}
    )

    below_pct: Share = Field(description="the band's upper limit: availability below it", examples=[99.5])
    share_pct: Share = Field(description="of the fee, in percent", examples=[5])


EXAMPLE: dict[str, Any] = {
    "kind": "banded",
    "bands": [{"below_pct": 99.5, "share_pct": 5}, {"below_pct": 98, "share_pct": 20}],
    "cap_pct": 100,
    "unknown": "unproven",
}


class RestitutionRule(BaseModel):
    """Fields of other kinds are null."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [EXAMPLE]})

    kind: RuleKind = Field(description="by what the amount is computed")
    divisor_pct: Divisor | None = Field(
        None, description="proportional: divide by this share of the service time instead of all", examples=[99.5]
    )
    bands: Annotated[tuple[Band, ...], Field(max_length=MAX_BANDS)] | None = Field(
        None, description="banded: limits descending, shares ascending", examples=[EXAMPLE["bands"]]
    )
    after_s: Annotated[int, Field(ge=0, le=WEEK_S)] | None = Field(
        None, description="per_incident: counted seconds of an outage that cost nothing", examples=[14_400]
    )
    per_hour_pct: Share | None = Field(
        None, description="per_incident: of the fee, for each begun hour beyond after_s", examples=[0.5]
    )
    per_hour_idr: Annotated[int, Field(ge=1, le=10**15)] | None = Field(
        None, description="per_incident: rupiah, for each begun hour beyond after_s", examples=[50_000]
    )
    below_pct: Share | None = Field(None, description="cliff: the limit of availability", examples=[95])
    share_pct: Share | None = Field(None, description="cliff: of the fee; null: all of it", examples=[100])
    cap_pct: Share = Field(
        100, validate_default=True, description="never more than this share of the fee", examples=[100]
    )
    unknown: UnknownAs = Field(UnknownAs.UNPROVEN, description="what unknown time counts as")


NO_OTHER_KIND = dict.fromkeys(("divisor_pct", "after_s", "per_hour_pct", "per_hour_idr", "below_pct", "share_pct"))


class RestitutionRuleOut(BaseModel):
    """Fields of other kinds are null."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE | NO_OTHER_KIND]})

    kind: RuleKind = Field(description="by what the amount is computed")
    divisor_pct: float | None = Field(description="proportional: the share of the service time", examples=[99.5])
    bands: list[Band] | None = Field(
        description="banded: limits descending, shares ascending", examples=[EXAMPLE["bands"]]
    )
    after_s: int | None = Field(description="per_incident: counted seconds that cost nothing", examples=[14_400])
    per_hour_pct: float | None = Field(description="per_incident: of the fee, for each begun hour", examples=[0.5])
    per_hour_idr: int | None = Field(description="per_incident: rupiah, for each begun hour", examples=[50_000])
    below_pct: float | None = Field(description="cliff: the limit of availability", examples=[95])
    share_pct: float | None = Field(description="cliff: of the fee; null: all of it", examples=[100])
    cap_pct: float = Field(description="never more than this share of the fee", examples=[100])
    unknown: UnknownAs = Field(description="what unknown time counts as")


NEEDED = {
    RuleKind.PROPORTIONAL: (),
    RuleKind.SHORTFALL: (),
    RuleKind.BANDED: ("bands",),
    RuleKind.PER_INCIDENT: ("after_s",),
    RuleKind.CLIFF: ("below_pct",),
}
ALLOWED = {
    RuleKind.PROPORTIONAL: ("divisor_pct",),
    RuleKind.SHORTFALL: (),
    RuleKind.BANDED: ("bands",),
    RuleKind.PER_INCIDENT: ("after_s", "per_hour_pct", "per_hour_idr"),
    RuleKind.CLIFF: ("below_pct", "share_pct"),
}
OF_ONE_KIND = ("divisor_pct", "bands", "after_s", "per_hour_pct", "per_hour_idr", "below_pct", "share_pct")


def stored(rule: RestitutionRule | None) -> dict[str, Any] | None:
    """Return the rule as its row keeps it: without the fields of other kinds."""
    return None if rule is None else rule.model_dump(mode="json", exclude_none=True)


def presented(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a stored rule with every field, as answers show it."""
    return None if row is None else RestitutionRule.model_validate(row).model_dump(mode="json")


def read(row: dict[str, Any] | None) -> RestitutionRule | None:
    return None if row is None else RestitutionRule.model_validate(row)


def check(rule: RestitutionRule) -> Iterator[Fault]:
    """Yield the faults between fields of a rule."""
    for name in NEEDED[rule.kind]:
        if getattr(rule, name) in {None, ()}:
            yield Fault(f"restitution.{name}", "missing", "This field is required")
    for name in OF_ONE_KIND:
        if getattr(rule, name) is not None and name not in ALLOWED[rule.kind]:
            yield Fault(
                f"restitution.{name}",
                "other_kind",
                "{field} is no part of a rule of kind {kind}",
                "Leave it out, or choose the kind that it belongs to",
                values={"field": name, "kind": rule.kind.value},
            )
    yield from _check_bands(rule.bands or ())
    if rule.kind is RuleKind.PER_INCIDENT:
        yield from _check_incidents(rule)


def _check_bands(bands: Sequence[Band]) -> Iterator[Fault]:
    for number, (before, band) in enumerate(pairwise(bands), start=1):
        if band.below_pct >= before.below_pct:
            yield Fault(
                f"restitution.bands.{number}.below_pct",
                "bands_overlap",
                "{given}% is not below {before}%, the limit of the band before it",
                "Write the bands from the highest limit to the lowest",
                row=number,
                values={"given": str(band.below_pct), "before": str(before.below_pct)},
            )
        if band.share_pct <= before.share_pct:
            yield Fault(
                f"restitution.bands.{number}.share_pct",
                "bands_fall",
                "{given}% is not above {before}%, the share of the band before it",
                "A lower availability has a greater share",
                row=number,
                values={"given": str(band.share_pct), "before": str(before.share_pct)},
            )


def _check_incidents(rule: RestitutionRule) -> Iterator[Fault]:
    if (rule.per_hour_pct is None) == (rule.per_hour_idr is None):
        yield Fault(
            "restitution.per_hour_pct",
            "one_of_two",
            "An hour has either a share of the fee or an amount",
            "Give per_hour_pct or per_hour_idr, and not both",
        )
    if rule.unknown is UnknownAs.PRO_RATA:
        yield Fault(
            "restitution.unknown",
            "no_rate",
            "Outages have no rate that unknown time could follow",
            "Choose unproven, as_good or as_down",
        )
