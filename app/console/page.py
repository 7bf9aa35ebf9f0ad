"""What each page of the console begins with: who is signed in, the API as that caller, and how to answer."""

import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from app.access import sessions
from app.access.models import CredentialKind
from app.access.rights import rights_of
from app.access.scope import Caller
from app.console.api_client import ApiClient, ApiProblem
from app.console.forms import CSRF_FIELD, KEY_FIELD, MAX_FORM, Form, read_form
from app.console.notices import NOTICES
from app.core.errors import NotAllowed, NotSignedIn, PasswordChangeRequired, Problem
from app.measurements.simulated_past import simulated
from app.pages.environment import render
from app.pages.responses import html_page, language_link, language_of, remember_language
from app.pages.texts import text
from app.status.snapshot import Snapshot
from app.web.account_queues import AccountQueues
from app.web.auth import CSRF_HEADER
from app.web.caller_cache import SAFE_METHODS, CallerCache
from app.web.credentials import COOKIE, find_credential

TEMPLATES = Path(__file__).parent / "templates"
ROOT = "/console"
SIGN_IN, PASSWORD = f"{ROOT}/sign-in", f"{ROOT}/me/password"
WITH_INITIAL_PASSWORD = {PASSWORD, f"{ROOT}/sign-out"}
MAX_KEPT = 100_000  # bytes of a form that is kept while its sender signs in: what is sent of it is below MAX_FORM
PRIVATE = {"Cache-Control": "no-store"}

Handle = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(slots=True)
class ConsoleRequest:
    """A request of somebody who is signed in."""

    request: Request
    caller: Caller
    language: str
    csrf_token: str
    api: ApiClient
    status_version: str = ""  # at least that old is what the page shows; "" until the status is loaded

    @property
    def path(self) -> str:
        """The path below the console's root, such as `/sites/12`."""
        return path_of(self.request).removeprefix(ROOT)

    def may(self, right: str) -> bool:
        return right in rights_of(self.caller.role)

    def text(self, template: str, **values: Any) -> str:
        return text(template, language=self.language, **values)

    async def form(self) -> Form:
        """Return what was posted; its CSRF token and idempotency key go with every call of the API from now on."""
        form = await read_form(self.request)
        self.api.headers[CSRF_HEADER.lower()] = _ascii(form.data.get(CSRF_FIELD))
        if key := _ascii(form.data.get(KEY_FIELD)):
            self.api.headers["idempotency-key"] = key
        return form

    def page(self, name: str, *, status: int = 200, headers: dict[str, str] | None = None, **values: Any) -> Response:
        """Render a template; it knows `console`, `problem` (None unless given), `notice` and `simulated_until`."""
        notice = NOTICES.get(self.request.query_params.get("notice", ""))
        html = render(
            TEMPLATES,
            name,
            self.language,
            console=self,
            base=base_of(self.request),
            root=base_of(self.request) + ROOT,
            notice=None if notice is None else self.text(notice),
            language_link=language_link(self.request),
            simulated_until=simulated.get(),
            new_key=secrets.token_urlsafe(18),
            **{"problem": None, **values},
        )
        response = html_page(html, status=status, headers=PRIVATE | (headers or {}))
        remember_language(self.request, response)
        return response

    def redirect(self, path: str, *, notice: str | None = None) -> Response:
        """Redirect to a page of the console by GET; `notice`: what the page then says, by its name in NOTICES."""
        assert notice is None or notice in NOTICES, notice
        mark = f"{'&' if '?' in path else '?'}notice={notice}" if notice else ""
        return RedirectResponse(f"{base_of(self.request)}{ROOT}{path}{mark}", 303, headers=PRIVATE)


async def open_console(request: Request) -> AsyncIterator[ConsoleRequest]:
    """Yield a request that has its turn among the account's own: a page is many calls of the API.

    Raises NotSignedIn, and PasswordChangeRequired: ConsoleRoute then shows the page for signing in, or for that.
    """
    credential = find_credential(request.scope)
    if credential is None or credential.kind is not CredentialKind.SESSION:
        raise NotSignedIn
    callers: CallerCache = request.app.state.callers
    caller, _ = await callers.get(request, credential)
    if caller.must_change_password and path_of(request) not in WITH_INITIAL_PASSWORD:
        raise PasswordChangeRequired  # here, too: a page may be made of what the API told others
    language = language_of(request)
    csrf_token = sessions.csrf_token(request.cookies[COOKIE])
    snapshot: Snapshot = request.app.state.snapshot
    version = str(snapshot.version) if snapshot.loaded else ""
    pages: AccountQueues = request.app.state.pages
    async with pages.hold(caller):
        yield ConsoleRequest(request, caller, language, csrf_token, client_of(request, language), version)


Console = Annotated[ConsoleRequest, Depends(open_console, scope="function")]


def client_of(request: Request, language: str) -> ApiClient:
    return ApiClient(request.app.state.api_in_process, request, {"accept-language": language})


def base_of(request: Request) -> str:
    """Return the path under which a proxy serves the service; "" without one."""
    return request.scope.get("root_path", "")  # type: ignore[no-any-return]


def path_of(request: Request) -> str:
    """Return the path below `base_of`."""
    return request.scope["path"].removeprefix(base_of(request))  # type: ignore[no-any-return]


class ConsoleRoute(APIRoute):
    """Answers what goes wrong with a page that says what happened and what to do; nothing typed is lost."""

    def get_route_handler(self) -> Handle:
        handle = super().get_route_handler()

        async def handle_as_page(request: Request) -> Response:
            try:
                _require_own_site(request)
                return await handle(request)
            except NotSignedIn:
                return await ask_to_sign_in(request)
            except PasswordChangeRequired:
                return RedirectResponse(f"{base_of(request)}{PASSWORD}", 303, headers=PRIVATE)
            except ApiProblem as problem:
                if problem.status == 401:
                    return await ask_to_sign_in(request)
                if problem.body.get("type", "").endswith(PasswordChangeRequired.type):
                    return RedirectResponse(f"{base_of(request)}{PASSWORD}", 303, headers=PRIVATE)
                return problem_page(request, problem)
            except Exception as error:
                return problem_page(request, await _as_problem(request, error))
            finally:
                await request.close()  # what was uploaded lies in a temporary file

        return handle_as_page


def page_router() -> APIRouter:
    return APIRouter(route_class=ConsoleRoute, include_in_schema=False)


async def ask_to_sign_in(request: Request) -> Response:
    """Send a reader to sign in and back; what was posted is kept on that page."""
    base, path = base_of(request), path_of(request)
    if request.method in SAFE_METHODS:
        target = path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{base}{SIGN_IN}?next={quote(target, safe='')}", 303, headers=PRIVATE)
    return sign_in_page(request, kept=await _kept(request, path), status=401)


def sign_in_page(request: Request, *, status: int = 200, **values: Any) -> Response:
    shown = {"problem": None, "kept": None, "next": "", "username": "", **values}
    language = language_of(request)
    html = render(TEMPLATES, "sign_in.html", language, base=base_of(request), simulated_until=simulated.get(), **shown)
    response = html_page(html, status=status, headers=PRIVATE)
    remember_language(request, response)
    return response


def problem_page(request: Request, problem: ApiProblem) -> Response:
    headers = {name: value for name, value in problem.headers.items() if name == "retry-after"}
    html = render(TEMPLATES, "problem.html", language_of(request), base=base_of(request), problem=problem)
    return html_page(html, status=problem.status, headers=PRIVATE | headers)


async def _as_problem(request: Request, error: Exception) -> ApiProblem:
    """Return what the API says of an error, logged as there."""
    handlers = request.app.exception_handlers
    handler = next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)
    headers = [pair for pair in request.scope["headers"] if pair[0] != b"accept-language"]
    scope = {**request.scope, "headers": [*headers, (b"accept-language", language_of(request).encode())]}
    answer = await handler(Request(scope, request.receive), error)
    body = orjson.loads(answer.body)
    return ApiProblem(answer.status_code, body["title"], body.get("detail"), body["errors"], body, dict(answer.headers))


def _require_own_site(request: Request) -> None:
    """Raises NotAllowed for a form that a page of another site sends.

    A session's forms carry a CSRF token, which the API checks. This is for those without one: signing in, the wall's
    token, and a form that would be kept and offered to whoever signs in next.
    """
    if request.method in SAFE_METHODS:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is not None:  # an old browser, or one that came without TLS
        public = request.app.state.settings.public_url or ""
        own = {request.headers.get("host"), urlsplit(public).netloc} - {""}
        site = "same-origin" if urlsplit(origin).netloc in own else "cross-site"  # `null` has none
    if site not in {None, "same-origin", "none"}:
        raise NotAllowed("This form was sent by a page of another site, so nothing was done: open it here")


async def _kept(request: Request, path: str) -> str | None:
    """Return a posted form as one text, to be sent again after signing in; None if it is too large.

    Passwords are not kept: they would stand in the page, readable.
    """
    announced = request.headers.get("content-length", "")
    if not announced.isdecimal() or int(announced[:18]) > MAX_FORM:
        return None
    try:
        data = (await read_form(request)).data
    except (Problem, HTTPException):
        return None
    fields = [
        (name, value)
        for name, value in data.multi_items()
        if isinstance(value, str) and name != CSRF_FIELD and "password" not in name
    ]
    kept = orjson.dumps({"path": path, "fields": fields})
    return kept.decode() if len(kept) <= MAX_KEPT else None


def _ascii(value: Any) -> str:
    return value if isinstance(value, str) and value.isascii() and value.isprintable() else ""
