"""What of a monthly fee falls on a site's days under each of a contract's terms, in exact fractions. Pure."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from datetime import date
from fractions import Fraction
from itertools import groupby
from typing import NamedTuple

from app.registry.models import FeePer


class FeeTerms(NamedTuple):
    """What dated terms say of the fee; `seconds`: of the month, in which they are in force in a valid contract."""

    terms_on: date
    seconds: int
    monthly_fee_idr: int | None
    fee_per: FeePer


class FeePiece(NamedTuple):
    """A site's days under the contract, within one set of terms; `own_fee_idr`: of its assignment, for a month."""

    line: Hashable
    terms_on: date
    seconds: int
    own_fee_idr: int | None = None


class Fees(NamedTuple):
    of_stretch: Mapping[tuple[Hashable, date], Fraction | None]  # by line and terms_on; None: no fee is known
    unshared: Fraction  # of the contract's own fee, for days on which no site shares it


def share_fees(terms: Sequence[FeeTerms], pieces: Sequence[FeePiece], month_s: int) -> Fees:
    """Return the fee of each site's stretch.

    1. A fee of an assignment or of a site: by its seconds of the month's.
    2. A contract's fee is that of the sites without one of their own. As long as it stays the same it is one sum, by
       the seconds in force of the month's, and each site has the part that its seconds are of all of theirs.
    """
    by_terms: defaultdict[date, list[FeePiece]] = defaultdict(list)
    for piece in pieces:
        by_terms[piece.terms_on].append(piece)
    of_stretch: dict[tuple[Hashable, date], Fraction | None] = {}
    unshared = Fraction(0)
    for (monthly_idr, fee_per), run in groupby(terms, key=lambda each: (each.monthly_fee_idr, each.fee_per)):
        same = list(run)
        of_run = [piece for each in same for piece in by_terms[each.terms_on]]
        a_second = _of_a_second(monthly_idr, fee_per, same, of_run, month_s)
        if a_second is None and monthly_idr is not None:
            unshared += Fraction(monthly_idr * sum(each.seconds for each in same), month_s)
        for piece in of_run:
            own = None if piece.own_fee_idr is None else Fraction(piece.own_fee_idr, month_s)
            key, rate = (piece.line, piece.terms_on), a_second if own is None else own
            before = of_stretch.get(key, Fraction(0))
            of_stretch[key] = None if rate is None or before is None else before + rate * piece.seconds
    return Fees(of_stretch, unshared)


def _of_a_second(
    monthly_idr: int | None, fee_per: FeePer, same: Sequence[FeeTerms], of_run: Sequence[FeePiece], month_s: int
) -> Fraction | None:
    """Return what terms give a site without a fee of its own a second; None without a fee, or a site that shares it."""
    if monthly_idr is None:
        return None
    if fee_per is FeePer.SITE:
        return Fraction(monthly_idr, month_s)
    sharing_s = sum(piece.seconds for piece in of_run if piece.own_fee_idr is None)
    whole = Fraction(monthly_idr * sum(each.seconds for each in same), month_s)
    return whole / sharing_s if sharing_s else None
