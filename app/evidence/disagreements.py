"""Where witnesses differ about a second: which is believed, and what follows, in words of both languages. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from app.core.words import Bilingual, in_words
from app.witnesses.kinds import Says, WitnessKind
from app.witnesses.rules import OURS, THEIRS, Believed, Difference, difference
from app.witnesses.statement import Statement


@dataclass(frozen=True, slots=True)
class Disagreement:
    """`up`: who says that it worked, `down`: who says that it did not."""

    up: WitnessKind
    down: WitnessKind
    difference: Difference
    words: Bilingual


def disagreements(
    statements: Sequence[Statement], ledger_says: Says, ledger_witness: WitnessKind
) -> list[Disagreement]:
    """Return each pair of witnesses that differ, once.

    Ours differ among themselves; all others are held against what the ledger made of ours (`ledger_witness`: whose
    evidence it rests on), and against each other. A claim differs from a proven outage alone.
    """
    found = {(one.up, one.down): one for one in _found(statements, ledger_says, ledger_witness)}
    return list(found.values())


def _found(statements: Sequence[Statement], ledger_says: Says, ledger_witness: WitnessKind) -> Iterator[Disagreement]:
    proven = [one for one in statements if not one.is_claim and one.says is not Says.NOTHING]
    for one, other in combinations(proven, 2):
        if one.witness is other.witness:
            continue  # of two vantages: that it is lost from one of them is a state, and no dispute
        if one.says is not other.says and (one.witness in OURS) is (other.witness in OURS):
            yield _between(one.witness, one.says, other.witness)
    if ledger_says is Says.NOTHING:
        return
    for one in proven:
        if one.witness not in OURS and one.says is not ledger_says:
            yield _between(one.witness, one.says, ledger_witness)


def _between(one: WitnessKind, says: Says, other: WitnessKind) -> Disagreement:
    up, down = (one, other) if says is Says.UP else (other, one)
    follows = difference(up, down)
    return Disagreement(up, down, follows, _words({up, down}, follows))


def _words(pair: set[WitnessKind], follows: Difference) -> Bilingual:
    if follows.is_checked:
        return in_words(
            "The provider's side says otherwise than we measured: our measurement stands, and the difference is looked "
            "at with the provider."
        )
    if follows.believed is Believed.NEITHER:
        return in_words("The terminal and the provider's system differ: nothing follows from either.")
    if follows.believed is Believed.ANSWER and WitnessKind.VISITOR in pair and pair & THEIRS:
        return in_words(
            "Somebody in the village had an answer, so it worked in that second, whatever the provider says."
        )
    if follows.believed is Believed.ANSWER:
        return in_words("One of ours had an answer, the other had none: the answer counts, for it came over the link.")
    return in_words(
        "Somebody in the village measured in this second, and the outage stays as it was found: the result stands "
        "beside it, for whoever gives the outage its cause."
    )
