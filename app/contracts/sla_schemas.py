"""The month's list: rows of sites under contracts, and sums over them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.availability.contract_schemas import (
    CONTRACT,
    VERDICT,
    ContractFigures,
    ContractReference,
    ContractStretch,
    CoveredTime,
)
from app.availability.schemas import SettledUntil
from app.availability.verdict_counts import COUNTS, VerdictCounts
from app.core.moments import WitaMoment
from app.core.words import Words
from app.measurements.simulated_past import MarksSimulatedPast
from app.profiles import Technology
from app.registry.models import LinkRole

SITE: dict[str, Any] = {
    "site_id": 7,
    "code": "64.02.05.2003-01",
    "name": "Muara Kaman Ulu",
    "service_no": "SID-20314",
    "village_code": "64.02.05.2003",
    "village": "Muara Kaman Ulu",
    "subdistrict": "Muara Kaman",
    "district": "Kabupaten Kutai Kartanegara",
    "technology": "fiber",
    "provider": "telkom-wms",
}
ROW: dict[str, Any] = {**SITE, **VERDICT, "closed_at": None, "correction": None}
SECONDS = ("service_s", "good_s", "counted_down_s", "excluded", "unknown_s", "claimed_s")
SUM: dict[str, Any] = {
    "sites": 1,
    **{name: VERDICT[name] for name in (*SECONDS, "availability_pct", "worst_pct", "best_pct")},
    "verdicts": {**dict.fromkeys(COUNTS, 0), "met": 1},
}


class SlaFigures(ContractFigures):
    """What was counted of a site under a contract; without a contract nothing was."""

    contract: ContractReference | None = Field(
        description="the contract; null for a site that was in service under none", examples=[CONTRACT]
    )
    link_role: LinkRole | None = Field(description="the link that the contract is for", examples=["primary"])
    covered: CoveredTime | None = Field(
        description="when the site was under it within the period", examples=[VERDICT["covered"]]
    )
    whole_period: bool = Field(description="whether that is all of the period", examples=[False])
    reason: Words = Field(
        description="verdict, what counted, what was left out and what is covered, in words; or why there is none",
        examples=[VERDICT["reason"]],
    )
    stretches: list[ContractStretch] = Field(
        description="by terms, where they changed within the period; each needs its own target. Else empty",
        examples=[[]],
    )


class SlaCorrection(SlaFigures):
    """A closed month's figures by what became known later."""

    recorded_at: WitaMoment = Field(description="when it was corrected", examples=["2026-11-12T10:00:00+08:00"])
    corrected_because: str = Field(description="what changed after the month was closed", examples=["late readings"])


class SlaRow(SlaFigures):
    """A site under a contract in the period, or one that was in service without any.

    Village, provider and technology are those with which it was last in service in that time.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [ROW]})

    site_id: int = Field(description="the site's id", examples=[7])
    code: str = Field(description="the site's code", examples=[SITE["code"]])
    name: str = Field(description="the site's name", examples=[SITE["name"]])
    service_no: str | None = Field(description="the provider's number of the service", examples=[SITE["service_no"]])
    village_code: str = Field(description="Kemendagri code of its village", examples=[SITE["village_code"]])
    village: str = Field(description="desa or kelurahan", examples=[SITE["village"]])
    subdistrict: str = Field(description="kecamatan", examples=[SITE["subdistrict"]])
    district: str = Field(description="kabupaten or kota", examples=[SITE["district"]])
    technology: Technology = Field(description="how it was connected", examples=["fiber"])
    provider: str = Field(description="slug of its provider", examples=["telkom-wms"])
    closed_at: WitaMoment | None = Field(
        description="when the month was closed: its figures never change since; null: not closed, or no whole month",
        examples=["2026-11-09T08:10:00+08:00"],
    )
    correction: SlaCorrection | None = Field(description="the latest correction of a closed month, beside its figures")


class SlaSum(BaseModel):
    """Seconds of many rows added up; percentages are of these sums, never averaged."""

    model_config = ConfigDict(json_schema_extra={"examples": [SUM]})

    sites: int = Field(description="sites among the rows", examples=[1])
    service_s: int = Field(description="seconds in service, within service hours", examples=[SUM["service_s"]])
    good_s: int = Field(description="seconds that were good", examples=[SUM["good_s"]])
    counted_down_s: int = Field(description="seconds down that count", examples=[SUM["counted_down_s"]])
    excluded: dict[str, int] = Field(description="seconds left out, by reason", examples=[SUM["excluded"]])
    unknown_s: int = Field(description="seconds that are unknown", examples=[SUM["unknown_s"]])
    claimed_s: int = Field(description="seconds that rest on claims alone", examples=[0])
    availability_pct: float | None = Field(description="percent of the known seconds", examples=[99.119])
    worst_pct: float | None = Field(description="percent, if all that is unknown had been down", examples=[99.062])
    best_pct: float | None = Field(description="percent, if all that is unknown had been good", examples=[99.12])
    verdicts: VerdictCounts = Field(description="rows by what came of them", examples=[SUM["verdicts"]])


class SlaContractSum(SlaSum):
    """The sum of a contract's rows."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"contract": CONTRACT, **SUM}]})

    contract: ContractReference = Field(description="the contract", examples=[CONTRACT])


class SlaProviderSum(SlaSum):
    """The sum of a provider's rows."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"provider": "telkom-wms", "name": "Telkom WMS", **SUM}]})

    provider: str = Field(description="the provider's slug", examples=["telkom-wms"])
    name: str = Field(description="the provider's name", examples=["Telkom WMS"])


class SlaDistrictSum(SlaSum):
    """The sum of a district's rows."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "64.02", "name": "Kabupaten Kutai Kartanegara", **SUM}]}
    )

    code: str = Field(description="Kemendagri code of the kabupaten or kota", examples=["64.02"])
    name: str = Field(description="the district's name", examples=["Kabupaten Kutai Kartanegara"])


class SlaTotals(BaseModel):
    """Sums over all rows that match, whichever page is read."""

    whole: SlaSum = Field(alias="all", description="over all rows")
    by_contract: list[SlaContractSum] = Field(description="by contract; without the sites that were under none")
    by_provider: list[SlaProviderSum] = Field(description="by provider")
    by_district: list[SlaDistrictSum] = Field(description="by district")


class SlaOut(MarksSimulatedPast):
    """Which sites met their contracts in a period."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-10-01T00:00:00+08:00",
                    "to": "2026-11-01T00:00:00+08:00",
                    "settled_until": "2026-11-01T00:00:00+08:00",
                    "notes": [],
                    "items": [ROW],
                    "next_cursor": None,
                    "totals": {
                        "all": SUM,
                        "by_contract": [{"contract": CONTRACT, **SUM}],
                        "by_provider": [{"provider": "telkom-wms", "name": "Telkom WMS", **SUM}],
                        "by_district": [{"code": "64.02", "name": "Kabupaten Kutai Kartanegara", **SUM}],
                    },
                    "simulated_until": None,
                }
            ]
        }
    )

    from_: WitaMoment = Field(
        alias="from", description="first second of the period", examples=["2026-10-01T00:00:00+08:00"]
    )
    to: WitaMoment = Field(description="end of the period", examples=["2026-11-01T00:00:00+08:00"])
    settled_until: SettledUntil
    notes: list[Words] = Field(
        description="why the figures may still change, or differ from those of a berita acara", examples=[[]]
    )
    items: list[SlaRow] = Field(description="by the sites' codes")
    next_cursor: str | None = Field(None, description="null at the end")
    totals: SlaTotals = Field(description="over all rows that match, not of this page alone")
