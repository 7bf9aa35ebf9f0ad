"""The fees of a month, from a contract's dated terms and its sites' days."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts import dated_terms
from app.contracts.dated_terms import DayRange
from app.contracts.fees import FeePiece, Fees, FeeTerms, share_fees
from app.core.clock import WITA
from app.core.periods import Period
from app.registry.models import Contract, ContractTerms, SiteContract
from app.registry.site_contracts import Assignment

DAY_S = 86_400


async def fees_of_month(session: AsyncSession, contract: Contract, period: Period) -> Fees:
    """Return the fees of the contract's sites in a month, by (site id, link role) and the day their terms began.

    `contract` with its terms loaded.
    """
    month = period.start.astimezone(WITA).date(), period.end.astimezone(WITA).date()
    terms = [*_terms(contract, month)]
    query = select(SiteContract).where(SiteContract.contract_id == contract.id, SiteContract.withdrawn_at.is_(None))
    rows = (await session.scalars(query.order_by(SiteContract.started_on, SiteContract.id))).all()
    pieces = [piece for row in rows for piece in _pieces(Assignment(row, contract), terms, month)]
    dated = [FeeTerms(each.started_on, _seconds(days), each.monthly_fee_idr, each.fee_per) for each, days in terms]
    return share_fees(dated, pieces, _seconds(month))


def _terms(contract: Contract, month: DayRange) -> Iterator[tuple[ContractTerms, DayRange]]:
    """Yield the terms in force in the month, each with its days."""
    for terms in contract.terms:
        start, until = dated_terms.days_in_force(contract.terms, terms.started_on, contract.valid_to)
        days = _overlap((max(start, contract.valid_from), until), month)
        if days[0] < days[1]:
            yield terms, days


def _pieces(
    assignment: Assignment, terms: Sequence[tuple[ContractTerms, DayRange]], month: DayRange
) -> Iterator[FeePiece]:
    row = assignment.row
    for each, of_terms in terms:
        days = _overlap(_overlap(assignment.days, month), of_terms)
        if days[0] < days[1]:
            yield FeePiece((row.site_id, row.link_role), each.started_on, _seconds(days), row.monthly_fee_idr)


def _overlap(one: DayRange, other: DayRange) -> DayRange:
    return max(one[0], other[0]), min(one[1], other[1])


def _seconds(days: DayRange) -> int:
    return (days[1] - days[0]) // timedelta(days=1) * DAY_S
