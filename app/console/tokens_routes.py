"""Token: keys for programs and wall screens; the secret is shown once."""

from typing import Any

from fastapi import Response

from app.console.api_client import ApiProblem
from app.console.grant_choices import read_choices
from app.console.page import Console, ConsoleRequest, page_router

router = page_router()

PAGE = 200
FIELDS = ["name", "role", "region_code", "provider", "days"]
NEW = {"name": "", "role": "viewer", "region_code": "", "provider": "", "days": "365"}
WALL_DAYS = "3650"  # a screen on a wall outlives sessions and officers


@router.get("/tokens")
async def list_tokens(console: Console, ended: bool = False, cursor: str | None = None) -> Response:
    tokens = await console.api.get("/tokens", active=not ended, cursor=cursor, limit=PAGE)
    return console.page("tokens.html", tokens=tokens, ended=ended, is_later=cursor is not None)


@router.get("/tokens/new")
async def show_new_token(console: Console, wall: bool = False) -> Response:
    return await _form(console, NEW | {"days": WALL_DAYS} if wall else NEW, is_wall=wall)


@router.post("/tokens")
async def create_token(console: Console) -> Response:
    """Create it, and show its secret this once."""
    form = await console.form()
    is_wall = form.get("wall") == "true"
    role = form.get("role", "")
    days = form.get("days", "")
    body = {
        "name": form.get("name", ""),
        "role": role,
        "region_code": form.get("region_code") or None,
        "provider": (form.get("provider") or None) if role == "provider_viewer" else None,
        "days": int(days) if days.isdecimal() and len(days) <= 9 else days,
    }
    try:
        token = await console.api.post("/tokens", body)
    except ApiProblem as problem:
        return await _form(console, {**NEW, **form}, problem, is_wall=is_wall)
    return console.page("token_secret.html", token=token, is_wall=is_wall, wall_url=_wall_url(console), status=201)


@router.post("/tokens/{token_id}/revoke")
async def revoke_token(console: Console, token_id: int) -> Response:
    await console.form()
    await console.api.delete(f"/tokens/{token_id}")
    return console.redirect("/tokens", notice="token_revoked")


def _wall_url(console: ConsoleRequest) -> str:
    base = console.request.app.state.settings.public_base
    return f"{base or str(console.request.base_url).rstrip('/')}/layar"


async def _form(
    console: ConsoleRequest, values: dict[str, Any], problem: ApiProblem | None = None, *, is_wall: bool
) -> Response:
    return console.page(
        "token.html",
        status=problem.status if problem else 200,
        values=values,
        problem=problem,
        is_wall=is_wall,
        choices=await read_choices(console),
        fields=FIELDS,
    )
