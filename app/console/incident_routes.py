from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Response

from app.console import incident_changes, incident_view
from app.console.api_client import ApiProblem
from app.console.forms import Form
from app.console.incident_filters import IncidentQuery, load_choices
from app.console.page import Console, ConsoleRequest, page_router
from app.registry.models import Cause

router: APIRouter = page_router()

PAGE_SIZE, MAX_DIGITS = 50, 19  # of an id
NO_INCIDENTS: dict[str, Any] = {"items": [], "next_cursor": None, "left_out": {}}
BULK_FIELDS = ("status", "cause", "assignee", "ticket_no")
CAUSES = [cause.value for cause in Cause]


@router.get("/incidents")
async def show_incidents(console: Console) -> Response:
    return await _inbox(console, IncidentQuery.of(console.request.query_params))


@router.post("/incidents")
async def change_incidents(console: Console) -> Response:
    """Change those that are ticked: all of them or, if one is refused, none; then the page says why, by row."""
    form = await console.form()
    query = IncidentQuery.of(dict(parse_qsl(form.get("filter", ""))))
    ids = [int(text) for text in form.all("ids") if text.isdecimal() and len(text) < MAX_DIGITS]
    changes = {name: form[name] for name in BULK_FIELDS if form.get(name)}
    if not ids or not changes:
        return await _inbox(
            console, query, status=422, missing="ids" if not ids else "changes", chosen=ids, values=form
        )
    try:
        await console.api.patch("/incidents", {"ids": ids, "changes": changes})
    except ApiProblem as problem:
        refused = {row["id"]: row["errors"] for row in problem.body.get("incidents", ()) if row["errors"]}
        left = [number for number in ids if number not in refused]
        return await _inbox(
            console, query, status=problem.status, problem=problem, refused=refused, chosen=left, values=form
        )
    return console.redirect(query.address, notice="incidents_changed")


async def _inbox(
    console: ConsoleRequest,
    query: IncidentQuery,
    *,
    status: int = 200,
    values: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """Show the list; a filter that makes no sense is explained beside its form, over an empty list."""
    cursor = console.request.query_params.get("cursor")
    choices = await load_choices(console)
    incidents, filter_problem = await _list(console, query, cursor)
    if console.request.query_params.get("tick") == "all" and "chosen" not in more:
        more["chosen"] = [incident["id"] for incident in incidents["items"]]
    return console.page(
        "incidents.html",
        status=filter_problem.status if filter_problem else status,
        incidents=incidents,
        filter_problem=filter_problem,
        query=query,
        cursor=cursor,
        choices=choices,
        provider_names=dict(choices["providers"]),
        causes=CAUSES,
        values=values or {},
        **{"missing": None, "refused": {}, "chosen": [], **more},
    )


async def _list(
    console: ConsoleRequest, query: IncidentQuery, cursor: str | None
) -> tuple[dict[str, Any], ApiProblem | None]:
    try:
        page = await console.api.get("/incidents", order="urgent", limit=PAGE_SIZE, cursor=cursor, **query.api_params)
    except ApiProblem as problem:
        if problem.status in {403, 422}:
            return NO_INCIDENTS, problem
        raise
    return page, None


@router.get("/incidents/{incident_id}")
async def show_incident(console: Console, incident_id: str) -> Response:
    return await incident_view.page(console, incident_id)


@router.post("/incidents/{incident_id}")
async def change_incident(console: Console, incident_id: str) -> Response:
    """Change what differs from the incident as it is; a cause that changes a closed month is confirmed first."""
    form = await console.form()
    incident = await console.api.get(f"/incidents/{incident_id}")
    changes = incident_changes.changed_fields(incident, form)
    effects = await _effects(console, incident_id, changes, form)
    if form.get("do") == "effects" or (incident_changes.needs_confirmation(effects) and "confirmed" not in form):
        return await incident_view.page(console, incident_id, values=form, effects=effects)
    try:
        if changes:
            await console.api.patch(f"/incidents/{incident_id}", changes, version=form.get("version"))
    except ApiProblem as problem:
        return await incident_view.page(console, incident_id, status=problem.status, values=form, problem=problem)
    return console.redirect(f"/incidents/{incident_id}", notice="saved")


async def _effects(
    console: ConsoleRequest, incident_id: str, changes: Mapping[str, Any], form: Form
) -> dict[str, Any] | None:
    """Return what the chosen cause would change, None where no other cause than the present one was chosen."""
    if "cause" not in changes or changes["cause"] not in CAUSES or "confirmed" in form:
        return None
    effects: dict[str, Any] = await console.api.get(f"/incidents/{incident_id}/cause-effects", cause=changes["cause"])
    return effects


@router.post("/incidents/{incident_id}/notes")
async def add_note(console: Console, incident_id: str) -> Response:
    form = await console.form()
    note = {"text": form.get("text", ""), "audience": form.get("audience") or None}
    try:
        await console.api.post(f"/incidents/{incident_id}/notes", note)
    except ApiProblem as problem:
        return await incident_view.page(
            console, incident_id, status=problem.status, note_values=form, note_problem=problem
        )
    return console.redirect(f"/incidents/{incident_id}", notice="saved")
