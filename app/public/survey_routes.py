"""The survey's form on a village's page: posted without JavaScript, answered with a page on what became of it."""

import time
from http import HTTPStatus
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from app.core.clock import today
from app.core.networks import limit_key
from app.core.token_bucket import TokenBuckets
from app.pages.responses import html_page
from app.postgres.engine import transaction
from app.public.addresses import ENGLISH, PageKind, path_of
from app.public.routes import RETRY, language_of, pages_of
from app.reviews import survey
from app.web.client_address import client_address
from app.web.deps import open_to_all
from app.web.problem_details import UNAVAILABLE

router = APIRouter(include_in_schema=False, dependencies=[Depends(open_to_all)])

PATH = "/desa/{code}/penilaian"
MAX_FORM = 500  # bytes
AT_ONCE = 2  # answers being written in a process: a flood of them must not take its database connections
NO_STORE = {"Cache-Control": "no-store"}


class SurveyLimit:
    """How many answers a process takes: by a client's network, and at the same time."""

    def __init__(self) -> None:
        self._buckets = TokenBuckets(per_s=0.2, burst=40)
        self.running = 0

    def allows(self, address: str | None) -> bool:
        return self.running < AT_ONCE and self._buckets.take(limit_key(address).encode(), time.monotonic()) == 0


async def take_answer(request: Request, code: str) -> Response:
    """Count an answer of the form; show what became of it, or which question was left out."""
    pages, language, limit = pages_of(request), language_of(request), limit_of(request)
    address = client_address(request)
    try:
        snapshot = await pages.reader.current()
        if code not in snapshot.villages or not pages.publication.shows_villages:
            return html_page(pages.renderer.missing(language), status=404, headers=NO_STORE)
        if request.headers.get("sec-fetch-site") == "cross-site":
            return _show(request, code, "elsewhere", HTTPStatus.FORBIDDEN)
        form = await _read_form(request)
        answer = survey.read_answer(form.get("benefit", ""), form.get("cost", ""))
        if answer is None:
            return _show(request, code, "incomplete", HTTPStatus.UNPROCESSABLE_ENTITY, form)
        if not limit.allows(address):
            return _show(request, code, "busy", HTTPStatus.TOO_MANY_REQUESTS)
        limit.running += 1
        try:
            async with transaction(request.app.state.sessions) as session:
                outcome = await survey.take_answer(session, code, answer, address=address, today=today())
        finally:
            limit.running -= 1
    except UNAVAILABLE:
        return html_page(pages.renderer.unavailable(language), status=503, headers=RETRY)
    return _show(request, code, outcome.value)


async def show_village(request: Request, code: str) -> Response:
    """Redirect to the village's page: the answer's address is asked for again by those who reload it."""
    language, pages = language_of(request), pages_of(request)
    return RedirectResponse(pages.base + path_of(PageKind.VILLAGE, code, language), 303)


def limit_of(request: Request) -> SurveyLimit:
    """Return the limit of this application."""
    state = request.app.state
    if not hasattr(state, "survey_limit"):
        state.survey_limit = SurveyLimit()
    return state.survey_limit  # type: ignore[no-any-return]


def _show(
    request: Request, code: str, outcome: str, status: int = HTTPStatus.OK, form: dict[str, str] | None = None
) -> Response:
    html = pages_of(request).renderer.survey(code, outcome, language_of(request), form or {})
    return html_page(html, status=status, headers=NO_STORE)


async def _read_form(request: Request) -> dict[str, str]:
    """Return the first value of each field; nothing for a body that is larger than the form's."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM:
            return {}
    fields = parse_qs(body.decode("utf-8", "replace"))
    return {name: values[0] for name, values in fields.items()}


for path in (PATH, ENGLISH + PATH):
    router.add_api_route(path, take_answer, methods=["POST"])
    router.add_api_route(path, show_village, methods=["GET"])
