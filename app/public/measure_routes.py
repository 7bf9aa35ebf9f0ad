"""`/ukur`: the page that measures from a visitor's device, and what makes it an app that opens offline."""

import math
from collections.abc import Callable

import orjson
from fastapi import APIRouter, Depends, Request, Response

from app.core.i18n import translate
from app.pages.assets import lean_script
from app.pages.responses import PAGE_POLICY, REFERRER
from app.public.addresses import ENGLISH, MEASURE
from app.public.page_cache import CachedPage, PageResponse
from app.public.pages import CACHED
from app.public.routes import language_of, pages_of
from app.web.deps import open_to_all
from app.web.security_headers import POLICY

router = APIRouter(include_in_schema=False, dependencies=[Depends(open_to_all)])

HEADERS = {"Content-Type": "text/html; charset=utf-8", **CACHED, **REFERRER}
MEASURE_POLICY = f"{PAGE_POLICY}; worker-src 'self'; manifest-src 'self'"
INK, PAPER = "#0b6e4f", "#ffffff"
# Arcs of a signal over a village's roof; all of it within the circle that launchers cut out of an icon.
ICON = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96"><rect width="96" height="96" fill="{INK}"/>
<g fill="none" stroke="{PAPER}" stroke-width="5" stroke-linecap="round"><path d="M24 42a34 34 0 0 1 48 0"/>
<path d="M33 51a21 21 0 0 1 30 0"/></g><path d="M48 54 68 70h-5v8H33v-8h-5z" fill="{PAPER}"/></svg>
"""


@router.get(ENGLISH + MEASURE)
@router.get(MEASURE)
def show_page(request: Request) -> Response:
    language = language_of(request)
    headers = HEADERS | {POLICY: MEASURE_POLICY, "Content-Language": language}
    return _keep(request, lambda: pages_of(request).renderer.measure(language).encode(), headers)


@router.get(MEASURE + "/sw.js")
def get_worker(request: Request) -> Response:
    """The service worker of both languages' pages: its scope may be wider than its folder."""
    headers = {"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-cache"}
    headers["Service-Worker-Allowed"] = f"{pages_of(request).base}/"
    return _keep(request, lambda: lean_script("measure/worker"), headers | {POLICY: MEASURE_POLICY})


@router.get(ENGLISH + MEASURE + "/manifest.webmanifest")
@router.get(MEASURE + "/manifest.webmanifest")
def get_manifest(request: Request) -> Response:
    language, base = language_of(request), pages_of(request).base
    page = f"{base}{ENGLISH if language == 'en' else ''}{MEASURE}"
    manifest = {
        "name": translate("Measure village internet", {}, language=language),
        "short_name": translate("Measure", {}, language=language),
        "lang": language,
        "id": page,
        "start_url": page,
        "scope": page,
        "display": "standalone",
        "background_color": PAPER,
        "theme_color": INK,
        "icons": [
            {"src": f"{base}{MEASURE}/icon.svg", "sizes": "any", "type": "image/svg+xml", "purpose": purpose}
            for purpose in ("any", "maskable")
        ],
    }
    headers = {"Content-Type": "application/manifest+json", **CACHED}
    return _keep(request, lambda: orjson.dumps(manifest), headers)


@router.get(MEASURE + "/icon.svg")
def get_icon(request: Request) -> Response:
    return _keep(request, ICON.encode, {"Content-Type": "image/svg+xml", **CACHED})


def _keep(request: Request, make: Callable[[], bytes], headers: dict[str, str]) -> Response:
    """Send a page that never changes: made once, then sent before routing as the other public pages."""
    cached, path = pages_of(request).cached, request.scope["path"]
    if path not in cached:
        cached[path] = CachedPage.of(make(), headers, fresh_until=math.inf)
        cached[path].route = request.scope.get("route")
    return PageResponse(cached[path])
