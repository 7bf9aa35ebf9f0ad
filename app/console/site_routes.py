"""One site: what is known of it, why we say so, and what may be done about it."""

from datetime import date, timedelta
from typing import Any

from fastapi import Response

from app.console import site_history
from app.console.api_client import ApiProblem
from app.console.audit_diff import changed_fields
from app.console.page import ROOT, Console, ConsoleRequest, base_of, page_router
from app.console.wita_input import from_input
from app.core.clock import to_wita, today, utc_now
from app.core.periods import parse_month
from app.pages.formats import as_moment

router = page_router()

MINUTE = timedelta(minutes=1)


@router.get("/sites/{ident}")
async def show_site(console: Console, ident: str, period: str = "24h", day: str = "") -> Response:
    chosen = site_history.choose_period(period, day)
    return await _site_page(console, ident, chosen)


def _addresses(console: ConsoleRequest, site: dict[str, Any]) -> dict[str, Any]:
    """Return the site, and the addresses below which its pages and its calls of the API are."""
    base, path = base_of(console.request), f"/sites/{site['id']}"
    return {"site": site, "here": f"{base}{ROOT}{path}", "api": f"{base}/api/v1{path}"}


async def _site_page(console: ConsoleRequest, ident: str, chosen: site_history.ChosenPeriod, **more: Any) -> Response:
    """One call after the other: a page holds one connection to the database at a time."""
    site = await console.api.get(f"/sites/{ident}")
    path = f"/sites/{site['id']}"
    now = await console.api.get(f"{path}/explanation", around_s=0)
    profile = now["profile"]
    provider = await console.api.get(f"/providers/{site['provider']}")
    month = chosen.name if parse_month(chosen.name) else f"{today():%Y-%m}"
    return console.page(
        "site.html",
        **_addresses(console, site),
        now=now,
        provider=provider,
        chosen=chosen,
        periods=list(site_history.STEPS),
        history=await site_history.history(console, site, chosen, profile and profile["rtt_ms"]),
        speed=await site_history.throughput(console, site, chosen),
        visitors=(await console.api.get(f"{path}/visitors", **chosen.params))["total"],
        short=await console.api.get(f"{path}/breaks", limit=200, **chosen.params),
        incidents=(await console.api.get("/incidents", site=site["id"], limit=5))["items"],
        windows=(await console.api.get("/maintenance", site=site["id"], limit=10))["items"],
        contracts=(await console.api.get(f"{path}/contracts"))["items"],
        verdicts=await _verdicts(console, path, month),
        month=month,
        month_before=f"{date.fromisoformat(f'{month}-01') - timedelta(days=1):%Y-%m}",
        device=await console.api.get(f"{path}/device"),
        looks=await _looks(console, site),
        parent=await _parent(console, site),
        neighbours=await _neighbours(console, site),
        certificates=(await console.api.get(f"{path}/certificates", limit=5))["items"],
        diagnoses=(await console.api.get(f"{path}/diagnoses", limit=3))["items"],
        telemetry=await console.api.get(f"{path}/telemetry", period="7d"),
        changes=await _changes(console, site),
        **more,
    )


async def _verdicts(console: ConsoleRequest, path: str, month: str) -> list[dict[str, Any]]:
    """Return what the contracts say of a month."""
    total = (await console.api.get(f"{path}/uptime", period=month, step="month"))["total"]
    if total["contracts"]:
        return list(total["contracts"])
    return [] if total["contract"] is None else [total["contract"]]


async def _parent(console: ConsoleRequest, site: dict[str, Any]) -> dict[str, Any] | None:
    """Return the node that the site depends on; None without one, and outside of the caller's scope."""
    if site["parent_id"] is None:
        return None
    try:
        parent: dict[str, Any] = await console.api.get(f"/sites/{site['parent_id']}")
    except ApiProblem as problem:
        if problem.status != 404:
            raise
        return None
    return parent


async def _looks(console: ConsoleRequest, site: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each vantage last saw of the site; nothing where only the worker looks, or its device pushes."""
    if site["vantages"] == [0] or site["probe"] == "push":
        return []
    looks: list[dict[str, Any]] = (await console.api.get(f"/sites/{site['id']}/vantages"))["items"]
    return looks


async def _neighbours(console: ConsoleRequest, site: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the other sites of its kecamatan, those of its village first."""
    found = await console.api.get("/sites", region=site["village_code"][:8], lifecycle="active", limit=40)
    others = [other for other in found["items"] if other["id"] != site["id"]]
    return sorted(others, key=lambda other: other["village_code"] != site["village_code"])[:8]


async def _changes(console: ConsoleRequest, site: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the last changes of the registry's row; None for those who may not read the audit trail."""
    if not console.may("administer"):
        return None
    entries = (await console.api.get("/audit", object="site", object_id=str(site["id"]), limit=10))["items"]
    return [entry | {"fields": changed_fields(entry, console.language)} for entry in entries]


@router.get("/sites/{ident}/why")
async def show_why(console: Console, ident: str, at: str = "", around: int = 300) -> Response:
    """`at`: as the API takes it, or without an offset, as a form's field has it: then in WITA."""
    site = await console.api.get(f"/sites/{ident}")
    moment = f"{at}+08:00" if at and "T" in at and at[-6:-5] not in {"+", "-", " "} and not at.endswith("Z") else at
    try:
        found = await console.api.get(f"/sites/{site['id']}/explanation", at=moment, around_s=around)
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        shown: dict[str, Any] = {"found": None, "around": around, **_addresses(console, site)}
        return console.page("why.html", status=422, problem=problem, **shown)
    second = to_wita(as_moment(found["at"]))
    later = second + MINUTE if second + MINUTE <= utc_now() else None
    shown = {"found": found, "at": second, "earlier": second - MINUTE, "later": later, "around": around}
    shown["evidence"] = await console.api.get(f"/sites/{site['id']}/evidence", at=found["at"])
    return console.page("why.html", **shown, **_addresses(console, site))


@router.post("/sites/{ident}/diagnose")
async def diagnose(console: Console, ident: str) -> Response:
    form = await console.form()
    asked = {"kind": form.get("kind", "ping"), "count": 5 if form.get("kind") == "ping" else 3}
    try:
        diagnosis = await console.api.post(f"/sites/{ident}/diagnose", asked)
    except ApiProblem as problem:
        return await _again(console, ident, problem)
    return console.redirect(f"/sites/{ident}/diagnoses/{diagnosis['id']}")


@router.post("/sites/{ident}/certificates")
async def request_certificate(console: Console, ident: str) -> Response:
    form = await console.form()
    try:
        await console.api.post(f"/sites/{ident}/certificates", {"from": from_input(form.get("from", ""))})
    except ApiProblem as problem:
        return await _again(console, ident, problem)
    return console.redirect(f"/sites/{ident}", notice="certificate_requested")


@router.get("/sites/{ident}/diagnoses/{diagnosis_id}")
async def show_diagnosis(console: Console, ident: str, diagnosis_id: str) -> Response:
    site = await console.api.get(f"/sites/{ident}")
    diagnosis = await console.api.get(f"/sites/{site['id']}/diagnoses/{diagnosis_id}")
    return console.page("diagnosis.html", site=site, diagnosis=diagnosis)


@router.post("/sites/{ident}/enrolment")
async def enrol(console: Console, ident: str) -> Response:
    """Show a new code for installing the agent, once."""
    await console.form()
    site = await console.api.get(f"/sites/{ident}")
    try:
        enrolment = await console.api.post(f"/sites/{site['id']}/enrolment")
    except ApiProblem as problem:
        return await _again(console, ident, problem)
    return console.page("enrolment.html", site=site, enrolment=enrolment)


async def _again(console: ConsoleRequest, ident: str, problem: ApiProblem) -> Response:
    """Show the site's page with what went wrong. A problem of the site itself is a page of its own."""
    if problem.status in {401, 404}:
        raise problem
    chosen = site_history.choose_period("24h", "")
    return await _site_page(console, ident, chosen, status=problem.status, problem=problem)
