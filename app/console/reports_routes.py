"""Berita acara: which there are, what is to be done with each, and drafting one."""

from collections.abc import Mapping
from typing import Any

from fastapi import Response

from app.console import choices, report_filter
from app.console.api_client import ApiProblem
from app.console.page import Console, ConsoleRequest, page_router
from app.console.report_form import contract_of, read_draft
from app.console.report_view import last_day

router = page_router()

PAGE = 50


@router.get("/reports")
async def show_reports(console: Console, cursor: str = "") -> Response:
    return await _list(console, cursor=cursor)


@router.post("/reports")
async def draft_report(console: Console) -> Response:
    """Draft a report; who signs is taken over from the contract's report before it."""
    form = await console.form()
    contract = contract_of(form)
    if contract is None:
        return await _list(console, values=form, missing=True)
    try:
        parties = await _last_parties(console, contract)
        made = await console.api.post(f"/contracts/{contract}/reports", read_draft(form, parties))
    except ApiProblem as problem:
        existing = await _existing(console, contract, form.get("period", "")) if problem.status == 409 else None
        return await _list(console, values=form, problem=problem, existing=existing)
    return console.redirect(f"/reports/{made['id']}", notice="report_drafted")


async def _list(
    console: ConsoleRequest,
    *,
    cursor: str = "",
    values: Mapping[str, str] | None = None,
    problem: ApiProblem | None = None,
    missing: bool = False,
    existing: Mapping[str, Any] | None = None,
) -> Response:
    asked = report_filter.read(console.request.query_params)
    reports = await console.api.get("/reports", limit=PAGE, cursor=cursor, **asked)
    contracts = await console.api.get("/contracts", limit=1000)
    return console.page(
        "reports.html",
        status=problem.status if problem else 422 if missing else 200,
        problem=problem,
        missing=missing,
        existing=existing,
        reports=reports,
        last_days={each["id"]: last_day(each) for each in reports["items"]},
        asked=asked,
        paged=bool(cursor),
        contracts=[(each["id"], each["number"]) for each in contracts["items"]],
        providers=await choices.providers(console.api),
        periods=report_filter.periods(console),
        values=values if values is not None else {"contract": asked["contract"], "period": asked["period"]},
    )


async def _last_parties(console: ConsoleRequest, contract: int) -> Mapping[str, Any] | None:
    """Return the parties of the contract's newest report; None where it has none."""
    listed = await console.api.get(f"/contracts/{contract}/reports", limit=1)
    if not listed["items"]:
        return None
    report = await console.api.get(f"/reports/{listed['items'][0]['id']}")
    return report["data"]["parties"]  # type: ignore[no-any-return]


async def _existing(console: ConsoleRequest, contract: int, period: str) -> Mapping[str, Any] | None:
    """Return the newest report of that period; None where there is none."""
    listed = await console.api.get(f"/contracts/{contract}/reports", period=period, limit=1)
    return next(iter(listed["items"]), None)
