from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.core.moments import WitaMoment
from app.measurements.simulated_past import MarksSimulatedPast
from app.profiles import Technology
from app.throughput.models import Mode, SpeedtestStatus

Rounded = Annotated[float, AfterValidator(lambda value: round(value, 3))]

REASONS = (
    "skipped: not_up, not_active, maintenance, over_budget, too_soon, parent_busy, provider_busy, agent_not_due, "
    "agent_cannot, not_taken, deferred, stopped; waiting also: link_in_use. Without a result: too_short, too_little, "
    "still_rising, stalled, cut_off, no_answer, unreachable, refused, redirected, status 404 (as it was), certificate, "
    "forbidden, unresolvable, bad_url, no_http, buffered, not_reported, stopped"
)
TEST: dict[str, Any] = {
    "planned_at": "2026-11-24T14:40:12+08:00",
    "started_at": "2026-11-24T14:40:14+08:00",
    "ended_at": "2026-11-24T14:40:27+08:00",
    "mode": "push",
    "status": "done",
    "reason": None,
    "down_bytes": 8_900_000,
    "up_bytes": 2_900_000,
    "down_mbps": 17.4,
    "up_mbps": 4.9,
    "agent_down_mbps": 16.2,
    "agent_up_mbps": 4.7,
    "rtt_idle_ms": 612.0,
    "rtt_loaded_ms": 790.5,
    "contract_down_mbps": 20.0,
    "contract_up_mbps": 5.0,
    "deferrals": 0,
    "deferred_rx_bps": None,
    "deferred_tx_bps": None,
}
TOTAL: dict[str, Any] = {
    "planned": 3,
    "done": 1,
    "invalid": 0,
    "failed": 1,
    "skipped": 1,
    "open": 0,
    "down_mbps": 17.4,
    "down_p10_mbps": 17.4,
    "up_mbps": 4.9,
    "up_p10_mbps": 4.9,
    "down_of_contract_pct": 87.0,
    "up_of_contract_pct": 98.0,
    "under_half": 0,
    "bufferbloat_ms": 178.5,
}
BUDGET: dict[str, Any] = {
    "month": "2026-11-01",
    "budget_mb": 500.0,
    "spent_mb": 71.2,
    "tests_mb": 35.4,
    "push_mb": 33.8,
    "visits_mb": 2.0,
    "reserved_mb": 0.0,
    "push_to_come_mb": 10.5,
    "left_mb": 418.3,
}


class TestOut(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [TEST]})

    planned_at: WitaMoment = Field(description="when it was planned for")
    started_at: WitaMoment | None
    ended_at: WitaMoment | None
    mode: Mode
    status: SpeedtestStatus
    reason: str | None = Field(description=REASONS)
    down_bytes: int = Field(description="spent, warm-up included")
    up_bytes: int
    down_mbps: Rounded | None = Field(description="by the server's clock, without the warm-up: the figure that counts")
    up_mbps: Rounded | None
    agent_down_mbps: Rounded | None = Field(description="by the agent's clock, over the whole test")
    agent_up_mbps: Rounded | None = Field(description="upload speed by the agent's clock, in Mbps")
    rtt_idle_ms: Rounded | None = Field(description="round-trip time before the test, in ms")
    rtt_loaded_ms: Rounded | None = Field(description="under load, during the test")
    contract_down_mbps: Rounded | None = Field(description="contracted on the day of the test")
    contract_up_mbps: Rounded | None = Field(description="contracted upload speed on that day, in Mbps")
    deferrals: int = Field(description="how often its agent put it off because others used the link")
    deferred_rx_bps: int | None = Field(description="what the agent then counted down, in bit/s")
    deferred_tx_bps: int | None = Field(description="what the agent then counted up, in bit/s")


class BudgetOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [BUDGET]})

    month: date = Field(description="WITA, its first day")
    budget_mb: float = Field(description="what measuring may use in the month, in MB")
    spent_mb: float
    tests_mb: float
    push_mb: float = Field(description="spent on the site's own push reports")
    visits_mb: float = Field(description="spent by visitors who measured it")
    reserved_mb: float = Field(description="of running tests, and of ended tests whose cost is unknown")
    push_to_come_mb: float = Field(description="kept for push reports until the month ends")
    left_mb: float = Field(description="what is left of the budget, in MB")


class TotalOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [TOTAL]})

    planned: int = Field(description="tests planned")
    done: int = Field(description="tests with a result")
    invalid: int = Field(description="tests that did not measure the link")
    failed: int = Field(description="tests that failed")
    skipped: int = Field(description="tests that did not run")
    open: int = Field(description="waiting or running")
    down_mbps: float | None = Field(description="median of the tests that are done")
    down_p10_mbps: float | None = Field(description="nine of ten tests were faster")
    up_mbps: float | None
    up_p10_mbps: float | None
    down_of_contract_pct: float | None = Field(
        description="median of the tests' shares of the rate contracted on their day"
    )
    up_of_contract_pct: float | None
    under_half: int = Field(description="tests below half of the contracted download")
    bufferbloat_ms: float | None = Field(description="median increase of the round-trip time under load, never below 0")


class SiteThroughputOut(MarksSimulatedPast):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-11-24T08:00:00+08:00",
                    "to": "2026-11-25T08:00:00+08:00",
                    "budget": BUDGET,
                    "total": TOTAL,
                    "items": [TEST],
                    "next_cursor": None,
                }
            ]
        }
    )

    from_: WitaMoment = Field(alias="from")
    to: WitaMoment
    budget: BudgetOut = Field(description="of the month in which the period ends")
    total: TotalOut = Field(description="of all tests planned in the period")
    items: list[TestOut] = Field(description="latest first")
    next_cursor: str | None = None


GROUP: dict[str, Any] = {
    "technology": "geo",
    "sites": 24,
    "without_result": 3,
    "down_mbps": 9.8,
    "down_p10_mbps": 4.1,
    "up_mbps": 2.2,
    "up_p10_mbps": 0.9,
    "down_of_contract_pct": 82.0,
    "under_half": 2,
    "under_half_pct": 9.523,
    "bufferbloat_ms": 140.2,
    "tests": 610,
}


class GroupRow(BaseModel):
    """Figures of sites, not of tests: the median and p10 of the sites, each by the median of its tests."""

    model_config = ConfigDict(json_schema_extra={"examples": [GROUP]})

    technology: Technology | None = Field(description="null: all technologies")
    sites: int = Field(description="sites with a test that is done")
    without_result: int = Field(description="sites with planned tests, none of them done")
    down_mbps: float | None
    down_p10_mbps: float | None
    up_mbps: float | None
    up_p10_mbps: float | None
    down_of_contract_pct: float | None
    under_half: int = Field(description="sites whose median is below half of the contracted download")
    under_half_pct: float | None = Field(description="of the sites with a result and a contracted rate")
    bufferbloat_ms: float | None
    tests: int = Field(description="tests that are done")


COST: dict[str, Any] = {
    "first_month": "2026-11-01",
    "last_month": "2026-11-01",
    "spent_mb": 4210.7,
    "tests_mb": 3890.2,
    "push_mb": 300.5,
    "visits_mb": 20.0,
}


class CostOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [COST]})

    first_month: date = Field(description="WITA, its first day: budgets are of whole months")
    last_month: date = Field(description="the last month, by its first day")
    spent_mb: float = Field(description="tests_mb, push_mb and visits_mb together")
    tests_mb: float = Field(description="includes warm-ups and tests without a result")
    push_mb: float = Field(description="push reports of sites that are in the selection now")
    visits_mb: float = Field(description="visitors who measured sites that are in the selection now")


class GroupThroughputOut(MarksSimulatedPast):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-11-01T08:00:00+08:00",
                    "to": "2026-11-25T08:00:00+08:00",
                    "series": [GROUP],
                    "total": GROUP | {"technology": None},
                    "cost": COST,
                }
            ]
        }
    )

    from_: WitaMoment = Field(alias="from")
    to: WitaMoment
    series: list[GroupRow] = Field(description="one row per technology")
    total: GroupRow = Field(
        description="all technologies together: shares of the contract compare across technologies, rates and "
        "round-trip times do not; take those from `series`"
    )
    cost: CostOut = Field(description="of all months that the period overlaps")


SLOW: dict[str, Any] = {
    "site_id": 512,
    "code": "64.02.05.2003-01",
    "name": "Kantor Desa Muara Badak Ulu",
    "village_code": "64.02.05.2003",
    "technology": "geo",
    "provider": "telkom-wms",
    "tests": 24,
    "down_mbps": 4.1,
    "up_mbps": 0.9,
    "contract_down_mbps": 20.0,
    "share_pct": 20.5,
    "under_half": True,
    "spent_mb": 213.6,
    "last_test_at": "2026-11-24T14:40:14+08:00",
}


class SiteRow(BaseModel):
    """One site and technology: a site that was tested with two technologies has two rows."""

    model_config = ConfigDict(json_schema_extra={"examples": [SLOW]})

    site_id: int
    code: str
    name: str
    village_code: str = Field(description="at its last test, like provider and contract")
    technology: Technology
    provider: str
    tests: int = Field(description="tests that are done")
    down_mbps: Rounded | None = Field(description="median of its tests in the period")
    up_mbps: Rounded | None
    contract_down_mbps: Rounded | None = Field(description="contracted download speed at its last test, in Mbps")
    share_pct: Rounded | None = Field(description="median of the tests' shares of the rate contracted on their day")
    under_half: bool = Field(description="whether share_pct is below 50")
    spent_mb: Rounded = Field(description="cost of its tests, including those without a result")
    last_test_at: WitaMoment | None = Field(description="of the tests that are done")


class SitesThroughputOut(MarksSimulatedPast):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-11-01T08:00:00+08:00",
                    "to": "2026-11-25T08:00:00+08:00",
                    "items": [SLOW],
                    "next_cursor": None,
                }
            ]
        }
    )

    from_: WitaMoment = Field(alias="from")
    to: WitaMoment
    items: list[SiteRow] = Field(
        description="worst share first, then sites without a contract, last those without a test that is done"
    )
    next_cursor: str | None = None


SITE_BUDGET: dict[str, Any] = {
    "site_id": 512,
    "code": "64.02.05.2003-01",
    "name": "Kantor Desa Muara Badak Ulu",
    "village_code": "64.02.05.2003",
    "technology": "geo",
    "budget_mb": 500.0,
    "spent_mb": 412.7,
    "tests_mb": 330.2,
    "push_mb": 80.5,
    "visits_mb": 2.0,
    "expected_mb": 441.9,
    "spent_pct": 82.54,
    "expected_pct": 88.38,
}
TECHNOLOGY_BUDGET: dict[str, Any] = {
    "technology": "geo",
    "sites": 96,
    "near": 3,
    "over": 1,
    "budget_mb": 48_000.0,
    "spent_mb": 28_412.7,
}


class TechnologyBudget(BaseModel):
    technology: Technology
    sites: int = Field(description="sites that measuring costs data")
    near: int = Field(description="of them, those expected to spend 80 to 100 percent by the end of the month")
    over: int = Field(description="of them, those expected to spend more than their budget")
    budget_mb: float = Field(description="their budgets together, in MB")
    spent_mb: float


class SiteBudget(BaseModel):
    site_id: int
    code: str
    name: str
    village_code: str
    technology: Technology
    budget_mb: float = Field(description="what measuring may use in the month, in MB")
    spent_mb: float
    tests_mb: float
    push_mb: float = Field(description="spent on the site's own push reports, in MB", examples=[80.5])
    visits_mb: float = Field(description="spent by visitors who measured it, in MB")
    expected_mb: float = Field(
        description="spent, reserved, and what its push reports need until the month ends, in MB; without further tests"
    )
    spent_pct: float = Field(description="spent of the budget, percent")
    expected_pct: float = Field(description="expected of the budget, percent")


class BudgetsOut(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"month": "2026-11-01", "technologies": [TECHNOLOGY_BUDGET], "items": [SITE_BUDGET]}]
        }
    )

    month: date = Field(description="WITA, its first day")
    technologies: list[TechnologyBudget] = Field(description="sums by technology")
    items: list[SiteBudget] = Field(description="those that are expected to spend most of their budget first")
