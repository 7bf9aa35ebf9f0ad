"""Titik pantau: the networks from which sites are looked at, and the probers there."""

from collections.abc import Mapping
from typing import Any

from fastapi import Response

from app.console import choices
from app.console.api_client import ApiProblem
from app.console.page import Console, ConsoleRequest, page_router
from app.core.errors import NotAllowed

router = page_router()

PAGE = 200
NUMBERS = range(1, 9)  # beside the centre, which is number 0
TOKEN_FILE = "/etc/sinyal/prober.token"  # noqa: S105  # no secret
OF_PROBERS = ("vantage_", "prober_")  # how what is found of them begins
VANTAGE_FIELDS, PROBER_FIELDS = ["name", "label", "provider"], ["name", "vantage"]


@router.get("/vantages")
async def show_vantages(console: Console, revoked: bool = False, cursor: str | None = None) -> Response:
    vantages = (await console.api.get("/vantages"))["items"]
    probers = await console.api.get("/probers", active=not revoked, cursor=cursor, limit=PAGE)
    system = await console.api.get("/system")
    return console.page(
        "vantages.html",
        vantages=vantages,
        probers=probers,
        is_revoked=revoked,
        is_later=cursor is not None,
        system=system,
        findings=[finding for finding in system["findings"] if finding["check"].startswith(OF_PROBERS)],
        can_add=len(vantages) <= len(NUMBERS),
    )


@router.get("/vantages/new")
async def show_new_vantage(console: Console) -> Response:
    _require_manager(console)
    return await _vantage_form(console, None, {})


@router.post("/vantages/new")
async def create_vantage(console: Console) -> Response:
    """Give the new one the lowest number that is free."""
    form = await console.form()
    used = {vantage["number"] for vantage in (await console.api.get("/vantages"))["items"]}
    return await _save(console, None, min(set(NUMBERS) - used, default=len(NUMBERS) + 1), form)


@router.get("/vantages/probers/new")
async def show_new_prober(console: Console, vantage: str = "") -> Response:
    _require_manager(console)
    return await _prober_form(console, {"name": "", "vantage": vantage})


@router.post("/vantages/probers")
async def create_prober(console: Console) -> Response:
    """Create it, and show its token this once."""
    form = await console.form()
    try:
        prober = await console.api.post("/probers", {name: form.get(name, "") for name in PROBER_FIELDS})
    except ApiProblem as problem:
        return await _prober_form(console, form, problem)
    return _secret(console, prober, 201)


@router.post("/vantages/probers/{prober_id}/token")
async def rotate_token(console: Console, prober_id: int) -> Response:
    await console.form()
    return _secret(console, await console.api.post(f"/probers/{prober_id}/token"), 200)


@router.post("/vantages/probers/{prober_id}/revoke")
async def revoke_prober(console: Console, prober_id: int) -> Response:
    await console.form()
    await console.api.delete(f"/probers/{prober_id}")
    return console.redirect("/vantages", notice="prober_revoked")


@router.get("/vantages/{number}")
async def show_vantage(console: Console, number: int) -> Response:
    _require_manager(console)
    found = [vantage for vantage in (await console.api.get("/vantages"))["items"] if vantage["number"] == number]
    return await _vantage_form(console, number, found[0] if found else {})


@router.post("/vantages/{number}")
async def change_vantage(console: Console, number: int) -> Response:
    return await _save(console, number, number, await console.form())


async def _save(console: ConsoleRequest, shown: int | None, number: int, form: Mapping[str, str]) -> Response:
    """`shown`: the number of the form, None of that for a new one."""
    body = {"name": form.get("name", ""), "label": form.get("label", ""), "provider": form.get("provider") or None}
    try:
        await console.api.put(f"/vantages/{number}", body)
    except ApiProblem as problem:
        return await _vantage_form(console, shown, form, problem)
    return console.redirect("/vantages", notice="saved")


async def _vantage_form(
    console: ConsoleRequest, number: int | None, values: Mapping[str, Any], problem: ApiProblem | None = None
) -> Response:
    return console.page(
        "vantage.html",
        status=problem.status if problem else 200,
        number=number,
        values={**dict.fromkeys(VANTAGE_FIELDS, ""), **values},
        providers=await choices.providers(console.api),
        problem=problem,
        fields=VANTAGE_FIELDS,
    )


async def _prober_form(
    console: ConsoleRequest, values: Mapping[str, str], problem: ApiProblem | None = None
) -> Response:
    vantages = (await console.api.get("/vantages"))["items"]
    return console.page(
        "prober.html",
        status=problem.status if problem else 200,
        values={**dict.fromkeys(PROBER_FIELDS, ""), **values},
        vantages=[(vantage["name"], f"{vantage['label']} ({vantage['name']})") for vantage in vantages],
        problem=problem,
        fields=PROBER_FIELDS,
    )


def _secret(console: ConsoleRequest, prober: dict[str, Any], status: int) -> Response:
    settings = console.request.app.state.settings
    server = settings.public_base or str(console.request.base_url).rstrip("/")
    command = f"sinyal prober --server {server} --token-file {TOKEN_FILE} --data /var/lib/sinyal-prober"
    return console.page("prober_secret.html", prober=prober, command=command, token_file=TOKEN_FILE, status=status)


def _require_manager(console: ConsoleRequest) -> None:
    """Raises NotAllowed, before a form is filled in for nothing."""
    if not console.may("probers"):
        role = console.caller.role.value
        raise NotAllowed("Role {role} may not do this: only the province's admins may", values={"role": role})
