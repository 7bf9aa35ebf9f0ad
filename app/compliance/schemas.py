"""What a published method says of providers' lines, part by part."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.availability.schemas import SettledUntil
from app.compliance.attested import MethodPart
from app.compliance.row import Basis
from app.compliance.shares import ComplianceVerdict, Doubt, PartResult
from app.core.moments import WitaMoment
from app.core.words import Words
from app.measurements.simulated_past import MarksSimulatedPast
from app.profiles import Technology

PASSES: dict[str, Any] = {"result": "passes", "doubt": None}
AVAILABILITY: dict[str, Any] = {
    **PASSES,
    "service_s": 55_641_600,
    "counted_down_s": 388_800,
    "excluded": {"power": 210_000},
    "unknown_s": 12_000,
    "claimed_s": 0,
    "availability_pct": 99.301,
    "worst_pct": 99.279,
    "best_pct": 99.301,
    "target_pct": 99.0,
}
EVENING_TESTS: dict[str, Any] = {"counted": 455, "passed": 372, "contested": 0, "pct": 81.758}
TESTS: dict[str, Any] = {
    **PASSES,
    "basis": "all",
    "of_sites": 7,
    "tested_sites": 7,
    "counted": 1_820,
    "passed": 1_612,
    "contested": 14,
    "unpromised": 0,
    "pct": 88.571,
    "worst_pct": 87.895,
    "best_pct": 88.658,
    "evening": EVENING_TESTS,
}
EVENING_LOOKS: dict[str, Any] = {"counted": 228_000, "passed": 218_100, "lost": 2_150, "pct": 95.657}
LOOKS: dict[str, Any] = {
    **PASSES,
    "limit_ms": 100,
    "measured_sites": 7,
    "counted": 918_000,
    "passed": 889_542,
    "lost": 8_160,
    "left_out": 3_480,
    "pct": 96.9,
    "evening": EVENING_LOOKS,
}
METHOD: dict[str, Any] = {
    "version": "Metode v1",
    "speed_of_contract_pct": 80,
    "tests_pct": 80,
    "looks_pct": 95,
    "limit_ms": {"fiber": 100, "radio": 100, "leo": 100, "cellular": 150, "geo": 750},
    "least_tests": 30,
    "least_tests_of_site": 5,
    "least_looks": 1000,
    "least_looks_of_site": 500,
    "least_sites_pct": 80,
    "evening_hours": [18, 24],
}
ROW: dict[str, Any] = {
    "provider": "telkom-wms",
    "provider_name": "Telkom WMS",
    "technology": "fiber",
    "contract_down_mbps": 20.0,
    "contract_up_mbps": 10.0,
    "sites": 7,
    "drawn_sites": 5,
    "verdict": "complies",
    "availability": AVAILABILITY,
    "download": TESTS,
    "upload": TESTS,
    "latency": LOOKS,
    "not_made": {"skipped_not_up": 31, "skipped_provider_busy": 4},
    "attested_sites": 2,
    "reason": {
        "id": "Memenuhi: setiap bagian lulus. Ketersediaan lulus: sekurang-kurangnya 99,279%, disyaratkan 99%.",
        "en": "Complies: every part passes. Availability passes: at least 99.279%, where 99% is required.",
    },
}
ATTESTED: dict[str, Any] = {
    "site_id": 7,
    "code": "64.02.05.2003-01",
    "name": "Muara Kaman Ulu",
    "village": "Muara Kaman Ulu",
    "subdistrict": "Muara Kaman",
    "district": "Kabupaten Kutai Kartanegara",
    "provider": "telkom-wms",
    "technology": "geo",
    "drawn": True,
    "part": "upload",
    "why": "skipped_over_budget",
    "count": 12,
}


class JudgedPart(BaseModel):
    """A part of the method, and what came of it."""

    result: PartResult = Field(description="what came of it", examples=["passes"])
    doubt: Doubt | None = Field(description="why it is undetermined; null if it is not", examples=["too_few"])


class AvailabilityPart(JudgedPart):
    """The contracts' seconds of all its sites added up, as `GET /sla` has them; by each contract's own target."""

    model_config = ConfigDict(json_schema_extra={"examples": [AVAILABILITY]})

    service_s: int = Field(description="seconds in service, within service hours", examples=[55_641_600])
    counted_down_s: int = Field(description="seconds down that the contracts count", examples=[388_800])
    excluded: dict[str, int] = Field(description="seconds left out, by reason", examples=[{"power": 210_000}])
    unknown_s: int = Field(description="seconds that are unknown", examples=[12_000])
    claimed_s: int = Field(description="seconds that rest on claims alone", examples=[0])
    availability_pct: float | None = Field(description="percent of the known seconds", examples=[99.301])
    worst_pct: float | None = Field(description="percent, if all that is unknown had been down", examples=[99.279])
    best_pct: float | None = Field(description="percent, if all that is unknown had been good", examples=[99.301])
    target_pct: float | None = Field(description="percent required; null where sites' targets differ", examples=[99.0])


class EveningTests(BaseModel):
    """The tests that began from 18:00 to 24:00 WITA: beside the verdict, no part of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EVENING_TESTS]})

    counted: int = Field(description="tests with a result and a contract's speed", examples=[455])
    passed: int = Field(description="of those, as fast as the method asks", examples=[372])
    contested: int = Field(description="tests that ran without a result", examples=[0])
    pct: float | None = Field(description="percent that passed, rounded down", examples=[81.758])


class SpeedPart(JudgedPart):
    """Speed tests of one direction, each held against the contract's speed of its own day."""

    model_config = ConfigDict(json_schema_extra={"examples": [TESTS]})

    basis: Basis = Field(description="whose tests count", examples=["all"])
    of_sites: int = Field(description="sites that these tests stand for", examples=[7])
    tested_sites: int = Field(description="of those, with the method's least number of tests", examples=[7])
    counted: int = Field(description="tests with a result and a contract's speed", examples=[1_820])
    passed: int = Field(description="of those, as fast as the method asks", examples=[1_612])
    contested: int = Field(
        description="tests that ran without a result, or were not taken by the device: in nobody's favour",
        examples=[14],
    )
    unpromised: int = Field(description="tests with a result on days without a contract's speed", examples=[0])
    pct: float | None = Field(description="percent that passed, rounded down", examples=[88.571])
    worst_pct: float | None = Field(description="percent, if all that is contested had failed", examples=[87.895])
    best_pct: float | None = Field(description="percent, if all that is contested had passed", examples=[88.658])
    evening: EveningTests = Field(description="of the evening alone")


class EveningLooks(BaseModel):
    """The looks from 18:00 to 24:00 WITA: beside the verdict, no part of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EVENING_LOOKS]})

    counted: int = Field(description="looks, at most one a minute", examples=[228_000])
    passed: int = Field(description="of those, within the limit", examples=[218_100])
    lost: int = Field(description="of those, without any answer", examples=[2_150])
    pct: float | None = Field(description="percent within the limit, rounded down", examples=[95.657])


class LatencyPart(JudgedPart):
    """Looks within the technology's limit; a lost look is a failed one, one that we failed to take is none."""

    model_config = ConfigDict(json_schema_extra={"examples": [LOOKS]})

    limit_ms: int = Field(description="round-trip time, in ms, that a look may take", examples=[100])
    measured_sites: int = Field(description="sites with the method's least number of looks", examples=[7])
    counted: int = Field(description="looks, at most one a minute", examples=[918_000])
    passed: int = Field(description="of those, within the limit", examples=[889_542])
    lost: int = Field(description="of those, without any answer", examples=[8_160])
    left_out: int = Field(
        description="looks of hours in maintenance, outside service hours, or with a cause that the contract excludes",
        examples=[3_480],
    )
    pct: float | None = Field(description="percent within the limit, rounded down", examples=[96.9])
    evening: EveningLooks = Field(description="of the evening alone")


class ComplianceRow(BaseModel):
    """The lines of one provider, technology and contract speed."""

    model_config = ConfigDict(json_schema_extra={"examples": [ROW]})

    provider: str
    provider_name: str = Field(description="the provider's name", examples=["Telkom WMS"])
    technology: Technology
    contract_down_mbps: float | None = Field(
        description="download speed that the contract promises, in Mbps; null: none", examples=[20.0]
    )
    contract_up_mbps: float | None = Field(
        description="upload speed that the contract promises, in Mbps; null: none", examples=[10.0]
    )
    sites: int = Field(description="sites within your scope that the row is about", examples=[7])
    drawn_sites: int = Field(description="of those, drawn by the period's sample", examples=[5])
    verdict: ComplianceVerdict = Field(description="what follows from the parts", examples=["complies"])
    availability: AvailabilityPart = Field(description="by contract")
    download: SpeedPart = Field(description="speed tests from the site's view, down")
    upload: SpeedPart = Field(description="speed tests from the site's view, up")
    latency: LatencyPart = Field(description="looks within the technology's limit")
    not_made: dict[str, int] = Field(
        description="planned tests without a result, by status and reason: deferred ones are told, never dropped",
        examples=[ROW["not_made"]],
    )
    attested_sites: int = Field(
        description="sites of which something could not be measured: `GET /compliance/attested`", examples=[2]
    )
    reason: Words = Field(description="verdict and parts, in words", examples=[ROW["reason"]])


class MethodOut(BaseModel):
    """The numbers of the method, as docs/metode.en.md explains them."""

    model_config = ConfigDict(json_schema_extra={"examples": [METHOD]})

    version: str = Field(description="its version; a version is never changed", examples=["Metode v1"])
    speed_of_contract_pct: int = Field(
        description="percent of the contract's speed that a test has to reach", examples=[80]
    )
    tests_pct: int = Field(description="percent of the tests that have to", examples=[80])
    looks_pct: int = Field(description="percent of the looks that have to be within the limit", examples=[95])
    limit_ms: dict[Technology, int] = Field(
        description="limit of a look's round-trip time, in ms, by technology", examples=[METHOD["limit_ms"]]
    )
    least_tests: int = Field(description="fewer tests of a row leave it undetermined", examples=[30])
    least_tests_of_site: int = Field(description="a site with fewer tests counts as untested", examples=[5])
    least_looks: int = Field(description="fewer looks of a row leave it undetermined", examples=[1000])
    least_looks_of_site: int = Field(description="a site with fewer looks counts as unmeasured", examples=[500])
    least_sites_pct: int = Field(description="percent of the sites that have to be measured", examples=[80])
    evening_hours: tuple[int, int] = Field(description="hours (WITA) of the evening", examples=[[18, 24]])


class ComplianceOut(MarksSimulatedPast):
    """Every provider's lines by technology and contract speed: whether they are what was promised."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-10-01T00:00:00+08:00",
                    "to": "2026-11-01T00:00:00+08:00",
                    "settled_until": "2026-11-01T00:00:00+08:00",
                    "method": METHOD,
                    "sample": None,
                    "notes": [],
                    "items": [ROW],
                    "simulated_until": None,
                }
            ]
        }
    )

    from_: WitaMoment = Field(alias="from", description="first day", examples=["2026-10-01T00:00:00+08:00"])
    to: WitaMoment = Field(description="end of the last day", examples=["2026-11-01T00:00:00+08:00"])
    settled_until: SettledUntil
    method: MethodOut = Field(description="the method's version and numbers")
    sample: str | None = Field(
        description="the period whose sample the drawn sites are of; null: none covers this one", examples=["2026-Q4"]
    )
    notes: list[Words] = Field(description="why the figures may still change, if they may", examples=[[]])
    items: list[ComplianceRow] = Field(description="by provider, technology and contract speed")


class AttestedRow(BaseModel):
    """Something of a site that could not be measured, or a planned test that has no result, with the reason."""

    model_config = ConfigDict(json_schema_extra={"examples": [ATTESTED]})

    site_id: int
    code: str
    name: str
    village: str
    subdistrict: str
    district: str
    provider: str
    technology: Technology
    drawn: bool = Field(description="whether the period's sample drew it", examples=[True])
    part: MethodPart = Field(description="the part that lacks it", examples=["upload"])
    why: str = Field(
        description="`no_contract`, `unknown_time`, `no_contract_speed`, `never_planned`, `one_direction`, "
        "`too_few_tests`, `too_few_looks`, `left_out`, `days_not_counted`, or a test's status and reason",
        examples=["skipped_over_budget"],
    )
    count: int = Field(
        description="how many tests or looks that were; seconds of `unknown_time`, days of `days_not_counted`",
        examples=[12],
    )


class AttestedOut(MarksSimulatedPast):
    """What could not be measured in a period, site by site."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-10-01T00:00:00+08:00",
                    "to": "2026-11-01T00:00:00+08:00",
                    "sample": None,
                    "items": [ATTESTED],
                    "next_cursor": None,
                    "simulated_until": None,
                }
            ]
        }
    )

    from_: WitaMoment = Field(alias="from", description="first day", examples=["2026-10-01T00:00:00+08:00"])
    to: WitaMoment = Field(description="end of the last day", examples=["2026-11-01T00:00:00+08:00"])
    sample: str | None = Field(description="the period whose sample drew sites; null: none", examples=["2026-Q4"])
    items: list[AttestedRow] = Field(description="by the sites' codes")
    next_cursor: str | None = Field(None, description="null at the end")
