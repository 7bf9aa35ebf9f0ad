from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response

from app.access.scope import PROVINCE
from app.console import maintenance_calendar, maintenance_form
from app.console.api_client import ApiProblem
from app.console.choices import providers
from app.console.incident_filters import load_choices
from app.console.page import Console, ConsoleRequest, page_router
from app.core.clock import today, utc_now
from app.core.errors import NotAllowed

router: APIRouter = page_router()

MAX_WINDOWS = 500
FILTER = ("region", "provider", "status")


@router.get("/maintenance")
async def show_maintenance(console: Console) -> Response:
    """Show a month as a calendar, and its windows as a list."""
    asked = {name: console.request.query_params.get(name, "") for name in (*FILTER, "month")}
    first = maintenance_calendar.first_of(asked["month"], today())
    choices = await load_choices(console)
    windows, problem = await _windows(console, asked, first)
    before, after = maintenance_calendar.neighbours(first)
    return console.page(
        "maintenance.html",
        status=problem.status if problem else 200,
        windows=windows,
        weeks=maintenance_calendar.month_weeks(first, [w for w in windows if w["status"] != "cancelled"]),
        problem=problem,
        asked=asked,
        choices=choices,
        provider_names=dict(choices["providers"]),
        first=first,
        today=today(),
        before=before,
        after=after,
    )


async def _windows(
    console: ConsoleRequest, asked: Mapping[str, str], first: Any
) -> tuple[list[dict[str, Any]], ApiProblem | None]:
    """Return the windows of the month's weeks; none, with the problem, for a filter that makes no sense."""
    period = maintenance_calendar.period_of(first)
    bounds = {"from_": period.start.isoformat(), "to": period.end.isoformat()}
    criteria = {name: asked[name] for name in FILTER}
    try:
        found = await console.api.get("/maintenance", limit=MAX_WINDOWS, **bounds, **criteria)
    except ApiProblem as problem:
        if problem.status in {403, 422}:
            return [], problem
        raise
    return found["items"], None


@router.get("/maintenance/new")
async def show_new_window(console: Console) -> Response:
    """A link may fill in the form, such as that of a site; without one a district begins with its own region."""
    if not console.may("write"):
        raise NotAllowed("Role {role} only reads", values={"role": console.caller.role.value})
    given = console.request.query_params
    values = {name: given[name] for name in maintenance_form.FIELDS if name in given}
    own = console.caller.region_code
    return await _new(console, values or ({} if own == PROVINCE else {"region": own}))


@router.post("/maintenance/new")
async def plan_window(console: Console) -> Response:
    """Preview the window, or plan it."""
    form = await console.form()
    body = maintenance_form.new_window(form, console.caller.region_code)
    try:
        if form.get("do") == "preview":
            preview = await console.api.post("/maintenance/preview", {"title": "–"} | body)
            return await _new(console, form, preview=preview)
        window = await console.api.post("/maintenance", body)
    except ApiProblem as problem:
        return await _new(console, form, status=problem.status, problem=problem)
    return console.redirect(f"/maintenance/{window['id']}", notice="window_planned")


async def _new(console: ConsoleRequest, values: Mapping[str, str], *, status: int = 200, **more: Any) -> Response:
    choices = await load_choices(console)
    own = (console.caller.region_code, console.text("the whole region of yours"))
    shown = {"problem": None, "preview": None, **more}
    return console.page("maintenance_new.html", status=status, values=values, choices=choices, own_region=own, **shown)


@router.get("/maintenance/{window_id}")
async def show_window(console: Console, window_id: str) -> Response:
    return await _one(console, window_id)


@router.post("/maintenance/{window_id}")
async def change_window(console: Console, window_id: str) -> Response:
    """Change times, title or reason; `end_now` ends a running window at this second."""
    form = await console.form()
    window = await console.api.get(f"/maintenance/{window_id}")
    changes = maintenance_form.changed_fields(window, form)
    if form.get("do") == "end_now":
        changes["ended_at"] = utc_now().isoformat()
    try:
        if changes:
            await console.api.patch(f"/maintenance/{window_id}", changes, version=form.get("version"))
    except ApiProblem as problem:
        return await _one(console, window_id, form, status=problem.status, problem=problem)
    return console.redirect(f"/maintenance/{window_id}", notice="saved")


@router.post("/maintenance/{window_id}/cancel")
async def cancel_window(console: Console, window_id: str) -> Response:
    form = await console.form()
    try:
        await console.api.delete(f"/maintenance/{window_id}", reason=form.get("cancel_reason"))
    except ApiProblem as problem:
        return await _one(console, window_id, status=problem.status, cancel_problem=problem)
    return console.redirect(f"/maintenance/{window_id}", notice="window_cancelled")


async def _one(
    console: ConsoleRequest,
    window_id: str,
    values: Mapping[str, str] | None = None,
    *,
    status: int = 200,
    **more: Any,
) -> Response:
    window = await console.api.get(f"/maintenance/{window_id}")
    shown = maintenance_form.values_of(window) | dict(values or {})
    return console.page(
        "maintenance_window.html",
        status=status,
        window=window,
        values=shown,
        provider_names=dict(await providers(console.api)),
        **{"problem": None, "cancel_problem": None, **more},
    )
