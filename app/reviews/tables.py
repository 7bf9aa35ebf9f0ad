"""The quarterly review as a table: a row a month, the regions below, and the quarter."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SiteGroup
from app.aggregates.series_tables import name_group
from app.availability.uptime_columns import GROUP_COLUMNS
from app.core.periods import Period
from app.core.tables import COUNT, Column, Table, Text
from app.reviews.schemas import ReviewOut

OF = Column("of", "Baris", "Row", words={"month": "bulan", "region": "wilayah", "quarter": "triwulan"})
REGION = (Column("region_code", "Kode wilayah", "Region code"), Column("region", "Wilayah", "Region"))
SATISFACTION = (
    Column("region_code", "Kode wilayah", "Region code"),
    Column("region", "Wilayah", "Region"),
    Column("answers", "Jawaban", "Answers", COUNT),
    Column("benefit_mean", "Manfaat (1-5)", "Benefit (1-5)"),
    Column("cost_mean", "Biaya atau kesulitan (1-5)", "Cost or trouble (1-5)"),
    Column("difference", "Manfaat dikurangi biaya", "Benefit less cost"),
)


async def review_table(session: AsyncSession, review: ReviewOut, group: SiteGroup) -> Table:
    name = await name_group(session, group)
    what = Text(f"Tinjauan {review.period}", f"Review {review.period}")
    title = Text(*(f"{text} {of}" for text, of in zip(what, name.title, strict=True)))
    own = {"region_code": review.region, "region": name.labels.get("region")}
    rows = [{"of": "month", **own, **row.model_dump()} for row in review.service.months]
    rows += [
        {"of": "region", "region_code": row.code, "region": row.name, **row.model_dump()}
        for row in review.service.regions
    ]
    rows.append({"of": "quarter", **own, **review.service.total.model_dump()})
    period = Period(review.from_, review.to)
    return Table(title, [OF, *REGION, *GROUP_COLUMNS], rows, period, further=list(_further(review)))


def _further(review: ReviewOut) -> list[Table]:
    """Return the sheets of a workbook beside the first one."""
    if review.satisfaction is None:
        return []
    named = [{"region_code": row.code, "region": row.name, **row.model_dump()} for row in review.satisfaction.regions]
    total = {"region_code": review.region, "region": None, **review.satisfaction.model_dump()}
    return [Table(None, SATISFACTION, [*named, total], sheet=Text("Kepuasan", "Satisfaction"))]
