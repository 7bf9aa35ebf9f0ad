"""Pages of an enrolment code, without sign-in: the script, the status of the installation, and a card to print."""

import re
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse

from app.agents import enrolment, install_commands, pages
from app.agents.enrolment import EnrolmentDetails
from app.agents.models import AgentKind
from app.agents.params import EnrolmentCode, OptionalKind
from app.agents.routes import NO_STORE, base_url, ingest_url, settings
from app.core import i18n
from app.core.clock import utc_now
from app.core.errors import Problem
from app.web.deps import open_to_all
from app.web.security_headers import POLICY

router = APIRouter(prefix="/enrol/{code}", dependencies=[Depends(open_to_all)], include_in_schema=False)

VIEWERS = re.compile(r"bot\b|whatsapp|telegram|facebook|preview|slack|discord|Mozilla(?!.*PowerShell)", re.IGNORECASE)


@router.get("")
async def fetch_script(request: Request, code: EnrolmentCode, kind: OptionalKind = None) -> Response:
    """Return the script with a new token. A browser or a messenger's preview gets a page, and the code stays unused.

    A used, unknown or expired code is answered with a script that prints this and fails: for OpenWrt with status 200,
    since its wget discards the body of any other.
    """
    if kind is None or kind is AgentKind.OWN:
        return RedirectResponse(f"{base_url(request)}/enrol/{enrolment.normalize(code)}/status", 303)
    try:
        details = await _details(request, code)
        if _is_viewer(request):
            commands = install_commands.install_commands(base_url(request), enrolment.normalize(code))
            return _page(pages.command_page(kind, commands[kind]))
        script = await enrolment.redeem(
            request.app.state.sessions,
            details,
            kind,
            settings=settings(request),
            url=ingest_url(request),
            address=request.client.host if request.client else None,
        )
    except Problem as problem:
        if _is_viewer(request):
            return _page(pages.problem(_indonesian(problem), problem.title), problem.status, _headers(problem))
        message = f"Sinyal Desa: {_indonesian(problem)} / {problem.title}"
        status = 200 if kind is AgentKind.OPENWRT else problem.status
        return PlainTextResponse(install_commands.failing_script(kind, message), status, headers=_headers(problem))
    return PlainTextResponse(script, headers=NO_STORE)


@router.get("/status")
async def show_status(request: Request, code: EnrolmentCode) -> Response:
    """Show whether readings arrive, for the technician's phone; the page reloads itself."""
    return await _show(request, code, lambda details: pages.status(details, utc_now()))


@router.get("/card")
async def show_card(request: Request, code: EnrolmentCode) -> Response:
    """Show a card to print: how to install the agent, check it and remove it."""
    return await _show(request, code, lambda details: pages.card(details, base_url(request), enrolment.normalize(code)))


async def _show(request: Request, code: str, render: Callable[[EnrolmentDetails], str]) -> Response:
    try:
        return _page(render(await _details(request, code)))
    except Problem as problem:
        return _page(pages.problem(_indonesian(problem), problem.title), problem.status, _headers(problem))


async def _details(request: Request, code: str) -> EnrolmentDetails:
    address = request.client.host if request.client else None
    return await enrolment.get(request.app.state.sessions, code, address=address)


def _is_viewer(request: Request) -> bool:
    """Whether a browser or a messenger's preview opens the link, rather than a device."""
    headers = request.headers
    return "text/html" in headers.get("accept", "") or VIEWERS.search(headers.get("user-agent", "")) is not None


def _page(html: str, status: int = 200, headers: dict[str, str] | None = None) -> HTMLResponse:
    return HTMLResponse(html, status, headers={**NO_STORE, POLICY: pages.policy(html), **(headers or {})})


def _indonesian(problem: Problem) -> str:
    return i18n.translate(problem.title, {}, language="id")


def _headers(problem: Problem) -> dict[str, Any]:
    wait_s = problem.extra.get("retry_after_s")
    return NO_STORE | ({} if wait_s is None else {"Retry-After": str(wait_s)})
