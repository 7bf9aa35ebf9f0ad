"""Telemetri: what a site's terminal, router or provider says, beside what was measured; and where it comes from."""

from collections.abc import Mapping
from typing import Any

from fastapi import Response

from app.console import choices
from app.console.api_client import ApiProblem
from app.console.forms import Form
from app.console.page import ROOT, Console, ConsoleRequest, base_of, page_router

router = page_router()

PERIOD, PAGE = "7d", 200
ACCOUNT_FIELDS = ["name", "provider", "base_url", "client_id", "client_secret"]
TERMINAL_FIELDS = ["account", "device_id"]
ROUTER_FIELDS = ["host", "port", "interface", "version", "community", "user", "auth", "auth_key", "priv_key"]
NEW_ACCOUNT = {"base_url": "https://starlink.com/api"}
NEW_ROUTER = {"port": "161", "version": "v3", "auth": "sha256"}


@router.get("/sites/{ident}/telemetry")
async def show_telemetry(console: Console, ident: str) -> Response:
    return await _site_page(console, ident)


@router.post("/sites/{ident}/telemetry/{kind}")
async def change_source(console: Console, ident: str, kind: str) -> Response:
    """Register or change a source, or remove it."""
    form = await console.form()
    site = await console.api.get(f"/sites/{ident}")
    path = f"/sites/{site['id']}/telemetry/{kind}"
    try:
        if form.get("do") == "remove":
            await console.api.delete(path)
        else:
            await console.api.put(path, _router(form) if kind == "snmp" else _texts(form, TERMINAL_FIELDS))
    except ApiProblem as problem:
        if problem.status in {401, 404}:
            raise
        return await _site_page(console, ident, problem, {kind: form})
    return console.redirect(f"/sites/{site['id']}/telemetry", notice="saved")


@router.get("/telemetry")
async def show_accounts(console: Console) -> Response:
    return await _accounts_page(console)


@router.post("/telemetry")
async def create_account(console: Console) -> Response:
    form = await console.form()
    try:
        await console.api.post("/telemetry/accounts", _texts(form, ACCOUNT_FIELDS))
    except ApiProblem as problem:
        return await _accounts_page(console, problem, form)
    return console.redirect("/telemetry", notice="saved")


@router.post("/telemetry/{telemetry_account_id}/delete")
async def delete_account(console: Console, telemetry_account_id: str) -> Response:
    await console.form()
    await console.api.delete(f"/telemetry/accounts/{telemetry_account_id}")
    return console.redirect("/telemetry", notice="telemetry_account_deleted")


async def _site_page(
    console: ConsoleRequest,
    ident: str,
    problem: ApiProblem | None = None,
    typed: Mapping[str, Mapping[str, str]] | None = None,
) -> Response:
    site = await console.api.get(f"/sites/{ident}")
    said = await console.api.get(f"/sites/{site['id']}/telemetry", period=PERIOD)
    sources = {source["kind"]: source for source in said["sources"]}
    typed = typed or {}
    return console.page(
        "telemetry.html",
        status=problem.status if problem else 200,
        site=site,
        here=f"{base_of(console.request)}{ROOT}/sites/{site['id']}",
        said=said,
        terminal={
            **dict.fromkeys(TERMINAL_FIELDS, ""),
            **_shown(sources.get("starlink_account"), TERMINAL_FIELDS),
            **typed.get("starlink_account", {}),
        },
        router={
            **dict.fromkeys(ROUTER_FIELDS, ""),
            **NEW_ROUTER,
            **_shown(sources.get("snmp"), ROUTER_FIELDS),
            **typed.get("snmp", {}),
        },
        at_provider=sources.get("snmp", {}).get("witness") == "provider",
        problem=problem,
        fields=[*TERMINAL_FIELDS, *ROUTER_FIELDS],
    )


def _shown(source: Mapping[str, Any] | None, names: list[str]) -> dict[str, Any]:
    if source is None:
        return {}
    shown = {name: source[name] for name in names if source.get(name) is not None}
    return shown | ({"account": source["account_name"]} if source["account_name"] else {})


def _texts(form: Form, names: list[str]) -> dict[str, str]:
    return {name: form[name] for name in names if form.get(name)}


def _router(form: Form) -> dict[str, Any]:
    """Return what was filled in: fields of the other version are left out, and empty secrets stay as they are."""
    others = {"v2c": {"user", "auth", "auth_key", "priv_key"}, "v3": {"community"}}.get(form.get("version", ""), set())
    texts: dict[str, Any] = {name: value for name, value in _texts(form, ROUTER_FIELDS).items() if name not in others}
    if form.get("version") == "v3" and "auth_key" not in texts:
        texts.pop("user", None)
    numbers = {name: int(texts[name]) for name in ("port", "interface") if texts.get(name, "").isdecimal()}
    return texts | numbers | {"at_provider": "at_provider" in form}


async def _accounts_page(
    console: ConsoleRequest, problem: ApiProblem | None = None, typed: Mapping[str, str] | None = None
) -> Response:
    accounts = await console.api.get("/telemetry/accounts", limit=PAGE)
    return console.page(
        "telemetry_accounts.html",
        status=problem.status if problem else 200,
        accounts=accounts["items"],
        providers=await choices.providers(console.api),
        values={**dict.fromkeys(ACCOUNT_FIELDS, ""), **NEW_ACCOUNT, **(typed or {}), "client_secret": ""},
        problem=problem,
        fields=ACCOUNT_FIELDS,
    )
