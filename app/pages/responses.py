"""HTML responses: under a policy by which a page loads only what this service serves, and runs nothing inline."""

from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from app.web.security_headers import POLICY

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
LANGUAGE_COOKIE, LANGUAGES = "sinyal_language", ("id", "en")
ONE_YEAR_S = 365 * 86_400


REFERRER = {"referrer-policy": "same-origin"}  # with no-referrer a browser hides the Origin of our own forms, too


def html_page(html: str, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return HTMLResponse(html, status, {POLICY: PAGE_POLICY, **REFERRER, **(headers or {})})


def language_of(request: Request) -> str:
    """Return `id` or `en`: of `?lang=`, else of the cookie that it left, else `id`."""
    for given in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
        if given in LANGUAGES:
            return given
    return LANGUAGES[0]


def language_link(request: Request) -> str:
    """Return the query of this page in the other language, with what it shows now."""
    shown = [(name, value) for name, value in request.query_params.multi_items() if name not in {"lang", "notice"}]
    other = next(language for language in LANGUAGES if language != language_of(request))
    return "?" + urlencode([*shown, ("lang", other)])


def remember_language(request: Request, response: Response) -> None:
    """Keep the language of `?lang=` in a cookie."""
    given = request.query_params.get("lang")
    if given in LANGUAGES:
        path = request.scope.get("root_path") or "/"
        response.set_cookie(LANGUAGE_COOKIE, given, max_age=ONE_YEAR_S, path=path, samesite="lax", httponly=True)
