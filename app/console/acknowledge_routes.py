"""Tangani: what a message's link leads to. Looking changes nothing, as mail scanners look at links, too."""

from urllib.parse import quote

from fastapi import Response

from app.console.api_client import ApiProblem
from app.console.page import Console, ConsoleRequest, page_router

router = page_router()

OVER = {404, 410, 422}  # a link that is not ours or concerns others, one that is over, and one that is no link


@router.get("/acknowledge/{token}")
async def show_acknowledgement(console: Console, token: str) -> Response:
    return await _page(console, token)


@router.post("/acknowledge/{token}")
async def acknowledge(console: Console, token: str) -> Response:
    """Acknowledge what the page showed; if more joined since, show it all anew."""
    form = await console.form()
    expected = form.get("expected_count", "")
    body = {"expected_count": int(expected)} if expected.isdecimal() and len(expected) < 10 else {}
    try:
        done = await console.api.post(f"/acknowledgements/{quote(token, safe='')}", body)
    except ApiProblem as problem:
        if problem.status in {*OVER, 412}:
            return await _page(console, token, problem)
        raise
    return console.page("acknowledge.html", asked=done, done=True)


async def _page(console: ConsoleRequest, token: str, problem: ApiProblem | None = None) -> Response:
    try:
        asked = await console.api.get(f"/acknowledgements/{quote(token, safe='')}")
    except ApiProblem as over:
        if over.status not in OVER:
            raise
        return console.page("acknowledge_over.html", status=404 if over.status == 422 else over.status, over=over)
    status = problem.status if problem else 200
    return console.page("acknowledge.html", status=status, asked=asked, problem=problem, done=False)
