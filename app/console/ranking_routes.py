"""The ranking of sites, regions or providers, always inside one technology."""

from fastapi import Response

from app.console.aggregates import filter_choices
from app.console.page import Console, page_router

router = page_router()


@router.get("/ranking")
async def show_ranking(
    console: Console,
    by: str = "site",
    period: str = "30d",
    technology: str = "",
    provider: str = "",
    region: str = "",
    order: str = "worst",
    min_coverage_pct: str = "80",
    cursor: str = "",
) -> Response:
    asked = {"by": by, "period": period, "technology": technology, "provider": provider, "region": region}
    asked |= {"order": order, "min_coverage_pct": min_coverage_pct}
    ranking = await console.api.get("/ranking", limit=100, cursor=cursor, **asked)
    return console.page("ranking.html", ranking=ranking, paged=bool(cursor), **await filter_choices(console, **asked))
