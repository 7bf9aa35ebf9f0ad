"""The pages of one berita acara: what the API says of it, put together for reading."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from fastapi import Response

from app.console import report_filter
from app.console.api_client import ApiProblem
from app.console.page import ROOT, ConsoleRequest, base_of
from app.console.report_form import DECISION_FIELDS, OBJECTION_FIELDS
from app.core.errors import NotFound
from app.pages.formats import as_moment

LONGEST = 10  # outages that a report's page names
MAX_OUTAGES = 300  # that a line's page lists
SEEN_S = 90 * 86_400
NOTHING_TYPED = dict.fromkeys((*OBJECTION_FIELDS, *DECISION_FIELDS), "")
FILES = {True: ("sites.csv", "months.csv", "method.json"), False: ("sites.csv", "outages.csv", "method.json")}

Report = Mapping[str, Any]


async def load(console: ConsoleRequest, report_id: str) -> dict[str, Any]:
    report: dict[str, Any] = await console.api.get(f"/reports/{report_id}")
    return report


async def page(
    console: ConsoleRequest,
    report_id: str,
    *,
    problem: ApiProblem | None = None,
    values: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """Show a report; `answering`: the number of the objection whose decision `problem` is about, `agreement`, or None
    for an objection to the report."""
    report = await load(console, report_id)
    data = report["data"]
    is_recap = "months" in data
    asked, objections = console.request.query_params, data["objections"]
    objected = {each["site"] for each in objections if each["site"]}
    chosen = asked.get("show", "all") if not is_recap else "all"
    lines = [line for line in data["sites"] if is_recap or report_filter.is_shown(line, chosen, objected)]
    rows, number, pages = report_filter.page_of(lines, asked.get("page", ""))
    outages = data.get("outages", [])
    response = console.page(
        "report.html",
        status=problem.status if problem else 200,
        problem=problem,
        is_recap=is_recap,
        rows=rows,
        chosen=chosen,
        shown=report_filter.SHOWN,
        page_number=number,
        pages=pages,
        longest=sorted((each for each in outages if each["counted_s"]), key=_by_counted)[:LONGEST],
        incident_of=_incidents(objections, outages),
        names={line["code"]: line["name"] for line in data["sites"]},
        history=history(report),
        files=FILES[is_recap],
        values=NOTHING_TYPED | dict(values or {}),
        new_changes=_changes_since(report, console.request.cookies.get(_seen(report))),
        **{"answering": None, **more},
        **facts(console, report),
    )
    path = f"{base_of(console.request)}{ROOT}/reports/{report['id']}"
    response.set_cookie(_seen(report), _last_change(report), SEEN_S, path=path, httponly=True, samesite="lax")
    return response


async def line_page(
    console: ConsoleRequest,
    report_id: str,
    code: str,
    *,
    problem: ApiProblem | None = None,
    values: Mapping[str, str] | None = None,
) -> Response:
    """Show what a report says of one site. Raises NotFound for a site that has no line in it."""
    report = await load(console, report_id)
    data = report["data"]
    lines = [line for line in data["sites"] if line["code"] == code] if "months" not in data else []
    if not lines:
        raise NotFound("{given} is not in the report", values={"given": code[:40]})
    outages = [each for each in data["outages"] if each["site"] == code]
    outage = console.request.query_params.get("outage", "")  # the one to be objected to
    return console.page(
        "report_line.html",
        status=problem.status if problem else 200,
        problem=problem,
        lines=lines,
        outages=outages[:MAX_OUTAGES],
        outage_count=len(outages),
        objections=[each for each in data["objections"] if each["site"] == code],
        values=NOTHING_TYPED | (dict(values) if values is not None else {"outage_started_at": outage}),
        **facts(console, report),
    )


def facts(console: ConsoleRequest, report: Report) -> dict[str, Any]:
    """Return what all pages of a report know: it, what its reader may do, and what keeps it from being issued."""
    is_draft = report["status"] == "draft"
    is_province, is_provider = console.may("province"), console.caller.provider_id is not None
    return {
        "report": report,
        "data": report["data"],
        "last_day": last_day(report),
        "lacks": lacks(report),
        "may_decide": is_draft and is_province,
        "may_correct": not is_draft and is_province and report["corrected_by"] is None,
        "may_issue": is_draft and console.may("issue"),
        "may_object": is_provider and report["open_to_objections"],
        "is_provider": is_provider,
    }


def last_day(report: Report) -> str:
    """Return the last day for objections, of the moment after it."""
    return (as_moment(report["objections_until"]) - timedelta(seconds=1)).isoformat()


def lacks(report: Report) -> list[str]:
    """Return what keeps a draft from being issued: `undecided`, `term`, `ppk`, `signatory`; nothing once it is."""
    if report["status"] != "draft":
        return []
    parties = report["data"]["parties"]
    checked = {
        "undecided": not report["undecided"],
        "term": not report["open_to_objections"] or report["no_objections_at"] is not None,
        "ppk": parties["ppk"]["name"],
        "signatory": parties["provider_signatory"]["name"],
    }
    return [name for name, is_met in checked.items() if not is_met]


def history(report: Report) -> list[dict[str, Any]]:
    """Return what happened to a report, the newest first."""
    happened = [
        {"what": "drafted", "at": report["drafted_at"], "by": report["drafted_by"]},
        *({"what": "figures", "at": each["at"], "by": None, "changes": each["changes"]} for each in report["changes"]),
        *_happened_to(report["data"]["objections"]),
        {"what": "no_objections", "at": report["no_objections_at"], "by": None},
        {"what": "issued", "at": report["issued_at"], "by": report["issued_by"]},
    ]
    return sorted((each for each in happened if each["at"]), key=lambda each: as_moment(each["at"]), reverse=True)


def _happened_to(objections: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in objections:
        yield {"what": "objection", "at": each["filed_at"], "by": each["filed_by"], "no": each["no"]}
        decided = {"at": each["decided_at"], "by": each["decided_by"], "decision": each["decision"]}
        yield {"what": "decision", "no": each["no"], **decided}


def _seen(report: Report) -> str:
    """Return the name of the cookie that knows up to which change this browser has seen the figures."""
    return f"report_{report['id']}_seen"


def _last_change(report: Report) -> str:
    at: str = report["changes"][-1]["at"] if report["changes"] else report["drafted_at"]
    return at


def _changes_since(report: Report, seen: str | None) -> list[Mapping[str, Any]]:
    """Return what changed since the browser saw the draft; nothing where it never did."""
    return [] if seen is None else [each for each in report["changes"] if each["at"] > seen]


def _by_counted(outage: Mapping[str, Any]) -> tuple[int, str, str]:
    return -outage["counted_s"], outage["site"], outage["started_at"]


def _incidents(objections: Sequence[Mapping[str, Any]], outages: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Return the incident of the outage that an objection is about, by the objection's number."""
    of_outage = {(each["site"], each["started_at"]): each["incident_id"] for each in outages if each["incident_id"]}
    found = {each["no"]: of_outage.get((each["site"], each["outage_started_at"])) for each in objections}
    return {number: incident for number, incident in found.items() if incident is not None}
