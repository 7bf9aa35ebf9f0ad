"""Whether a test whose moment has come begins, waits or is left out: pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.core.freshness import holds
from app.registry.models import State

COMING_SOON = timedelta(seconds=20)  # a grant waits for an agent that is about to come: nobody else has a turn then


class Verdict(StrEnum):
    RUN = "run"
    WAIT = "wait"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a test's site at that moment."""

    active: bool  # in service, and measured as planned
    state: State
    evidence_at: datetime | None
    valid_s: int
    in_maintenance: bool
    last_ran_at: datetime | None
    spacing_s: int
    left_bytes: int  # of the month's budget, with what is reserved and what pushing will cost taken off
    cost_bytes: int
    parent_busy: bool
    provider_busy: bool
    push_due_at: datetime | None = None  # of a push site whose agent was heard
    agent_can: bool = True  # and does speed tests, as far as is known


def decide(site: Standing, waited_for: str | None, waits_until: datetime, now: datetime) -> Decision:
    """`waited_for`: what was in its way when it was looked at last; None when nobody has looked."""
    if now > waits_until:
        return Decision(Verdict.SKIP, waited_for or "stopped")
    if reason := _never(site, now):
        return Decision(Verdict.SKIP, reason)
    if reason := _not_yet(site, now):
        return Decision(Verdict.WAIT, reason)
    return Decision(Verdict.RUN)


def _never(site: Standing, now: datetime) -> str | None:
    if not site.active:
        return "not_active"
    if site.in_maintenance:
        return "maintenance"
    if not site.agent_can:
        return "agent_cannot"
    is_up = site.state is State.UP and site.evidence_at is not None and holds(site.evidence_at, site.valid_s, now)
    if not is_up:
        return "not_up"
    return "over_budget" if site.left_bytes < site.cost_bytes else None


def _not_yet(site: Standing, now: datetime) -> str | None:
    if site.last_ran_at is not None and now < site.last_ran_at + timedelta(seconds=site.spacing_s):
        return "too_soon"
    if site.parent_busy:
        return "parent_busy"
    if site.provider_busy:
        return "provider_busy"
    if site.push_due_at is not None and site.push_due_at - COMING_SOON > now:
        return "agent_not_due"
    return None
