"""The page of one incident: what the API says of it, put together for reading."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import Response
from markupsafe import Markup

from app.charts.runs import StateRun, read_runs
from app.charts.state_ribbon import state_ribbon
from app.console import choices
from app.console.api_client import ApiProblem
from app.console.incident_changes import changes_since
from app.console.page import ROOT, ConsoleRequest, base_of
from app.console.wita_input import to_input
from app.core.clock import utc_now
from app.pages.chart_words import chart_words
from app.pages.formats import as_moment
from app.registry.models import Cause

AROUND_AT_LEAST, AROUND_AT_MOST = timedelta(minutes=30), timedelta(days=2)  # shown before and after an outage
MAX_NEIGHBOURS = 8
MAX_RUNS = 200
MAX_TOLD = 30
MAX_TELEMETRY = 20

Incident = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ribbon:
    """The states of one site around an outage: drawn, as rows, and where the API has them."""

    site: Mapping[str, Any]
    svg: Markup
    runs: list[StateRun]
    file: str


async def page(
    console: ConsoleRequest,
    incident_id: str,
    *,
    status: int = 200,
    problem: ApiProblem | None = None,
    values: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """Show an incident; `values`: what was typed. After a 412 it says what others changed meanwhile."""
    incident = await console.api.get(f"/incidents/{incident_id}")
    tickets = await console.api.get(f"/incidents/{incident_id}/ticket-text")
    is_stale = problem is not None and problem.status == 412
    return console.page(
        "incident.html",
        status=status,
        problem=problem,
        incident=incident,
        tickets=tickets["items"],
        ribbon=await _ribbon(console, incident),
        neighbours=await _neighbours(console, incident),
        telemetry=await _telemetry(console, incident),
        told=(await console.api.get("/notifications", incident=incident["id"], limit=MAX_TOLD))["items"],
        not_told=await _not_told(console, incident),
        provider_names=dict(await choices.providers(console.api)),
        own_providers=sorted({site["provider"] for site in incident["sites"]}),
        causes=[cause.value for cause in Cause],
        site_codes={site["id"]: site["code"] for site in incident["sites"]},
        values=values if values is not None else _values(incident),
        changed_meanwhile=list(changes_since(incident, (values or {}).get("seen", ""))) if is_stale else [],
        **{"effects": None, "note_values": {}, "note_problem": None, **more},
    )


async def _telemetry(console: ConsoleRequest, incident: Incident) -> list[dict[str, Any]]:
    """Return what the terminal or provider of a single site said around its outage: hints, which change nothing."""
    if len(incident["sites"]) != 1:
        return []
    site = incident["sites"][0]
    start = as_moment(site["started_at"]) - AROUND_AT_LEAST
    end = (as_moment(site["ended_at"]) if site["ended_at"] else utc_now()) + AROUND_AT_LEAST
    path = f"/sites/{site['id']}/telemetry"
    found = await console.api.get(path, **{"from": start.isoformat(), "to": end.isoformat()})
    return list(found["stretches"][:MAX_TELEMETRY])


def _values(incident: Incident) -> dict[str, str]:
    """Return what the form begins with."""
    texts = {name: incident[name] or "" for name in ("status", "cause", "assignee", "ticket_no")}
    return texts | {"reported_at": to_input(incident["reported_at"])}


def _around(incident: Incident) -> tuple[datetime, datetime]:
    """Return a period that shows the outage with what was before and after it, up to now."""
    start = as_moment(incident["started_at"])
    now = utc_now()
    end = as_moment(incident["ended_at"]) if incident["ended_at"] else now
    margin = min(max((end - start) / 2, AROUND_AT_LEAST), AROUND_AT_MOST)
    return start - margin, min(end + margin, now)


async def _ribbon(console: ConsoleRequest, incident: Incident) -> Ribbon | None:
    """Return the ribbon of the site that was out first; None for an incident without a site in scope."""
    if not incident["sites"]:
        return None
    site = incident["sites"][0]
    start, end = _around(incident)
    bounds = {"from": start.isoformat(), "to": end.isoformat()}
    segments = await console.api.get(f"/sites/{site['id']}/segments", from_=bounds["from"], to=bounds["to"], limit=1000)
    runs = read_runs(segments["items"])
    base = f"{base_of(console.request)}{ROOT}/sites/{site['id']}/why?at="
    drawn = state_ribbon(
        runs,
        start,
        end,
        label=console.text("States of {code} around the outage", code=site["code"]),
        words=chart_words(console.language),
        link=lambda moment: base + moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return Ribbon(site, drawn, runs[:MAX_RUNS], f"/sites/{site['id']}/segments?{urlencode(bounds)}")


async def _neighbours(console: ConsoleRequest, incident: Incident) -> list[Incident]:
    """Return other incidents of the same providers at the same time."""
    if not incident["sites"]:
        return []
    start, end = _around(incident)
    found = await console.api.get(
        "/incidents",
        provider=sorted({site["provider"] for site in incident["sites"]})[:10],
        from_=start.isoformat(),
        to=end.isoformat(),
        limit=MAX_NEIGHBOURS + 1,
    )
    return [other for other in found["items"] if other["id"] != incident["id"]][:MAX_NEIGHBOURS]


async def _not_told(console: ConsoleRequest, incident: Incident) -> list[Mapping[str, Any]]:
    """Return what is held, or was not sent, of the incident."""
    found = await console.api.get("/announcements", incident=incident["id"], state="pending,dropped", limit=MAX_TOLD)
    return found["items"]  # type: ignore[no-any-return]
