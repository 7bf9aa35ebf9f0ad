"""The quarterly review to read, print and add decisions to, and the evidence for digital government."""

from typing import Any

from fastapi import Response

from app.console import choices
from app.console.api_client import ApiProblem
from app.console.choices import Choices
from app.console.page import Console, ConsoleRequest, page_router
from app.core.clock import WITA, utc_now
from app.reviews.quarter import last_quarter, quarter_of

router = page_router()

QUARTERS = 8


@router.get("/reviews")
async def show_review(console: Console, period: str = "", region: str = "") -> Response:
    """Show the last quarter that is over unless another is asked for."""
    return await _show(console, period or last_quarter(utc_now()), region)


@router.get("/reviews/evidence")
async def show_evidence(console: Console) -> Response:
    return console.page("reviews_evidence.html", evidence=await console.api.get("/reviews/pemdi"))


@router.post("/reviews/{period}/decisions")
async def add_decision(console: Console, period: str) -> Response:
    form = await console.form()
    try:
        await console.api.post(f"/reviews/{period}/decisions", {"text": form.get("text", "")})
    except ApiProblem as problem:
        return await _show(console, period, "", form, status=problem.status, problem=problem)
    return console.redirect(f"/reviews?period={period}", notice="decision_recorded")


async def _show(
    console: ConsoleRequest, period: str, region: str, values: Any = None, *, status: int = 200, problem: Any = None
) -> Response:
    asked = {"period": period, "region": region}
    return console.page(
        "reviews.html",
        status=status,
        review=await console.api.get("/reviews", **asked),
        asked=asked,
        quarters=_quarters(),
        regions=await choices.child_regions(console),
        values=values or {},
        problem=problem,
    )


def _quarters() -> Choices:
    """Return the quarters from this one back."""
    day = utc_now().astimezone(WITA).date()
    number = day.year * 4 + (day.month - 1) // 3
    names = [f"{back // 4}-Q{back % 4 + 1}" for back in range(number, number - QUARTERS, -1)]
    assert names[0] == quarter_of(day)
    return [(name, name) for name in names]
