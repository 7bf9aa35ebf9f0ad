"""What our own looks and the device's reports say of a second, from readings as they were judged. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from app.core.clock import from_slot
from app.core.freshness import hold_s
from app.explaining.judged_reading import JudgedReading
from app.judging.claims import Claim
from app.judging.fold import median_us
from app.measurements.near import NearSeen
from app.witnesses.kinds import Says, WitnessKind
from app.witnesses.statement import Statement
from probes.contract import AGENT, CENTRAL, LOOKS, SILENCE, VANTAGES, Outcome

SECOND = timedelta(seconds=1)
SAYS = {Outcome.OK: Says.UP, Outcome.TIMEOUT: Says.DOWN, Outcome.FAULT: Says.NOTHING}


def look_statements(readings: Sequence[JudgedReading], at: datetime, near: NearSeen | None) -> Iterator[Statement]:
    """Yield what the newest reading of each witness says of the second, if it reaches as far; of each vantage's own.

    A reading speaks until its witness's next one, at most 2.5 of its intervals; a missed report is one of its device.
    `near`: the device's newest lost look before the second that told what it saw near itself.
    """
    judged = [one for one in readings if not one.is_claim]
    for source in (*VANTAGES, AGENT):
        own = [one for one in judged if _spoken_by(one) == source]
        newest = max((one for one in own if one.at <= at), key=lambda one: one.at, default=None)
        if newest is None:
            continue
        next_at = min((one.at for one in own if one.at > at), default=None)
        lapses_at = max(newest.at + timedelta(seconds=hold_s(newest.reading.valid_s)), newest.at + SECOND)
        ended_at = lapses_at if next_at is None else min(lapses_at, next_at)
        if at < ended_at:
            yield _statement(newest, ended_at, near)


def _spoken_by(judged: JudgedReading) -> str:
    return judged.reading.source if judged.reading.source in LOOKS else AGENT


def _witness(judged: JudgedReading) -> WitnessKind:
    return WitnessKind.CENTRAL if judged.reading.source in LOOKS else WitnessKind.AGENT


def _statement(judged: JudgedReading, ended_at: datetime, near: NearSeen | None) -> Statement:
    reading = judged.reading
    witness = _witness(judged)
    says = SAYS[judged.observation.outcome]
    detail: dict[str, Any] = {"sent": reading.sent, "received": len(reading.rtt_us)}
    if reading.rtt_us:
        detail["rtt_ms"] = round(median_us(reading) / 1000, 1)
    if reading.source == SILENCE:
        detail = {"missed_report": True}
    elif reading.outcome is Outcome.OK and not reading.sent:
        detail = {"arrival": True}
    if reading.source in LOOKS and reading.source != CENTRAL:
        detail["vantage"] = VANTAGES.index(reading.source)
    if judged.our_fault is not None:
        detail["our_fault"] = judged.our_fault
    if says is Says.DOWN and witness is WitnessKind.AGENT and near is not None and near.at >= judged.at:
        detail |= {name: answered for name, answered in near.near._asdict().items() if answered is not None}
    return Statement(witness, says, from_slot(reading.slot), ended_at, detail=detail)


def claim_statements(claims: Iterable[Claim]) -> Iterator[Statement]:
    """Yield what the device reported afterwards."""
    for claim in claims:
        if claim.started_at < claim.ended_at:
            stretch = (claim.started_at, claim.ended_at, claim.received_at)
            yield Statement(WitnessKind.AGENT, Says.UP, *stretch, is_claim=True)
