"""What a site's month under a contract pays back, exact to the rupiah, with the arithmetic written out. Pure.

Amounts are fractions until the end: a month is rounded once, half up, to whole rupiah.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from app.contracts.fee_stretch import CountedOutage as CountedOutage
from app.contracts.fee_stretch import FeeStretch as FeeStretch
from app.contracts.fee_stretch import taken_together
from app.contracts.restitution_amounts import RestitutionStatus as RestitutionStatus
from app.contracts.restitution_amounts import compute_amounts
from app.contracts.restitution_words import steps_in_words
from app.contracts.rupiah import round_half_up
from app.core.words import Bilingual

BY_WEIGHT = (
    RestitutionStatus.DUE,
    RestitutionStatus.NOT_PROVABLE,
    RestitutionStatus.NO_FEE,
    RestitutionStatus.NO_RULE,
)


@dataclass(frozen=True, slots=True)
class Restitution:
    """`least_idr` and `most_idr`: with all unknown time good, and with all of it down."""

    idr: int
    least_idr: int
    most_idr: int
    status: RestitutionStatus
    steps: list[Bilingual]


def compute_restitution(months: Sequence[FeeStretch]) -> Restitution:
    """Return what the stretches of one site's link under one contract in one month pay back together."""
    amounts = [compute_amounts(group) for group in taken_together(months)]
    idr, least_idr, most_idr = (
        round_half_up(sum((getattr(each, name) for each in amounts), Fraction(0)))
        for name in ("claimed", "least", "most")
    )
    statuses = {each.status for each in amounts}
    status = next((each for each in BY_WEIGHT if each in statuses), RestitutionStatus.NONE)
    return Restitution(idr, least_idr, most_idr, status, [*steps_in_words(amounts)])
