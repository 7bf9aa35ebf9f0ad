"""Decide whether a speed test that is due starts, waits or is skipped. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.core.freshness import holds
from app.registry.models import State

GRANT_LEAD = timedelta(seconds=20)  # before the agent's next push: a grant issued earlier would block its gateway
DEFERRAL = timedelta(minutes=5)  # until a link that was in use is tried again: others wait for its gateway meanwhile
LINK_IN_USE = "link_in_use"


class AdmissionVerdict(StrEnum):
    RUN = "run"
    WAIT = "wait"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: AdmissionVerdict
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AdmissionInputs:
    """The state of a test's site at the moment of the decision."""

    active: bool  # in service, and tested in the mode that was planned
    state: State
    evidence_at: datetime | None
    valid_s: int
    in_maintenance: bool
    last_ran_at: datetime | None
    spacing_s: int
    left_bytes: int  # of the month's budget, less reservations and the expected cost of pushes
    cost_bytes: int
    parent_busy: bool
    provider_busy: bool
    push_due_at: datetime | None = None  # None: not a push site, or its agent is overdue
    agent_supported: bool = True  # True for an unknown agent
    deferred_at: datetime | None = None  # when its agent last gave the grant back because the link was in use


def decide(site: AdmissionInputs, waited_for: str | None, waits_until: datetime, now: datetime) -> Decision:
    """`waited_for`: the reason of the last decision to wait, or None before the first decision."""
    if now > waits_until:
        return Decision(AdmissionVerdict.SKIP, "deferred" if site.deferred_at else waited_for or "stopped")
    if reason := _reason_to_skip(site, now):
        return Decision(AdmissionVerdict.SKIP, reason)
    if reason := _reason_to_wait(site, now):
        return Decision(AdmissionVerdict.WAIT, reason)
    return Decision(AdmissionVerdict.RUN)


def _reason_to_skip(site: AdmissionInputs, now: datetime) -> str | None:
    """Return a reason that will not pass before the test's time is over."""
    if not site.active:
        return "not_active"
    if site.in_maintenance:
        return "maintenance"
    if not site.agent_supported:
        return "agent_cannot"
    is_up = site.state is State.UP and site.evidence_at is not None and holds(site.evidence_at, site.valid_s, now)
    if not is_up:
        return "not_up"
    return "over_budget" if site.left_bytes < site.cost_bytes else None


def _reason_to_wait(site: AdmissionInputs, now: datetime) -> str | None:
    if site.deferred_at is not None and now < site.deferred_at + DEFERRAL:
        return LINK_IN_USE
    if site.last_ran_at is not None and now < site.last_ran_at + timedelta(seconds=site.spacing_s):
        return "too_soon"
    if site.parent_busy:
        return "parent_busy"
    if site.provider_busy:
        return "provider_busy"
    if site.push_due_at is not None and site.push_due_at - GRANT_LEAD > now:
        return "agent_not_due" if site.deferred_at is None else LINK_IN_USE
    return None
