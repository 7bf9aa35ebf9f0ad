"""Where two witnesses differ: our measurement stands, a visitor never ends an outage, an answer beats a loss."""

from datetime import UTC, datetime
from itertools import product

import pytest

from app.evidence.disagreements import disagreements
from app.witnesses import rules
from app.witnesses.kinds import Says, WitnessKind
from app.witnesses.rules import OURS, Believed
from app.witnesses.statement import Statement

AT = datetime(2026, 11, 24, 6, tzinfo=UTC)
CENTRAL, AGENT, STREAM = WitnessKind.CENTRAL, WitnessKind.AGENT, WitnessKind.STREAM
TERMINAL, PROVIDER, VISITOR = WitnessKind.TERMINAL, WitnessKind.PROVIDER, WitnessKind.VISITOR


def differ(ledger: Says, *said: tuple[WitnessKind, Says]) -> list[tuple[WitnessKind, WitnessKind, Believed, bool]]:
    statements = [Statement(witness, says, AT, None) for witness, says in said]
    found = disagreements(statements, ledger, CENTRAL)
    assert all(one.words["id"] and one.words["en"] for one in found)
    return [(one.up, one.down, one.difference.believed, one.difference.is_checked) for one in found]


def test_a_provider_that_says_up_through_an_outage_leaves_it_and_is_checked() -> None:
    assert differ(Says.DOWN, (CENTRAL, Says.DOWN), (PROVIDER, Says.UP)) == [(PROVIDER, CENTRAL, Believed.LEDGER, True)]
    assert differ(Says.UP, (CENTRAL, Says.UP), (TERMINAL, Says.DOWN)) == [(CENTRAL, TERMINAL, Believed.LEDGER, True)]


def test_a_visitor_in_an_outage_stands_beside_it() -> None:
    assert differ(Says.DOWN, (CENTRAL, Says.DOWN), (VISITOR, Says.UP)) == [(VISITOR, CENTRAL, Believed.LEDGER, False)]
    assert differ(Says.DOWN, (PROVIDER, Says.DOWN), (VISITOR, Says.UP)) == [
        (VISITOR, PROVIDER, Believed.ANSWER, False),
        (VISITOR, CENTRAL, Believed.LEDGER, False),
    ]


def test_of_ours_the_answer_counts() -> None:
    assert differ(Says.UP, (AGENT, Says.UP), (STREAM, Says.DOWN)) == [(AGENT, STREAM, Believed.ANSWER, False)]


@pytest.mark.parametrize("ledger", [Says.UP, Says.NOTHING], ids=str)
def test_who_agrees_or_says_nothing_differs_from_nobody(ledger: Says) -> None:
    assert differ(ledger, (CENTRAL, Says.UP), (VISITOR, Says.UP), (PROVIDER, Says.NOTHING)) == []


def test_a_claim_differs_from_nobody_since_it_proves_nothing() -> None:
    claim = Statement(AGENT, Says.UP, AT, None, is_claim=True)
    assert disagreements([claim, Statement(CENTRAL, Says.DOWN, AT, None)], Says.DOWN, CENTRAL) == []


def test_every_pair_that_can_differ_has_its_words() -> None:
    for one, other in product(WitnessKind, WitnessKind):
        if one is other or not rules.may_say(other, Says.DOWN):
            continue
        ledger = Says.NOTHING if {one, other} & OURS == set() else Says.DOWN if other in OURS else Says.UP
        assert differ(ledger, (one, Says.UP), (other, Says.DOWN)), (one, other)
