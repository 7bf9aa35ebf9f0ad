"""The public pages, in Indonesian and below /en in English. What is cached is answered before (`page_cache`)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.pages.responses import html_page
from app.public.addresses import ENGLISH
from app.public.page_cache import PageResponse
from app.public.pages import CACHED, PublicPages
from app.public.rendering import search_path
from app.web.deps import open_to_all
from app.web.problem_details import UNAVAILABLE

router = APIRouter(include_in_schema=False, dependencies=[Depends(open_to_all)])

MAX_QUERY = 60  # characters of a name that is searched for; the rest is ignored
FILE_PATHS = ("/data/{file}", "/data-terbuka/{month}/{file}", "/data-terbuka/{month}/{version}/{file}")
RETRY = {"Retry-After": "60", "Cache-Control": "no-store"}


async def show(request: Request) -> Response:
    """Send the page at this path, a redirect for a former code, or a page that says what to do."""
    pages, path = pages_of(request), request.scope["path"]
    try:
        page = await pages.find(path)
        if page is not None:
            page.route = request.scope.get("route")
            return PageResponse(page)
        present = pages.present_path(path, await pages.reader.current())
    except UNAVAILABLE:
        return html_page(pages.renderer.unavailable(language_of(request)), status=503, headers=RETRY)
    if present is not None:
        return RedirectResponse(present, 301, headers=CACHED)
    return html_page(pages.renderer.missing(language_of(request)), status=404, headers=CACHED)


async def search(
    request: Request, q: Annotated[str, Query()] = "", kabupaten: Annotated[str, Query()] = ""
) -> Response:
    """Show the villages of that name. Not cached: there is no end of names."""
    pages, language = pages_of(request), language_of(request)
    if not pages.publication.shows_villages:
        return html_page(pages.renderer.missing(language), status=404, headers=CACHED)
    try:
        snapshot = await pages.reader.current()
    except UNAVAILABLE:
        return html_page(pages.renderer.unavailable(language), status=503, headers=RETRY)
    html = pages.renderer.search(snapshot, language, q[:MAX_QUERY].strip(), kabupaten[:MAX_QUERY])
    return html_page(html, headers=CACHED)


def pages_of(request: Request) -> PublicPages:
    return request.app.state.public  # type: ignore[no-any-return]


def language_of(request: Request) -> str:
    path = f"{request.scope['path'].removeprefix(request.scope.get('root_path', ''))}/"
    return "en" if path.startswith(f"{ENGLISH}/") else "id"


def _add_routes() -> None:
    pages = ("/kabupaten/{code}", "/desa/{code}", "/metode", "/data", "/data-terbuka", "/data-terbuka/{month}")
    for path in ("/", ENGLISH, *pages, *(ENGLISH + page for page in pages), *FILE_PATHS):
        router.add_api_route(path, show, methods=["GET"])
    for language in ("id", "en"):
        router.add_api_route(search_path(language), search, methods=["GET"])


_add_routes()
