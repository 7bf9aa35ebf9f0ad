"""Signing in and out, and one's own account."""

import re
from typing import Any

import orjson
from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from app.console.api_client import ApiProblem, ApiResponse
from app.console.forms import MAX_FIELDS, read_form
from app.console.page import (
    MAX_KEPT,
    PASSWORD,
    PRIVATE,
    ROOT,
    SIGN_IN,
    TEMPLATES,
    Console,
    base_of,
    client_of,
    page_router,
    sign_in_page,
)
from app.pages.environment import render
from app.pages.responses import html_page, language_of
from app.web.deps import open_to_all

router = page_router()

OWN_PATH = re.compile(r"/(console|layar)([/?][^\s\\]{0,4000})?")  # where signing in may lead: no other site,
FORGET = {"Clear-Site-Data": '"cache", "storage"'}  # pages behind the back button, drafts; not the cookies
DOTS = re.compile(r"/(\.|%2e){1,2}(/|\?|$)", re.IGNORECASE)  # and nothing above


@router.get("/sign-in", dependencies=[Depends(open_to_all)])
async def show_sign_in(request: Request, next: str = "", notice: str = "") -> Response:
    return sign_in_page(request, next=next, signed_out=notice == "signed_out")


@router.post("/sign-in", dependencies=[Depends(open_to_all)])
async def sign_in(request: Request) -> Response:
    """Open a session; then go on to `next`, or offer the form that was kept to be sent again."""
    form = await read_form(request)
    next, kept_text = form.get("next", ""), form.get("kept")
    shown = {"next": next, "kept": kept_text, "username": form.get("username", "")}
    try:
        answer = await client_of(request, language_of(request)).send(
            "POST",
            "/session",
            content=orjson.dumps({"username": shown["username"], "password": form.secret("password")}),
            headers={"content-type": "application/json"},
        )
    except ApiProblem as problem:
        return sign_in_page(request, status=problem.status, problem=problem, **shown)
    if answer.json()["account"]["must_change_password"]:
        return _with_session(RedirectResponse(f"{base_of(request)}{PASSWORD}", 303, headers=PRIVATE), answer)
    if (kept := read_kept(kept_text)) is not None:
        return _with_session(_resume_page(request, kept, answer.json()["csrf_token"]), answer)
    target = next if is_own_path(next) else ROOT
    return _with_session(RedirectResponse(f"{base_of(request)}{target}", 303, headers=PRIVATE), answer)


@router.post("/sign-out")
async def sign_out(console: Console) -> Response:
    await console.form()
    answer = await console.api.send("DELETE", "/session")
    target = f"{base_of(console.request)}{SIGN_IN}?notice=signed_out"
    return _with_session(RedirectResponse(target, 303, headers=PRIVATE | FORGET), answer)


@router.get("/me")
async def show_own_account(console: Console) -> Response:
    return console.page("me.html", me=await console.api.get("/me"))


@router.get("/me/password")
async def show_password_form(console: Console) -> Response:
    return console.page("password.html")


@router.post("/me/password")
async def change_password(console: Console) -> Response:
    form = await console.form()
    passwords = {name: form.secret(name) for name in ("current_password", "new_password")}
    try:
        answer = await console.api.send(
            "POST",
            "/me/password",
            content=orjson.dumps(passwords),
            headers={"content-type": "application/json"},
        )
    except ApiProblem as problem:
        return console.page("password.html", status=problem.status, problem=problem)
    return _with_session(console.redirect("/me", notice="password_changed"), answer)


def read_kept(text: str | None) -> dict[str, Any] | None:
    """Return path and fields of a kept form; None for anything else."""
    if text is None or len(text) > MAX_KEPT:
        return None
    try:
        kept = orjson.loads(text)
        path, fields = kept["path"], [(str(name), str(value)) for name, value in kept["fields"]]
    except (ValueError, TypeError, KeyError):
        return None
    if not isinstance(path, str) or not is_own_path(path) or len(fields) >= MAX_FIELDS:
        return None
    return {"path": path, "fields": fields}


def is_own_path(path: str) -> bool:
    return OWN_PATH.fullmatch(path) is not None and DOTS.search(path) is None


def _resume_page(request: Request, kept: dict[str, Any], csrf_token: str) -> Response:
    html = render(
        TEMPLATES, "resume.html", language_of(request), base=base_of(request), kept=kept, csrf_token=csrf_token
    )
    return html_page(html, headers=PRIVATE)


def _with_session(response: Response, answer: ApiResponse) -> Response:
    """Pass on the session's cookie."""
    if cookie := answer.headers.get("set-cookie"):
        response.headers.append("set-cookie", cookie)
    return response
