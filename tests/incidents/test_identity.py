"""Incidents match the ledger however it is rewritten: in any order, and idempotently."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.incidents.outages import FAR_AHEAD, LedgerSegment, Outage, ServicePeriod, derive_outages, match_outages
from app.judging.claims import Claim
from app.postgres.engine import transaction
from app.registry.models import State
from tests.support.incident_scenario import IncidentScenario, LedgerPiece

START = datetime(2026, 11, 24, tzinfo=UTC)
STATES = st.sampled_from(["up", "down", "down", "unknown", "unreachable", "degraded"])
LEDGERS = st.lists(st.tuples(st.integers(1, 40), STATES), min_size=1, max_size=9)


def ledger_of(drawn: Sequence[tuple[int, str]]) -> list[LedgerPiece]:
    """From 0 on, the last one open, neighbours of different states."""
    states = [next(group) for _, group in itertools.groupby(drawn, key=lambda one: one[1])]
    found: list[LedgerPiece] = []
    start = 0
    for length, state in states:
        found.append((start, start + length, state))
        start += length
    found[-1] = (found[-1][0], None, found[-1][2])
    return found


def expected(ledger: Sequence[LedgerPiece]) -> list[tuple[int, int | None]]:
    """Return the outages by a naive scan of the ledger."""
    found: list[tuple[int, int | None]] = []
    begun: int | None = None
    for start, _, state in ledger:
        if state in {"up", "degraded"} and begun is not None:
            found.append((begun, start))
            begun = None
        elif state == "down" and begun is None:
            begun = start
    return [*found, (begun, None)] if begun is not None else found


@given(LEDGERS)
def test_outages_are_those_that_a_reader_of_the_ledger_would_mark(drawn: list[tuple[int, str]]) -> None:
    ledger = ledger_of(drawn)
    found = derive_outages(_segments(ledger), [ServicePeriod(START, None)])
    marked = [(_second(one.started_at), one.ended_at and _second(one.ended_at)) for one in found]
    assert marked == expected(ledger)
    assert all(one.unseen_s >= 0 for one in found)


@given(LEDGERS, LEDGERS)
def test_every_outage_is_one_known_one_at_most(one: list[tuple[int, str]], other: list[tuple[int, str]]) -> None:
    known, found = (derive_outages(_segments(ledger_of(drawn)), [ServicePeriod(START, None)]) for drawn in (one, other))
    pairs = match_outages(known, found)
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
    assert match_outages(known, known) == [(same, same) for same in known]
    paired = {a for a, _ in pairs} | {b for _, b in pairs}
    for a, b in itertools.product(known, found):
        if a not in paired and b not in paired:
            assert not _overlap(a, b), "two that overlap are left without each other"


def test_what_a_device_measured_between_the_last_loss_and_the_push_that_says_so_contests_nothing() -> None:
    def at(second: int) -> datetime:
        return START + timedelta(seconds=second)

    def refuted_s(start: int, end: int) -> int | None:
        outage = LedgerSegment(at(0), at(600), State.DOWN, last_loss_at=at(540))
        claim = Claim(1, at(start), at(end), received_at=at(600))
        (found,) = derive_outages([outage], [ServicePeriod(START, None)], [claim])
        return None if found.refuted_at is None else found.refuted_s

    assert refuted_s(550, 600) is None
    assert refuted_s(300, 360) == 60


async def test_incidents_come_to_what_the_ledger_says_however_it_is_rewritten(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    drawn: list[list[list[tuple[int, str]]]] = []

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(st.lists(LEDGERS, min_size=1, max_size=4))
    def collect(ledgers: list[list[tuple[int, str]]]) -> None:
        drawn.append(ledgers)

    collect()
    for number, ledgers in enumerate(drawn):
        for one in ledgers:
            ledger = ledger_of(one)
            if number % 2:
                await scenario.write(site, *ledger)
            else:  # piecemeal, and the later stretches first
                await scenario.write(site, *ledger, reconcile=False)
                for start in range(400, -10, -50):
                    await scenario.reconcile((site, start, start + 50))
            assert await recorded_outages(scenario, site) == expected(ledger), (ledgers, one)
            before = await scenario.dump_tables()
            await scenario.reconcile((site, 0, 40), (site, 30, 400))
            assert await scenario.dump_tables() == before
    assert await scenario.count("incident WHERE status <> 'withdrawn' AND merged_into IS NOT NULL") == 0


async def recorded_outages(scenario: IncidentScenario, site: int) -> list[tuple[int | None, int | None]]:
    """Return (start, end) of outages not withdrawn; assert that each incident has its outage's bounds and status."""
    async with transaction(scenario.sessions) as session:
        rows = await session.execute(
            text(
                "SELECT m.started_at, m.ended_at, i.started_at, i.ended_at, i.status FROM incident_site m "
                "JOIN incident i ON i.id = m.incident_id WHERE site_id = :id AND withdrawn_at IS NULL ORDER BY 1"
            ),
            {"id": site},
        )
        found = []
        for start, end, from_, to, status in rows:
            assert (start, end, status) == (from_, to, "resolved" if end else "open")
            found.append((scenario.second(start), scenario.second(end)))
        return found


def _segments(ledger: Sequence[LedgerPiece]) -> list[LedgerSegment]:
    def at(second: int) -> timedelta:
        return timedelta(seconds=second)

    return [LedgerSegment(START + at(a), None if b is None else START + at(b), State(state)) for a, b, state in ledger]


def _second(moment: datetime) -> int:
    return round((moment - START).total_seconds())


def _overlap(one: Outage, other: Outage) -> bool:
    return max(one.started_at, other.started_at) < min(one.ended_at or FAR_AHEAD, other.ended_at or FAR_AHEAD)
