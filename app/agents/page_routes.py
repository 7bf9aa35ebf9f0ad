"""Pages of an enrolment code, without sign-in: the script, the status of the installation, and a card to print.

A code never stands in an address that is requested, where proxies would log it: devices post it, links carry it behind
a #, and a browser keeps it in a cookie of these pages.
"""

import re
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse

from app.agents import enrolment, install_commands, pages, recent_looks
from app.agents.enrolment import EnrolmentDetails
from app.agents.models import AgentKind
from app.agents.params import EnrolmentCode, OptionalKind
from app.agents.routes import NO_STORE, base_url, ingest_url, settings
from app.core import i18n
from app.core.clock import utc_now
from app.core.errors import EnrolmentCodeInvalid, Problem
from app.web.client_address import client_address
from app.web.deps import open_to_all
from app.web.security_headers import POLICY

router = APIRouter(prefix="/enrol", dependencies=[Depends(open_to_all)], include_in_schema=False)

VIEWERS = re.compile(r"bot\b|whatsapp|telegram|facebook|preview|slack|discord|Mozilla(?!.*PowerShell)", re.IGNORECASE)
COOKIE = "sinyal_enrolment"
Render = Callable[[str, EnrolmentDetails], Awaitable[str]]  # of a code and what it stands for
MAX_FORM = 1_000  # bytes
CODE = re.compile(r"[A-Z0-9]{1,40}")


class CodePage(StrEnum):
    STATUS = "status"
    CARD = "card"


@router.get("")
async def ask_for_code(page: CodePage = CodePage.STATUS) -> Response:
    """Ask for the code; a script takes it from behind the # of the address."""
    return _page(pages.entry(page.value))


@router.post("")
async def send_script(request: Request) -> Response:
    """Answer a device that posts `code` and `kind` with the script and a new token.

    A used, unknown or expired code is answered with a script that prints this and fails: for OpenWrt with status 200,
    since its wget discards the body of any other.
    """
    form = await _read_form(request)
    kind = form.get("kind", "")
    if kind not in install_commands.NAMES:
        return _page(pages.problem("Jenis perangkat tidak dikenal", "Unknown kind of device"), 422, dict(NO_STORE))
    return await _script(request, form.get("code", ""), AgentKind(kind))


@router.post("/{page}")
async def remember_code(request: Request, page: CodePage) -> Response:
    """Keep the posted code in a cookie of these pages, and show the page."""
    return _remember(request, (await _read_form(request)).get("code", ""), page.value)


@router.get("/status")
async def show_status(request: Request) -> Response:
    """Show whether readings arrive, for the technician's phone; the page reloads itself."""

    async def render(code: str, details: EnrolmentDetails) -> str:
        now = utc_now()
        return pages.status(details, await recent_looks.load(request.app.state.sessions, details.site.id, now), now)

    return await _show(request, CodePage.STATUS, render)


@router.get("/card")
async def show_card(request: Request) -> Response:
    """Show a card to print: how to install the agent, check it and remove it."""

    async def render(code: str, details: EnrolmentDetails) -> str:
        return pages.card(details, base_url(request), code)

    return await _show(request, CodePage.CARD, render)


@router.get("/{code}")
async def send_script_of_link(request: Request, code: EnrolmentCode, kind: OptionalKind = None) -> Response:
    """Serve the lines of cards printed before codes left the address.

    A browser or a messenger's preview gets a page, and the code stays unused.
    """
    if kind is None or kind is AgentKind.OWN:
        return _remember(request, code, "status")
    if not _is_viewer(request):
        return await _script(request, code, kind)
    try:
        await _details(request, code)
    except Problem as problem:
        return _problem_page(problem)
    commands = install_commands.install_commands(base_url(request), enrolment.normalize(code))
    return _page(pages.command_page(kind, commands[kind]))


@router.get("/{code}/{page}")
async def open_link(request: Request, code: EnrolmentCode, page: CodePage) -> Response:
    """Serve the links of cards printed before codes left the address."""
    return _remember(request, code, f"../{page.value}")


async def _read_form(request: Request) -> dict[str, str]:
    """Return the first value of each field, and nothing for a body that is none of ours. Devices name any type."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM:
            return {}
    fields = parse_qs(body.decode("utf-8", "replace"))
    return {name: values[0] for name, values in fields.items()}


async def _script(request: Request, code: str, kind: AgentKind) -> Response:
    try:
        script = await enrolment.redeem(
            request.app.state.sessions,
            await _details(request, code),
            kind,
            settings=settings(request),
            url=ingest_url(request),
            address=client_address(request),
        )
    except Problem as problem:
        message = f"Sinyal Desa: {_indonesian(problem)} / {problem.title}"
        status = 200 if kind is AgentKind.OPENWRT else problem.status
        return PlainTextResponse(install_commands.failing_script(kind, message), status, headers=_headers(problem))
    return PlainTextResponse(script, headers=NO_STORE)


def _remember(request: Request, code: str, page: str) -> Response:
    """Redirect to a page, relative to this address, with the code in a cookie for as long as it is valid."""
    normal = enrolment.normalize(code)
    if not CODE.fullmatch(normal):
        return _problem_page(EnrolmentCodeInvalid())
    answer = RedirectResponse(page, 303, headers=NO_STORE)
    answer.set_cookie(
        COOKIE,
        normal,
        max_age=int(enrolment.VALID_FOR.total_seconds()),
        path=f"{request.scope.get('root_path', '')}/enrol",
        secure=base_url(request).startswith("https://"),
        httponly=True,
        samesite="strict",
    )
    return answer


async def _show(request: Request, page: CodePage, render: Render) -> Response:
    code = request.cookies.get(COOKIE)
    if code is None:
        return RedirectResponse(f"../enrol?page={page.value}", 303, headers=NO_STORE)
    try:
        return _page(await render(code, await _details(request, code)))
    except Problem as problem:
        return _problem_page(problem)


async def _details(request: Request, code: str) -> EnrolmentDetails:
    address = client_address(request)
    return await enrolment.get(request.app.state.sessions, code[:MAX_FORM], address=address)


def _is_viewer(request: Request) -> bool:
    """Whether a browser or a messenger's preview opens the link, rather than a device."""
    headers = request.headers
    return "text/html" in headers.get("accept", "") or VIEWERS.search(headers.get("user-agent", "")) is not None


def _problem_page(problem: Problem) -> Response:
    return _page(pages.problem(_indonesian(problem), problem.title), problem.status, _headers(problem))


def _page(html: str, status: int = 200, headers: dict[str, str] | None = None) -> HTMLResponse:
    return HTMLResponse(html, status, headers={**NO_STORE, POLICY: pages.policy(html), **(headers or {})})


def _indonesian(problem: Problem) -> str:
    return i18n.translate(problem.title, {}, language="id")


def _headers(problem: Problem) -> dict[str, Any]:
    wait_s = problem.extra.get("retry_after_s")
    return NO_STORE | ({} if wait_s is None else {"Retry-After": str(wait_s)})
