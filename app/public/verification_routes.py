"""`/verifikasi`: asks for a paper's code, and is where its QR code leads to. Not cached: there is no end of codes."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.certificates.verification import find_certificate_by_code
from app.pages.responses import html_page
from app.postgres.engine import transaction
from app.public.addresses import ENGLISH, VERIFY
from app.public.routes import RETRY, language_of, pages_of
from app.reports.verification import CODE, find_paper
from app.web.deps import open_to_all
from app.web.problem_details import UNAVAILABLE

router = APIRouter(include_in_schema=False, dependencies=[Depends(open_to_all)])

AT_ONCE = 4  # papers looked up in a process: a flood of codes must not take its database connections
UNCACHED = {"Cache-Control": "no-store"}
MAX_TYPED = 300  # characters of a code or an address with one; the rest is ignored


@router.get(ENGLISH + VERIFY)
@router.get(VERIFY)
async def ask_for_code(request: Request, kode: Annotated[str, Query()] = "") -> Response:
    """Ask for a code, and lead to its page; 422 for what cannot be one. A whole address is taken for its last part."""
    renderer, language = pages_of(request).renderer, language_of(request)
    typed = kode[:MAX_TYPED].strip()
    code = typed.rstrip("/").rpartition("/")[2]
    if CODE.fullmatch(code):
        path = f"{request.scope.get('root_path', '')}{ENGLISH if language == 'en' else ''}{VERIFY}/{code}"
        return RedirectResponse(path, 303, headers=UNCACHED)
    page = renderer.verify(language, typed, wrong=bool(typed))
    return html_page(page, status=422 if typed else 200, headers=UNCACHED)


@router.get(ENGLISH + VERIFY + "/{code}")
@router.get(VERIFY + "/{code}")
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
