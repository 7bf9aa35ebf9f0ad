"""Regions: how well one and those below it do, in a period and month by month."""

from typing import Any

from fastapi import Response

from app.console.aggregates import filter_choices, load_aggregates, technologies_of
from app.console.choices import last_months
from app.console.page import Console, ConsoleRequest, page_router
from app.core.clock import utc_now

router = page_router()

COMPARED_MONTHS = 6
RANKED = 10  # sites of a ranking on a region's page


@router.get("/regions")
async def show_own_region(console: Console) -> Response:
    return console.redirect(f"/regions/{console.caller.region_code}")


@router.get("/regions/{code}")
async def show_region(
    console: Console, code: str, period: str = "7d", technology: str = "", provider: str = ""
) -> Response:
    asked = {"technology": technology, "provider": provider}
    api = console.api
    region = await api.get(f"/regions/{code}")
    sites = await api.get("/ranking", by="site", order="worst", region=code, period=period, limit=RANKED, **asked)
    providers = await api.get("/ranking", by="provider", region=code, period=period, limit=200, **asked)
    return console.page(
        "region.html",
        region=region,
        children=await _children(console, code, period=period, **asked),
        ranking=sites,
        by_provider=providers,
        **await load_aggregates(console, f"/regions/{code}", period, asked, technologies=technologies_of(providers)),
        **await filter_choices(console, period=period, **asked),
    )


@router.get("/regions/{code}/months")
async def show_months(console: Console, code: str, technology: str = "", provider: str = "") -> Response:
    """Show the regions below one with the last months side by side."""
    asked = {"technology": technology, "provider": provider}
    months = [f"{first:%Y-%m}" for first in reversed(last_months(utc_now(), COMPARED_MONTHS))]
    children = [await _children(console, code, period=month, **asked) for month in months]
    own = [await console.api.get(f"/regions/{code}/uptime", period=month, **asked) for month in months]
    return console.page(
        "region_months.html",
        region=await console.api.get(f"/regions/{code}"),
        months=months,
        rows=side_by_side(children),
        totals=[answer["total"] for answer in own],
        **await filter_choices(console, **asked),
    )


def side_by_side(months: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return a row for each region of any month, with what it had in each of them, or None."""
    names = {child["code"]: child["name"] for children in months for child in children}
    by_code = [{child["code"]: child for child in children} for children in months]
    return [
        {"code": code, "name": name, "months": [children.get(code) for children in by_code]}
        for code, name in sorted(names.items())
    ]


async def _children(console: ConsoleRequest, code: str, **asked: str) -> list[dict[str, Any]]:
    """Return the regions directly below one; none below a village."""
    if code.count(".") == 3:
        return []
    return (await console.api.get(f"/regions/{code}/children/uptime", **asked))["items"]  # type: ignore[no-any-return]
