"""Which witness is believed: what each may say and prove, how far in time, and what follows when two differ. Pure.

docs/witnesses.md has these tables in words, and `tests/witnesses` compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.witnesses.kinds import Provable, Says, WitnessKind


class Reach(StrEnum):
    """How far a proof reaches in time: `look`: to the next look, at most 2.5 intervals; `losses`: from the first lost
    look to the next answer, once two in a row are lost; `beat`: from each beat to the next; `break`: while a break
    certainly lasted; `second`: the second in which the result arrived; `outage`: the outage that it was reported of.
    """

    LOOK = "look"
    LOSSES = "losses"
    BEAT = "beat"
    BREAK = "break"
    SECOND = "second"
    OUTAGE = "outage"


@dataclass(frozen=True, slots=True)
class WitnessRule:
    """`may_say`: what its statements may be; `proves`: what of that is proven, and how far; `decides`: which of these
    proofs make the site's state, and so what is counted."""

    may_say: frozenset[Says]
    proves: Mapping[Provable, Reach]
    decides: frozenset[Provable] = frozenset()


ANYTHING = frozenset(Says)
STATE = frozenset({Provable.UP, Provable.DOWN})
RULES: Mapping[WitnessKind, WitnessRule] = {
    WitnessKind.CENTRAL: WitnessRule(ANYTHING, {Provable.UP: Reach.LOOK, Provable.DOWN: Reach.LOSSES}, STATE),
    WitnessKind.AGENT: WitnessRule(
        ANYTHING, {Provable.UP: Reach.LOOK, Provable.DOWN: Reach.LOSSES, Provable.CAUSE: Reach.OUTAGE}, STATE
    ),
    WitnessKind.STREAM: WitnessRule(
        ANYTHING, {Provable.UP: Reach.BEAT, Provable.DOWN: Reach.BREAK}, frozenset({Provable.UP})
    ),
    WitnessKind.TERMINAL: WitnessRule(ANYTHING, {Provable.CAUSE: Reach.OUTAGE}),
    WitnessKind.PROVIDER: WitnessRule(ANYTHING, {}),
    WitnessKind.VISITOR: WitnessRule(frozenset({Says.UP, Says.NOTHING}), {Provable.UP: Reach.SECOND}),
}


class Believed(StrEnum):
    """Of two witnesses that differ: `answer`: whoever had an answer, for it cannot be made up of a loss; `ledger`: what
    our own looks and the device's reports made of it; `neither`: nothing follows from either.
    """

    ANSWER = "answer"
    LEDGER = "ledger"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Difference:
    """`is_checked`: it is a finding of the registry's checks, and a line in the berita acara."""

    believed: Believed
    is_checked: bool = False


OURS = frozenset({WitnessKind.CENTRAL, WitnessKind.AGENT, WitnessKind.STREAM})
THEIRS = frozenset({WitnessKind.TERMINAL, WitnessKind.PROVIDER})


def difference(one: WitnessKind, other: WitnessKind) -> Difference:
    """Return what follows where one says up and the other down, of the same second."""
    pair = {one, other}
    if pair <= OURS:
        return Difference(Believed.ANSWER)
    if pair & OURS:
        return Difference(Believed.LEDGER, is_checked=bool(pair & THEIRS))
    return Difference(Believed.ANSWER if WitnessKind.VISITOR in pair else Believed.NEITHER)


def may_say(witness: WitnessKind, says: Says) -> bool:
    return says in RULES[witness].may_say


def may_prove(witness: WitnessKind) -> list[Provable]:
    return [proof for proof in Provable if proof in RULES[witness].proves]


def proves(witness: WitnessKind, says: Says) -> bool:
    """Whether a statement of that kind proves what it says of the link."""
    return says is not Says.NOTHING and Provable(says.value) in RULES[witness].proves


def decides(witness: WitnessKind, says: Says) -> bool:
    """Whether such a statement makes the site's state."""
    return says is not Says.NOTHING and Provable(says.value) in RULES[witness].decides
