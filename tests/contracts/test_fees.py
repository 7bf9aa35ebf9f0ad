"""Fees: what of a month's falls on a site's days, whoever's the fee is."""

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app.contracts.fee_store import fees_of_month
from app.contracts.fees import FeePiece, FeeTerms, share_fees
from app.core.periods import whole_month
from app.registry.models import Contract, FeePer
from tests.conftest import Cast
from tests.factories import register
from tests.support.contracts import assign_contract, assign_days, create_contract

JANUARY, ADDENDUM = date(2026, 1, 1), date(2026, 10, 16)
DAY_S = 86_400
MONTH_S = 31 * DAY_S
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no finding


def terms(fee_idr: int | None, per: FeePer = FeePer.CONTRACT, *, day: date = JANUARY, days: int = 31) -> FeeTerms:
    return FeeTerms(day, days * DAY_S, fee_idr, per)


def piece(line: str, days: int, own: int | None = None, *, day: date = JANUARY) -> FeePiece:
    return FeePiece(line, day, days * DAY_S, own)


@pytest.mark.parametrize(
    ("dated", "pieces", "fees", "unshared"),
    [
        ([terms(3_100, FeePer.SITE)], [piece("a", 31), piece("b", 10)], [3_100, 1_000], 0),
        ([terms(4_100)], [piece("a", 31), piece("b", 10)], [3_100, 1_000], 0),
        ([terms(3_100, days=10)], [piece("a", 10)], [1_000], 0),  # the contract began on the 22nd
        ([terms(4_100)], [piece("a", 31), piece("b", 10, own=31)], [4_100, 10], 0),
        ([terms(3_100)], [piece("b", 10, own=31)], [10], 3_100),  # nobody shares it
        ([terms(None)], [piece("a", 31), piece("b", 31, own=31)], [None, 31], 0),
        ([terms(3_100)], [piece("a", 10, own=62), piece("a", 21)], [20 + 3_100], 0),  # a fee of its own, until the 10th
        ([terms(None)], [piece("a", 10, own=62), piece("a", 21)], [None], 0),
    ],
)
def test_a_fee_falls_on_days(
    dated: list[FeeTerms], pieces: list[FeePiece], fees: list[int | None], unshared: int
) -> None:
    found = share_fees(dated, pieces, MONTH_S)
    assert [*found.of_stretch.values()] == fees
    assert found.unshared == unshared


def test_a_fee_that_changes_is_shared_by_those_of_its_days() -> None:
    dated = [terms(3_100, days=15), terms(6_200, day=ADDENDUM, days=16)]
    pieces = [piece("a", 15), piece("a", 16, day=ADDENDUM), piece("b", 16, day=ADDENDUM)]
    found = share_fees(dated, pieces, MONTH_S).of_stretch
    assert [*found.values()] == [1_500, 1_600, 1_600]


@UNTIMED
@given(st.lists(st.integers(1, 31), min_size=1, max_size=8), st.integers(0, 10**15), st.integers(1, 30))
def test_terms_that_change_something_else_leave_every_share_and_the_sum(days: list[int], fee: int, cut: int) -> None:
    def shares(dated: Sequence[FeeTerms], pieces: Sequence[FeePiece]) -> dict[Any, Fraction]:
        of_line: dict[Any, Fraction] = {}
        for (line, _), amount in share_fees(dated, pieces, MONTH_S).of_stretch.items():
            of_line[line] = of_line.get(line, Fraction(0)) + (amount or 0)
        return of_line

    whole = shares([terms(fee)], [piece(str(n), lasts) for n, lasts in enumerate(days)])
    dated = [terms(fee, days=cut), terms(fee, day=ADDENDUM, days=31 - cut)]
    early = [piece(str(n), min(lasts, cut)) for n, lasts in enumerate(days)]
    late = [piece(str(n), lasts - cut, day=ADDENDUM) for n, lasts in enumerate(days) if lasts > cut]
    assert shares(dated, early + late) == whole
    assert sum(whole.values()) == fee


async def test_the_fees_of_a_month_follow_from_dated_terms_and_the_sites_days(
    session: AsyncSession, cast: Cast
) -> None:
    made = await create_contract(cast, monthly_fee_idr=3_100_000, fee_per="site", valid_from="2026-01-01")
    here, there = await register(cast, host="198.51.100.1"), await register(cast, host="198.51.100.2")
    await assign_contract(session, here["id"], made["id"], JANUARY)
    await assign_days(session, there["id"], made["id"], JANUARY, date(2026, 10, 11))
    await assign_days(session, there["id"], made["id"], JANUARY, withdrawn=True)
    change = {"monthly_fee_idr": 6_200_000, "effective_from": "2026-10-16", "reason": "Adendum 1"}
    assert (await cast.sari.patch(f"/contracts/{made['id']}", change)).status_code == 200
    async with session.begin():
        with_terms = [selectinload(Contract.terms)]
        row = await session.get_one(Contract, made["id"], options=with_terms, populate_existing=True)
        fees = await fees_of_month(session, row, whole_month(date(2026, 10, 1)))
    assert dict(fees.of_stretch) == {
        ((here["id"], "primary"), JANUARY): 1_500_000,
        ((here["id"], "primary"), ADDENDUM): 3_200_000,
        ((there["id"], "primary"), JANUARY): 1_000_000,
    }
