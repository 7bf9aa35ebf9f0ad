"""`/verifikasi/{code}`: the page that the QR code of a paper leads to. Not cached: there is no end of codes."""

from fastapi import APIRouter, Depends, Request, Response

from app.certificates.verification import find_certificate_by_code
from app.pages.responses import html_page
from app.postgres.engine import transaction
from app.public.addresses import ENGLISH
from app.public.routes import RETRY, language_of, pages_of
from app.reports.verification import find_paper
from app.web.deps import open_to_all
from app.web.problem_details import UNAVAILABLE

router = APIRouter(include_in_schema=False, dependencies=[Depends(open_to_all)])

AT_ONCE = 4  # papers looked up in a process: a flood of codes must not take its database connections
UNCACHED = {"Cache-Control": "no-store"}


@router.get(ENGLISH + "/verifikasi/{code}")
@router.get("/verifikasi/{code}")
async def verify(request: Request, code: str) -> Response:
    """Tell what a paper with this code says; 404 for a code of none."""
    renderer, language = pages_of(request).renderer, language_of(request)
    state = request.app.state
    if state.verifications.locked():
        return html_page(renderer.unavailable(language), status=503, headers=RETRY)
    try:
        async with state.verifications, transaction(state.sessions) as session:
            paper = await find_paper(session, code) or await find_certificate_by_code(session, code)
    except UNAVAILABLE:
        return html_page(renderer.unavailable(language), status=503, headers=RETRY)
    return html_page(renderer.verification(paper, code, language), status=200 if paper else 404, headers=UNCACHED)
