"""Asks every room that keeps evidence what it knows of one second of a site."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.core.freshness import hold_s
from app.evidence.disagreements import Disagreement, disagreements
from app.evidence.look_statements import claim_statements, look_statements
from app.explaining import readings
from app.explaining.second import Second, explained_second
from app.judging.judge import BAD, GOOD
from app.measurements import near_looks
from app.profiles import profiles
from app.registry.models import Site
from app.streams import statements as streams
from app.telemetry import statements as telemetry
from app.visitors import statements as visitors
from app.witnesses import rules
from app.witnesses.kinds import Says, WitnessKind
from app.witnesses.statement import Statement
from probes.contract import LOOKS

MOST = 50  # statements; the rest would be of one witness that says the same again and again


async def evidence(session: AsyncSession, site: Site, at: datetime, *, caller: Caller, now: datetime) -> dict[str, Any]:
    """Return the fields of a SecondEvidenceOut of the second that begins at `at`."""
    second = await explained_second(session, site, at, caller=caller, now=now)
    statements = await statements_at(session, site, at, second)
    says = _ledger_says(second)
    witness = WitnessKind.CENTRAL if second.evidence is None or second.evidence in LOOKS else WitnessKind.AGENT
    return {
        "site_id": site.id,
        "code": site.code,
        "at": at,
        "ledger": _ledger(second),
        "statements": [_fields(statement, says) for statement in statements[:MOST]],
        "disagreements": [_disagreement(found) for found in disagreements(statements, says, witness)],
    }


async def statements_at(session: AsyncSession, site: Site, at: datetime, second: Second) -> Sequence[Statement]:
    """Return what all witnesses say of the second: those that may decide first, then by their beginning."""
    around = _reach()
    looks = await readings.load(session, site.id, at, None, around=around)
    near = await near_looks.find_last_lost(session, site.id, at - around, at)
    statements = [
        *look_statements(looks.around, at, near),
        *claim_statements(second.claims),
        *await streams.statements_at(session, site.id, at),
        *await telemetry.statements_at(session, site.id, at),
        *await visitors.statements_at(session, site.id, at),
    ]
    order = list(WitnessKind)
    return sorted(statements, key=lambda one: (one.is_claim, order.index(one.witness), one.started_at))


def _reach() -> timedelta:
    """How far back a reading may lie that still speaks of a second."""
    return timedelta(seconds=max(hold_s(max(each.interval_s, each.send_every_s)) for each in profiles().values()))


def _ledger_says(second: Second) -> Says:
    if second.segment is None:
        return Says.NOTHING
    state = second.segment.proven_state or second.segment.state
    return Says.UP if state in GOOD else Says.DOWN if state in BAD else Says.NOTHING


def _ledger(second: Second) -> dict[str, Any]:
    segment = second.segment
    return {
        "state": None if segment is None else segment.state,
        "unknown_reason": None if segment is None else segment.unknown_reason,
        "counts_as": second.kind,
        "started_at": None if segment is None else segment.started_at,
        "ended_at": None if segment is None or second.lasts else segment.ended_at,
    }


def _fields(statement: Statement, ledger_says: Says) -> dict[str, Any]:
    witness, says = statement.witness, statement.says
    return {
        "witness": witness,
        "says": says,
        "started_at": statement.started_at,
        "ended_at": statement.ended_at,
        "heard_at": statement.heard_at,
        "is_claim": statement.is_claim,
        "proves": not statement.is_claim and rules.proves(witness, says),
        "counts": not statement.is_claim and rules.decides(witness, says) and says is ledger_says,
        "may_prove": rules.may_prove(witness),
        "detail": dict(statement.detail),
    }


def _disagreement(found: Disagreement) -> dict[str, Any]:
    return {
        "up": found.up,
        "down": found.down,
        "believed": found.difference.believed,
        "is_checked": found.difference.is_checked,
        "words": found.words,
    }
