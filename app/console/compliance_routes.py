"""The published method: which lines are what was promised, and what could not be measured."""

from collections import Counter
from datetime import timedelta
from typing import Any

from fastapi import Response

from app.console import choices
from app.console.choices import Choices, last_months
from app.console.page import Console, ConsoleRequest, page_router
from app.core.clock import utc_now
from app.pages.formats import as_moment, month

router = page_router()

MONTHS, QUARTERS = 6, 5
PAGE = 100


@router.get("/compliance")
async def show_compliance(
    console: Console, period: str = "", provider: str = "", technology: str = "", region: str = ""
) -> Response:
    """Show the last whole month unless another period is asked for."""
    asked = _asked(period, provider, technology, region)
    compliance = await console.api.get("/compliance", **asked)
    return console.page(
        "compliance.html",
        compliance=compliance,
        verdicts=Counter(row["verdict"] for row in compliance["items"]),
        samples=(await console.api.get("/compliance/samples", period=compliance["sample"], limit=1))["items"]
        if compliance["sample"]
        else [],
        **await _filter(console, asked, compliance["to"]),
    )


@router.get("/compliance/attested")
async def show_attested(
    console: Console, period: str = "", provider: str = "", technology: str = "", region: str = "", cursor: str = ""
) -> Response:
    asked = _asked(period, provider, technology, region)
    attested = await console.api.get("/compliance/attested", limit=PAGE, cursor=cursor, **asked)
    shown = await _filter(console, asked, attested["to"])
    return console.page("attested.html", attested=attested, paged=bool(cursor), **shown)


def _asked(period: str, provider: str, technology: str, region: str) -> dict[str, str]:
    default = f"{last_months(utc_now(), 2)[1]:%Y-%m}"
    return {"period": period or default, "provider": provider, "technology": technology, "region": region}


async def _filter(console: ConsoleRequest, asked: dict[str, str], end: str) -> dict[str, Any]:
    """`end`: the first moment after the period."""
    return {
        "asked": asked,
        "last_day": as_moment(end) - timedelta(seconds=1),
        "periods": _periods(console),
        "providers": await choices.providers(console.api),
        "technologies": choices.technologies(console),
        "regions": await choices.child_regions(console),
    }


def _periods(console: ConsoleRequest) -> Choices:
    """Return the last months and quarters, this one of either first."""
    months = last_months(utc_now(), 3 * QUARTERS)
    quarters = list(dict.fromkeys(f"{first.year}-Q{(first.month + 2) // 3}" for first in months))
    return [
        *((f"{first:%Y-%m}", month(first, console.language)) for first in months[:MONTHS]),
        *((each, _quarter_in_words(console, each)) for each in quarters[:QUARTERS]),
    ]


def _quarter_in_words(console: ConsoleRequest, quarter: str) -> str:
    return console.text("Quarter {quarter} of {year}", quarter=quarter[-1], year=quarter[:4])
