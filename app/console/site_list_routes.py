"""The list of sites: paged, searched and filtered by the API; the address says what is shown."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Response

from app.console import site_filter
from app.console.api_client import ApiProblem
from app.console.page import Console, ConsoleRequest, page_router

router = page_router()

PAGE = 50


@router.get("/sites")
async def show_sites(console: Console, cursor: str | None = None) -> Response:
    return await _list_page(console, console.request.query_params, cursor=cursor)


async def _list_page(
    console: ConsoleRequest,
    query: Mapping[str, str],
    *,
    cursor: str | None = None,
    unsaved: ApiProblem | None = None,
) -> Response:
    """`unsaved`: why a view of this list was not saved. A filter that is refused is shown with what is wrong in it."""
    chosen = site_filter.read_filter(query)
    shown: dict[str, Any] = {"chosen": chosen, "choices": await site_filter.choices(console, chosen), "cursor": cursor}
    shown |= {"views": (await console.api.get("/me/views"))["items"], "unsaved": unsaved}
    try:
        sites = await console.api.get("/sites", limit=PAGE, cursor=cursor, **chosen.params)
    except ApiProblem as problem:
        if problem.status not in {403, 422}:
            raise
        return console.page("sites.html", status=problem.status, problem=problem, sites=None, **shown)
    return console.page("sites.html", status=unsaved.status if unsaved else 200, sites=sites, **shown)


@router.post("/sites/views")
async def save_view(console: Console) -> Response:
    form = await console.form()
    query = form.get("query", "")
    try:
        await console.api.post("/me/views", {"name": form.get("name", ""), "query": query})
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        return await _list_page(console, dict(parse_qsl(query)), unsaved=problem)
    return console.redirect(_list_path(query), notice="view_saved")


@router.post("/sites/views/{view_id}/delete")
async def delete_view(console: Console, view_id: int) -> Response:
    form = await console.form()
    await console.api.delete(f"/me/views/{view_id}")
    return console.redirect(_list_path(form.get("query", "")), notice="view_deleted")


def _list_path(query: str) -> str:
    return f"/sites?{query}" if query else "/sites"
