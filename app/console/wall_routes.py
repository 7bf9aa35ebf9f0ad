"""`/layar`: the wall of a control room, read with a token of its own that outlives sessions.

The token is entered once and kept in a cookie of this page alone. It never stands in an address that is requested: a
link may carry it behind the #, from where the page's script posts it.
"""

from dataclasses import dataclass
from typing import Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from app.access.api_tokens import digest
from app.access.models import CredentialKind
from app.access.rights import Right, rights_of
from app.access.scope import Caller
from app.access.stream_tickets import Credential
from app.console import wall
from app.console.api_client import ApiClient
from app.console.forms import read_form
from app.console.page import PRIVATE, TEMPLATES, ConsoleRoute, base_of, client_of
from app.console.scope_cache import ScopeCache, scope_of
from app.core.errors import NotSignedIn, PasswordChangeRequired
from app.measurements.simulated_past import simulated
from app.pages.environment import render
from app.pages.responses import html_page, language_of, remember_language
from app.settings import Settings
from app.status.snapshot import Snapshot
from app.status.stream_routes import open_stream
from app.web.caller_cache import CallerCache
from app.web.credentials import find_credential
from app.web.deps import open_to_all

router = APIRouter(
    prefix="/layar", route_class=ConsoleRoute, include_in_schema=False, dependencies=[Depends(open_to_all)]
)

COOKIE = "sinyal_kiosk"
MAX_AGE_S = 400 * 86_400  # as long as browsers keep any
MAX_TOKEN = 200  # characters

Theme = Literal["dark", "light"]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose wall it is: a token's, else of the session that is signed in."""

    caller: Caller
    credential: Credential
    api: ApiClient


@router.get("")
async def show_wall(request: Request, theme: Theme = "dark") -> Response:
    try:
        viewer = await _viewer(request)
    except NotSignedIn:
        return _ask_for_token(request, theme, fault="ended" if request.cookies.get(COOKIE) else None)
    snapshot: Snapshot = request.app.state.snapshot
    cache: ScopeCache = request.app.state.scope_cache
    version, caller = str(snapshot.version) if snapshot.loaded else "", viewer.caller
    key = "wall", *scope_of(caller)
    shown = await cache.by_version(version, key, lambda: wall.read(viewer.api, caller.region_code))
    own_token = caller.token_id is not None
    response = _page(request, "wall.html", theme=theme, wall=shown, version=version, has_token=own_token)
    remember_language(request, response)
    return response


@router.post("")
async def keep_token(request: Request) -> Response:
    """Keep a token that only reads in the wall's cookie; without one, forget the token kept."""
    form = await read_form(request)
    theme: Theme = "light" if form.get("theme") == "light" else "dark"
    token = form.get("token", "")
    response: Response = RedirectResponse(f"{base_of(request)}/layar?theme={theme}", 303, headers=PRIVATE)
    if not token:
        response.delete_cookie(COOKIE, path=f"{base_of(request)}/layar")
        return response
    try:
        caller = await _caller(request, Credential(CredentialKind.TOKEN, digest(token[:MAX_TOKEN])))
    except NotSignedIn:
        return _ask_for_token(request, theme, fault="unknown")
    if rights_of(caller.role) != {Right.READ}:
        return _ask_for_token(request, theme, fault="writes")
    settings: Settings = request.app.state.settings
    response.set_cookie(
        COOKIE,
        token,
        max_age=MAX_AGE_S,
        path=f"{base_of(request)}/layar",
        secure=(settings.public_url or "").startswith("https://"),
        httponly=True,
        samesite="lax",  # a link in a message opens the wall, too
    )
    return response


@router.get("/token")
async def ask_for_token(request: Request, theme: Theme = "dark") -> Response:
    return _ask_for_token(request, theme, fault=None)


@router.get("/stream")
async def stream_versions(request: Request, since: str | None = None) -> Response:
    """As `/api/v1/status/stream?detail=version`, which the wall's cookie does not reach."""
    try:
        viewer = await _viewer(request)
    except NotSignedIn:
        return Response(status_code=401, headers=PRIVATE)
    return open_stream(request, viewer.caller, viewer.credential, since)


async def _viewer(request: Request) -> Viewer:
    """Raises NotSignedIn; PasswordChangeRequired, as the console does."""
    api = client_of(request, language_of(request))
    if token := request.cookies.get(COOKIE, "")[:MAX_TOKEN]:
        credential = Credential(CredentialKind.TOKEN, digest(token))
        caller = await _caller(request, credential)
        api.headers["authorization"] = f"Bearer {token}"
        return Viewer(caller, credential, api)
    found = find_credential(request.scope)
    if found is None or found.kind is not CredentialKind.SESSION:
        raise NotSignedIn
    caller = await _caller(request, found)
    if caller.must_change_password:
        raise PasswordChangeRequired
    return Viewer(caller, found, api)


async def _caller(request: Request, credential: Credential) -> Caller:
    callers: CallerCache = request.app.state.callers
    return (await callers.get(request, credential)).caller


def _ask_for_token(request: Request, theme: Theme, *, fault: str | None) -> Response:
    return _page(request, "wall_token.html", status=401 if fault else 200, theme=theme, fault=fault)


def _page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    html = render(
        TEMPLATES,
        template,
        language_of(request),
        base=base_of(request),
        simulated_until=simulated.get(),
        **values,
    )
    return html_page(html, status=status, headers=PRIVATE)
