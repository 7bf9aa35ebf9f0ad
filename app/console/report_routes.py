"""One berita acara: its figures, objections and decisions, who signs, and issuing or correcting it."""

from typing import Any

from fastapi import Response

from app.console import report_form, report_view
from app.console.api_client import ApiProblem
from app.console.page import Console, ConsoleRequest, page_router

router = page_router()


@router.get("/reports/{report_id}")
async def show_report(console: Console, report_id: str) -> Response:
    return await report_view.page(console, report_id)


@router.get("/reports/{report_id}/lines/{site_code}")
async def show_line(console: Console, report_id: str, site_code: str) -> Response:
    return await report_view.line_page(console, report_id, site_code)


@router.get("/reports/{report_id}/edit")
async def show_edit(console: Console, report_id: str) -> Response:
    report = await report_view.load(console, report_id)
    if report["status"] != "draft":
        return console.redirect(f"/reports/{report_id}")
    return _edit_page(console, report, report_form.values_of_parties(report["data"]["parties"]))


@router.post("/reports/{report_id}/edit")
async def edit_report(console: Console, report_id: str) -> Response:
    form = await console.form()
    report = await report_view.load(console, report_id)
    changes = report_form.read_edit(form, report["data"]["parties"])
    if not changes:
        return console.redirect(f"/reports/{report_id}", notice="nothing_changed")
    try:
        await console.api.patch(f"/reports/{report_id}", changes, version=form.get("version"))
    except ApiProblem as problem:
        return _edit_page(console, report, dict(form), problem)
    return console.redirect(f"/reports/{report_id}", notice="saved")


@router.get("/reports/{report_id}/issue")
async def ask_to_issue(console: Console, report_id: str) -> Response:
    report = await report_view.load(console, report_id)
    if report["status"] != "draft":
        return console.redirect(f"/reports/{report_id}")
    return _issue_page(console, report)


@router.post("/reports/{report_id}/issue")
async def issue_report(console: Console, report_id: str) -> Response:
    """Issue what was looked at; where that has changed meanwhile, show what it is now and what changed."""
    form = await console.form()
    try:
        await console.api.post(f"/reports/{report_id}/issue", version=form.get("version"))
    except ApiProblem as problem:
        report = await report_view.load(console, report_id)
        return _issue_page(console, report, problem, looked_at=dict(form))
    return console.redirect(f"/reports/{report_id}", notice="report_issued")


@router.post("/reports/{report_id}/withdraw")
async def withdraw_report(console: Console, report_id: str) -> Response:
    form = await console.form()
    try:
        await console.api.delete(
            f"/reports/{report_id}", version=form.get("version"), reason=form.get("reason", "").strip()
        )
    except ApiProblem as problem:
        return await report_view.page(console, report_id, problem=problem, values=form, answering="withdrawal")
    return console.redirect("/reports", notice="report_withdrawn")


@router.get("/reports/{report_id}/correct")
async def show_correction(console: Console, report_id: str) -> Response:
    report = await report_view.load(console, report_id)
    if report["status"] != "issued" or report["corrected_by"]:
        return console.redirect(f"/reports/{report_id}")
    return _correction_page(console, report, {})


@router.post("/reports/{report_id}/correct")
async def correct_report(console: Console, report_id: str) -> Response:
    form = await console.form()
    try:
        made = await console.api.post(f"/reports/{report_id}/correct", report_form.read_correction(form))
    except ApiProblem as problem:
        return _correction_page(console, await report_view.load(console, report_id), dict(form), problem)
    return console.redirect(f"/reports/{made['id']}", notice="report_drafted")


@router.post("/reports/{report_id}/objections")
async def file_objection(console: Console, report_id: str) -> Response:
    form = await console.form()
    body = report_form.read_objection(form)
    try:
        await console.api.post(f"/reports/{report_id}/objections", body)
    except ApiProblem as problem:
        if body["site"]:
            return await report_view.line_page(console, report_id, body["site"], problem=problem, values=form)
        return await report_view.page(console, report_id, problem=problem, values=form)
    return console.redirect(f"/reports/{report_id}", notice="objection_filed")


@router.post("/reports/{report_id}/objections/{number}/decision")
async def decide_objection(console: Console, report_id: str, number: str) -> Response:
    form = await console.form()
    try:
        await console.api.post(f"/reports/{report_id}/objections/{number}/decision", report_form.read_decision(form))
    except ApiProblem as problem:
        return await report_view.page(console, report_id, problem=problem, values=form, answering=number)
    return console.redirect(f"/reports/{report_id}", notice="objection_decided")


@router.post("/reports/{report_id}/no-objections")
async def state_no_objections(console: Console, report_id: str) -> Response:
    form = await console.form()
    try:
        await console.api.post(f"/reports/{report_id}/no-objections", version=form.get("version"))
    except ApiProblem as problem:
        return await report_view.page(console, report_id, problem=problem, answering="agreement")
    return console.redirect(f"/reports/{report_id}", notice="no_objections")


def _edit_page(
    console: ConsoleRequest, report: dict[str, Any], values: dict[str, str], problem: ApiProblem | None = None
) -> Response:
    return console.page(
        "report_edit.html",
        status=problem.status if problem else 200,
        problem=problem,
        values=dict.fromkeys(report_form.EDIT_FIELDS, "") | values,
        fields=report_form.EDIT_FIELDS,
        **report_view.facts(console, report),
    )


def _issue_page(
    console: ConsoleRequest,
    report: dict[str, Any],
    problem: ApiProblem | None = None,
    looked_at: dict[str, str] | None = None,
) -> Response:
    """`looked_at`: the hash that the sent page showed, and when its figures had last changed."""
    seen = (looked_at or {}).get("seen")
    return console.page(
        "report_issue.html",
        status=problem.status if problem else 200,
        problem=problem,
        looked_at=looked_at or {},
        changes=[each for each in report["changes"] if seen is not None and each["at"] > seen],
        **report_view.facts(console, report),
    )


def _correction_page(
    console: ConsoleRequest, report: dict[str, Any], values: dict[str, str], problem: ApiProblem | None = None
) -> Response:
    return console.page(
        "report_correct.html",
        status=problem.status if problem else 200,
        problem=problem,
        values={"reason": "", "objections_until": ""} | values,
        **report_view.facts(console, report),
    )
