"""Which witness is believed: the table in code, the page that has it in words, and the statements that keep to it."""

from datetime import UTC, datetime, timedelta
from itertools import combinations, product

import pytest

from app.settings import ROOT
from app.witnesses import rules
from app.witnesses.kinds import Provable, Says, WitnessKind
from app.witnesses.rules import OURS, RULES, THEIRS, Believed, difference
from app.witnesses.statement import Statement

AT = datetime(2026, 11, 24, 6, tzinfo=UTC)


def rows(page: str, cells: int) -> list[list[str]]:
    """Return the rows of the page's tables with so many columns that begin with a witness."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    found = [[cell.strip("` ") for cell in line.strip("| ").split(" | ")] for line in lines if line.startswith("|")]
    return [row for row in found if len(row) == cells and row[0] in set(WitnessKind)]


def test_the_page_says_what_each_witness_may_prove() -> None:
    assert rows("witnesses.md", 6) == [
        [
            witness.value,
            ", ".join(says for says in Says if says in rule.may_say),
            *(rule.proves[proof].value if proof in rule.proves else "–" for proof in Provable),
            ", ".join(proof for proof in Provable if proof in rule.decides) or "–",
        ]
        for witness, rule in RULES.items()
    ]


def test_the_page_says_what_follows_where_any_two_differ() -> None:
    said = {frozenset(row[:2]): row[2:] for row in rows("witnesses.md", 4)}
    differences = {frozenset(pair): difference(*pair) for pair in combinations(WitnessKind, 2)}
    assert said == {
        frozenset(pair): [found.believed.value, "yes" if found.is_checked else "no"]
        for pair, found in differences.items()
    }
    assert all(difference(one, other) == difference(other, one) for one, other in combinations(WitnessKind, 2))


def test_the_indonesian_page_proves_the_same() -> None:
    lines = (ROOT / "docs/saksi.md").read_text(encoding="utf-8").splitlines()
    for witness, rule in RULES.items():
        (line,) = (line for line in lines if f"(`{witness}`)" in line)
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")][2:]
        assert [cell != "tidak" for cell in cells[:3]] == [proof in rule.proves for proof in Provable], witness
        assert (cells[3] != "tidak") == bool(rule.decides), witness


def test_every_witness_has_a_rule_and_decides_nothing_that_it_does_not_prove() -> None:
    assert set(RULES) == set(WitnessKind) == OURS | THEIRS | {WitnessKind.VISITOR}
    assert all(rule.decides <= set(rule.proves) for rule in RULES.values())
    assert all(
        proof is Provable.CAUSE or Says(proof.value) in rule.may_say for rule in RULES.values() for proof in rule.proves
    )


def test_neither_a_provider_nor_a_terminal_nor_a_visitor_ever_makes_a_state() -> None:
    assert [
        (witness, says)
        for witness, says in product(WitnessKind, Says)
        if rules.decides(witness, says) and witness not in OURS
    ] == []
    assert not rules.decides(WitnessKind.STREAM, Says.DOWN)
    for ours, theirs in product(OURS, THEIRS):
        assert difference(ours, theirs).believed is Believed.LEDGER


@pytest.mark.parametrize(("witness", "says"), list(product(WitnessKind, Says)))
def test_a_statement_that_a_witness_cannot_make_is_refused(witness: WitnessKind, says: Says) -> None:
    """A visitor never says down: that nobody measures proves nothing."""
    if rules.may_say(witness, says):
        assert Statement(witness, says, AT, None).says is says
    else:
        assert (witness, says) == (WitnessKind.VISITOR, Says.DOWN)
        with pytest.raises(ValueError, match="a visitor cannot say down"):
            Statement(witness, says, AT, None)


def test_a_statement_speaks_of_at_least_a_second() -> None:
    Statement(WitnessKind.AGENT, Says.UP, AT, AT + timedelta(seconds=1))
    with pytest.raises(ValueError, match="without a second"):
        Statement(WitnessKind.AGENT, Says.UP, AT, AT)
