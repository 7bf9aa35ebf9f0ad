"""Admission of due speed tests, and the detection of buffering proxies."""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from app.profiles import Technology, profiles
from app.registry.models import State
from app.throughput.admission import AdmissionInputs, AdmissionVerdict, Decision, decide
from app.throughput.budget import MonthPlan, plan_month
from app.throughput.planner import allowance
from app.throughput.plausibility import is_buffered

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
LATER = NOW + timedelta(minutes=30)
READY = AdmissionInputs(
    active=True,
    state=State.UP,
    evidence_at=NOW - timedelta(seconds=40),
    valid_s=60,
    in_maintenance=False,
    last_ran_at=NOW - timedelta(hours=7),
    spacing_s=6 * 3600,
    left_bytes=100,
    cost_bytes=100,
    parent_busy=False,
    provider_busy=False,
)


def test_an_unobstructed_test_starts() -> None:
    assert decide(READY, None, LATER, NOW) == Decision(AdmissionVerdict.RUN)
    assert decide(replace(READY, last_ran_at=None), "too_soon", LATER, NOW) == Decision(AdmissionVerdict.RUN)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"active": False}, "not_active"),
        ({"in_maintenance": True}, "maintenance"),
        ({"state": State.DOWN}, "not_up"),
        ({"state": State.DEGRADED}, "not_up"),
        ({"evidence_at": NOW - timedelta(seconds=151)}, "not_up"),
        ({"evidence_at": None}, "not_up"),
        ({"left_bytes": 99}, "over_budget"),
    ],
)
def test_an_obstacle_that_stays_skips_the_test_at_once(changes: dict[str, object], reason: str) -> None:
    assert decide(replace(READY, **changes), None, LATER, NOW) == Decision(AdmissionVerdict.SKIP, reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"last_ran_at": NOW - timedelta(hours=5, minutes=50)}, "too_soon"),
        ({"parent_busy": True}, "parent_busy"),
        ({"provider_busy": True}, "provider_busy"),
        ({"push_due_at": NOW + timedelta(minutes=4)}, "agent_not_due"),
    ],
)
def test_a_passing_obstacle_is_waited_for_as_long_as_the_plan_allows(changes: dict[str, object], reason: str) -> None:
    waiting = replace(READY, **changes)  # type: ignore[arg-type]
    assert decide(waiting, None, LATER, NOW) == Decision(AdmissionVerdict.WAIT, reason)
    assert decide(waiting, reason, NOW - timedelta(seconds=1), NOW) == Decision(AdmissionVerdict.SKIP, reason)


def test_a_link_in_use_is_tried_again_five_minutes_later_until_the_hour_of_its_test_is_over() -> None:
    in_use = replace(READY, deferred_at=NOW - timedelta(minutes=4), push_due_at=NOW + timedelta(minutes=4))
    waits = Decision(AdmissionVerdict.WAIT, "link_in_use")
    assert decide(in_use, "link_in_use", LATER, NOW) == waits
    later = replace(in_use, deferred_at=NOW - timedelta(minutes=5))
    assert decide(later, "link_in_use", LATER, NOW) == waits, "its agent's push is not due yet"
    assert decide(replace(later, push_due_at=NOW), "link_in_use", LATER, NOW) == Decision(AdmissionVerdict.RUN)
    ended = Decision(AdmissionVerdict.SKIP, "deferred")
    assert decide(later, "provider_busy", NOW - timedelta(seconds=1), NOW) == ended


@pytest.mark.parametrize(
    ("figure_mbps", "our_ms", "agent_ms", "rtt_ms", "expected"),
    [
        (20.5, 2500, 3615, 30.0, False),  # nginx' kernel swallowed 3 MB at first: left out as a burst
        (34.7, 1600, 3615, 30.0, True),  # it swallowed half of it, all along
        (20.0, 6800, 9400, 600.0, False),  # 4 s of it were the rise, and 2.4 s the handshakes
        (20.0, 1200, 1800, 600.0, False),  # nothing is left beside the handshakes
        (None, 1600, 3615, 30.0, False),
    ],
)
def test_a_figure_that_the_agents_time_does_not_allow_is_none(
    figure_mbps: float | None, our_ms: int, agent_ms: float, rtt_ms: float, expected: bool
) -> None:
    assert is_buffered(9_000_000, our_ms, 9_000_000, agent_ms, figure_mbps=figure_mbps, rtt_ms=rtt_ms) is expected


def test_a_test_that_nobody_decided_on_in_time_is_skipped_as_stopped() -> None:
    assert decide(READY, None, NOW - timedelta(seconds=1), NOW) == Decision(AdmissionVerdict.SKIP, "stopped")


@pytest.mark.parametrize(
    ("our_ms", "agent_bytes", "agent_ms", "expected"),
    [
        (4000, 9_000_000, 4300, False),
        (4000, 9_000_000, 9000, False),  # its time has handshakes in it, and the rise
        (300, 9_000_000, 4300, True),
        (0, None, 4300, True),
        (4000, 1_000_000, 10_000, True),  # it gave up long after we were done
        (100, 100_000, 420, False),  # so short that a handshake makes the difference
        (None, 9_000_000, 4300, False),
        (4000, None, None, False),
    ],
)
def test_a_time_far_shorter_than_the_agents_is_that_of_a_proxy(
    our_ms: int | None, agent_bytes: int | None, agent_ms: float | None, expected: bool
) -> None:
    assert is_buffered(9_000_000, our_ms, agent_bytes, agent_ms) is expected


@dataclass
class Agent:
    """Pushes every five minutes at its own second; a granted test takes `takes_s`."""

    phase_s: int
    takes_s: int
    plan: MonthPlan
    waiting: list[datetime] = field(default_factory=list)

    def due_at(self, now: datetime) -> datetime:
        return now + timedelta(seconds=(self.phase_s - now.timestamp()) % 300)


@pytest.mark.parametrize(("technology", "sites"), [(Technology.CELLULAR, 166), (Technology.LEO, 200)])
def test_a_test_a_day_of_each_site_of_a_province_passes_one_gateway(technology: Technology, sites: int) -> None:
    month, chance = date(2026, 11, 1), random.Random(1)
    terms = allowance(profiles()[technology], None, pushes=True)
    agents = [
        Agent(chance.randrange(300), 35 if key % 4 else 230, plan_month(terms, month, key))
        for key in range(1, sites + 1)
    ]
    start, decided = datetime(2026, 11, 24, 16, tzinfo=UTC), Counter[str]()
    moments = [[one for one in agent.plan.moments if start <= one < start + timedelta(days=1)] for agent in agents]
    assert sum(map(len, moments)) == pytest.approx(sites, rel=0.05), "a test a day each"
    free_at = start
    for now in (start + timedelta(seconds=5 * tick) for tick in range(25 * 720)):
        for agent, due in zip(agents, moments, strict=True):
            while due and due[0] <= now:
                agent.waiting.append(due.pop(0))
            for moment in list(agent.waiting):
                inputs = replace(
                    READY, evidence_at=now, last_ran_at=None, provider_busy=now < free_at, push_due_at=agent.due_at(now)
                )
                decision = decide(inputs, "", agent.plan.waits_until(moment), now)
                if decision.verdict is not AdmissionVerdict.WAIT:
                    agent.waiting.remove(moment)
                    decided[decision.verdict] += 1
                if decision.verdict is AdmissionVerdict.RUN:
                    free_at = agent.due_at(now) + timedelta(seconds=agent.takes_s)
    assert decided["run"] > 0.99 * sites * 0.95, decided
    assert decided["skip"] <= sites / 100, decided
