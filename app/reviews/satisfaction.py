"""What answers come to: means by exact sums, with their number beside them. In no figure of a provider or contract."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import func

from app.access.scope import in_region
from app.reviews.models import SurveyDay

LEAST_ANSWERS = 5  # fewer have no mean: it would tell what one person said
HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """Sums of answers on the scale from 1 to 5."""

    answers: int = 0
    benefit: int = 0
    cost: int = 0

    @property
    def benefit_mean(self) -> float | None:
        return self._mean(self.benefit)

    @property
    def cost_mean(self) -> float | None:
        return self._mean(self.cost)

    @property
    def difference(self) -> float | None:
        """Return the mean benefit less the mean cost, from -4 to 4, of the exact sums."""
        return self._mean(self.benefit - self.cost)

    @property
    def fields(self) -> dict[str, Any]:
        """Return the fields of SatisfactionFigures."""
        names = ("answers", "benefit_mean", "cost_mean", "difference")
        return {name: getattr(self, name) for name in names}

    def _mean(self, total: int) -> float | None:
        if self.answers < LEAST_ANSWERS:
            return None
        return float((Decimal(total) / self.answers).quantize(HUNDREDTH, ROUND_HALF_UP))


async def by_region(
    session: AsyncSession, region: str, first: date, last: date, *, length: int
) -> Mapping[str, Satisfaction]:
    """Return the answers of those days within a region, by the first `length` characters of the villages' codes."""
    row = SurveyDay
    code = func.left(row.village_code, length)
    sums = (func.sum(row.answers), func.sum(row.answers * row.benefit), func.sum(row.answers * row.cost))
    query = select(code, *sums).where(row.day >= first, row.day <= last, in_region(row.village_code, region))
    rows = await session.execute(query.group_by(code).order_by(code))
    return {code: Satisfaction(int(answers), int(benefit), int(cost)) for code, answers, benefit, cost in rows}
