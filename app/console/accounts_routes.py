"""Akun: who may sign in; created, changed and disabled by admins within their own rights."""

import asyncio
from typing import Any

from fastapi import Response

from app.console.api_client import ApiProblem
from app.console.forms import Form
from app.console.grant_choices import read_choices
from app.console.page import Console, ConsoleRequest, page_router

router = page_router()

PAGE = 200
FIELDS = ["username", "name", "role", "region_code", "provider"]
NEW: dict[str, Any] = {"username": "", "name": "", "role": "district_operator", "region_code": "", "provider": ""}


@router.get("/accounts")
async def list_accounts(console: Console, cursor: str | None = None) -> Response:
    accounts = await console.api.get("/accounts", cursor=cursor, limit=PAGE)
    return console.page("accounts.html", accounts=accounts, is_later=cursor is not None)


@router.get("/accounts/new")
async def show_new_account(console: Console) -> Response:
    return await _form(console, None, NEW)


@router.post("/accounts")
async def create_account(console: Console) -> Response:
    """Create it, and show its initial password this once."""
    form = await console.form()
    try:
        made = await console.api.post("/accounts", {"username": form.get("username", ""), **_granted(form)})
    except ApiProblem as problem:
        return await _form(console, None, {**NEW, **form}, problem)
    return console.page("account_password.html", account=made, status=201)


@router.get("/accounts/{account_id}")
async def show_account(console: Console, account_id: int) -> Response:
    account = await console.api.get(f"/accounts/{account_id}")
    return await _form(console, account, account)


@router.post("/accounts/{account_id}")
async def change_account(console: Console, account_id: int) -> Response:
    form = await console.form()
    try:
        changes = _granted(form)
        await console.api.patch(f"/accounts/{account_id}", changes, version=form.get("version"))
    except ApiProblem as problem:
        account = await console.api.get(f"/accounts/{account_id}")
        return await _form(console, account, {**account, **form}, problem)
    return console.redirect(f"/accounts/{account_id}", notice="saved")


@router.post("/accounts/{account_id}/disable")
async def disable_account(console: Console, account_id: int) -> Response:
    return await _switch(console, account_id, disabled=True)


@router.post("/accounts/{account_id}/enable")
async def enable_account(console: Console, account_id: int) -> Response:
    return await _switch(console, account_id, disabled=False)


@router.post("/accounts/{account_id}/reset-password")
async def reset_password(console: Console, account_id: int) -> Response:
    await console.form()
    account = await console.api.post(f"/accounts/{account_id}/reset-password")
    return console.page("account_password.html", account=account)


@router.post("/accounts/{account_id}/sessions")
async def end_sessions(console: Console, account_id: int) -> Response:
    await console.form()
    await console.api.delete(f"/accounts/{account_id}/sessions")
    return console.redirect(f"/accounts/{account_id}", notice="sessions_ended")


def _granted(form: Form) -> dict[str, Any]:
    provider = form.get("provider") if form.get("role") == "provider_viewer" else None
    return {**{name: form.get(name, "") for name in ("name", "role", "region_code")}, "provider": provider or None}


async def _switch(console: ConsoleRequest, account_id: int, *, disabled: bool) -> Response:
    await console.form()
    try:
        await console.api.patch(f"/accounts/{account_id}", {"disabled": disabled})
    except ApiProblem as problem:
        account = await console.api.get(f"/accounts/{account_id}")
        return await _form(console, account, account, problem)
    return console.redirect(f"/accounts/{account_id}", notice="account_disabled" if disabled else "account_enabled")


async def _form(
    console: ConsoleRequest, account: dict[str, Any] | None, values: dict[str, Any], problem: ApiProblem | None = None
) -> Response:
    """Show the form of an account, with its sessions and tokens; of a new one (None) without."""
    choices = await read_choices(console)
    sessions, tokens = list[Any](), list[Any]()
    if account is not None:
        found = await asyncio.gather(
            console.api.get(f"/accounts/{account['id']}/sessions"),
            console.api.get("/tokens", account_id=account["id"], active=True, limit=PAGE),
        )
        sessions, tokens = (page["items"] for page in found)
    return console.page(
        "account.html",
        status=problem.status if problem else 200,
        account=account,
        values=values,
        problem=problem,
        choices=choices,
        sessions=sessions,
        tokens=tokens,
        fields=FIELDS,
    )
