"""The month's verdicts: which sites met their contracts, by how much, and what was left out."""

from fastapi import Response

from app.console import choices
from app.console.choices import last_months
from app.console.page import Console, page_router
from app.core.clock import utc_now
from app.pages.words import INDONESIAN, word

router = page_router()

PAGE = 50


@router.get("/sla")
async def show_sla(
    console: Console,
    period: str = "",
    provider: str = "",
    contract: str = "",
    technology: str = "",
    verdict: str = "",
    region: str = "",
    cursor: str = "",
) -> Response:
    """Show the last whole month unless another is asked for."""
    asked = {
        "period": period or f"{last_months(utc_now(), 2)[1]:%Y-%m}",
        "provider": provider,
        "contract": contract,
        "technology": technology,
        "verdict": verdict,
        "region": region,
    }
    sla = await console.api.get("/sla", limit=PAGE, cursor=cursor, **asked)
    contracts = await console.api.get("/contracts", limit=1000)
    return console.page(
        "sla.html",
        sla=sla,
        asked=asked,
        paged=bool(cursor),
        months=choices.months(console),
        technologies=choices.technologies(console),
        providers=await choices.providers(console.api),
        contracts=[(each["id"], each["number"]) for each in contracts["items"]],
        verdicts=[(each, word("verdict", each, console.language)) for each in INDONESIAN["verdict"]],
        regions=await choices.child_regions(console),
    )
