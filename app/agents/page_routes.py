"""What a technician at the site sees without signing in: the script by its code, how far it has come, and a card."""

import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse

from app.agents import enrolment, install_commands, pages
from app.agents.enrolment import Known
from app.agents.models import AgentKind
from app.agents.routes import SECRET, base, settings
from app.core import i18n
from app.core.clock import utc_now
from app.core.errors import Problem
from app.web.deps import open_to_all
from app.web.security_headers import POLICY

router = APIRouter(prefix="/enrol/{code}", dependencies=[Depends(open_to_all)], include_in_schema=False)

Code = Annotated[str, Path(max_length=40, description="as it was given out", examples=["K7QX2MRD"])]
LOOKS = re.compile(r"bot\b|whatsapp|telegram|facebook|preview|slack|discord|Mozilla(?!.*PowerShell)", re.IGNORECASE)


@router.get("")
async def fetch_script(
    request: Request, code: Code, kind: Annotated[AgentKind | None, Query(description="what it runs on")] = None
) -> Response:
    """The script, with a token of its own. Who only looks (a browser, a messenger's preview) uses up nothing.

    A code that is used, wrong or over is answered with a script that says so and fails: with 200 for OpenWrt, whose
    wget drops what comes with any other status.
    """
    if kind is None or kind is AgentKind.OWN:
        return RedirectResponse(f"{base(request)}/enrol/{enrolment.normal(code)}/status", 303)
    try:
        known = await _known(request, code)
        if _only_looks(request):
            return _page(pages.look(kind, install_commands.lines(base(request), enrolment.normal(code))[kind]))
        script = await enrolment.redeem(
            request.app.state.sessions,
            known,
            kind,
            settings=settings(request),
            url=base(request),
            address=request.client.host if request.client else None,
        )
    except Problem as problem:
        if _only_looks(request):
            return _page(pages.problem(_indonesian(problem), problem.title), problem.status, _headers(problem))
        said = f"Sinyal Desa: {_indonesian(problem)} / {problem.title}"
        status = 200 if kind is AgentKind.OPENWRT else problem.status
        return PlainTextResponse(install_commands.refusal(kind, said), status, headers=_headers(problem))
    return PlainTextResponse(script, headers=SECRET)


@router.get("/status")
async def show_status(request: Request, code: Code) -> Response:
    """Whether readings arrive, for the phone of whoever installs the agent; it looks again by itself."""
    return await _show(request, code, lambda known: pages.status(known, utc_now()))


@router.get("/card")
async def show_card(request: Request, code: Code) -> Response:
    """To print: what to type, how to see that it works, how to remove it."""
    return await _show(request, code, lambda known: pages.card(known, base(request), enrolment.normal(code)))


async def _show(request: Request, code: str, draw: Callable[[Known], str]) -> Response:
    try:
        return _page(draw(await _known(request, code)))
    except Problem as problem:
        return _page(pages.problem(_indonesian(problem), problem.title), problem.status, _headers(problem))


async def _known(request: Request, code: str) -> Known:
    address = request.client.host if request.client else None
    return await enrolment.get(request.app.state.sessions, code, address=address)


def _only_looks(request: Request) -> bool:
    """A line sent by messenger is opened by its preview first, and perhaps by a curious finger."""
    asked = request.headers
    return "text/html" in asked.get("accept", "") or LOOKS.search(asked.get("user-agent", "")) is not None


def _page(html: str, status: int = 200, headers: dict[str, str] | None = None) -> HTMLResponse:
    return HTMLResponse(html, status, headers={**SECRET, POLICY: pages.policy(html), **(headers or {})})


def _indonesian(problem: Problem) -> str:
    return i18n.translate(problem.title, {}, language="id")


def _headers(problem: Problem) -> dict[str, Any]:
    wait_s = problem.extra.get("retry_after_s")
    return SECRET | ({} if wait_s is None else {"Retry-After": str(wait_s)})
