"""Importing a spreadsheet: send it, see every row's verdict, correct or confirm (`/console/sites/import`)."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response

from app.access.rights import REFUSALS, Right
from app.console import import_view
from app.console.api_client import ApiProblem
from app.console.forms import pieces
from app.console.page import PRIVATE, Console, ConsoleRequest, page_router
from app.core.errors import NotAllowed
from app.pages.words import CHOICE_WORDS, word
from app.web.auth import CSRF_HEADER

router = page_router()

IMPORT = "/sites/import"
CHOICES = ("default_probe", "reason")  # what an import can be told, beside its file
PASSED_ON = ("content-type", "content-disposition", "content-encoding")


@router.get("/sites/import")
async def show_import(
    console: Console, upload: str = "", show: str = "", page: str = "1", default_probe: str = "", reason: str = ""
) -> Response:
    """Ask for a file; of a kept one show the verdicts."""
    _require_write(console)
    if not upload:
        return _start(console)
    chosen = {"upload": upload, "default_probe": default_probe, "reason": reason}
    try:
        answer = await _dry_run(console, chosen)
    except ApiProblem as problem:
        return _start(console, problem)
    return _verdicts(console, orjson.loads(answer), chosen, show=show, page=page)


@router.post("/sites/import")
async def send_file(console: Console) -> Response:
    """Try the file and keep it; then show its verdicts at an address of their own."""
    _require_write(console)
    form = await console.form()
    file = form.file("file")
    if file is None:
        problem = ApiProblem(422, console.text("No file was chosen"), console.text("Choose an XLSX or CSV file first"))
        return _start(console, problem)
    params = {"dry_run": True, "keep": True, "name": (file.filename or "").replace("\0", "")[:200]}
    headers = {"content-type": "application/octet-stream"}
    try:
        answer = await console.api.send("POST", IMPORT, params=params, content=pieces(file), headers=headers)
    except ApiProblem as problem:
        return _start(console, problem)
    return console.redirect(f"{IMPORT}?upload={answer.json()['upload']}")


@router.get("/sites/import/report")
async def download_report(console: Console, upload: str = "", default_probe: str = "", reason: str = "") -> Response:
    """Return the file with every row's verdict and its wrong cells coloured; ask for one that is not named."""
    _require_write(console)
    if not upload:
        return console.redirect(IMPORT)
    chosen = {"upload": upload, "default_probe": default_probe, "reason": reason, "format": "xlsx"}
    answer = await console.api.send("POST", IMPORT, params=chosen | {"dry_run": True}, headers=_csrf(console))
    headers = {name: value for name, value in answer.headers.items() if name in PASSED_ON}
    return Response(answer.content, headers=PRIVATE | headers)


@router.post("/sites/import/confirm")
async def confirm(console: Console) -> Response:
    """Write what was shown: all rows, or with `partial` the correct ones."""
    _require_write(console)
    form = await console.form()
    chosen = {name: form.get(name, "") for name in ("upload", *CHOICES)}
    try:
        answer = await console.api.send("POST", IMPORT, params=chosen | {"partial": form.get("partial")})
    except ApiProblem as problem:
        if "rows" not in problem.body:
            return _start(console, problem)
        return _verdicts(console, problem.body, chosen, show="error", page="1", problem=problem)
    report = answer.json()
    written = [row for row in report["rows"] if row["verdict"] in {"create", "update"}]
    again = "idempotent-replayed" in answer.headers
    return console.page("import_done.html", report=report, written=written, chosen=chosen, again=again)


def _require_write(console: ConsoleRequest) -> None:
    if not console.may(Right.WRITE):
        raise NotAllowed(REFUSALS[Right.WRITE], values={"role": console.caller.role.value})


async def _dry_run(console: ConsoleRequest, chosen: Mapping[str, str]) -> bytes:
    params = {**chosen, "dry_run": True}
    return (await console.api.send("POST", IMPORT, params=params, headers=_csrf(console))).content


def _csrf(console: ConsoleRequest) -> dict[str, str]:
    """Return the token for a dry run, which writes nothing and is shown at an address that can be opened again."""
    return {CSRF_HEADER.lower(): console.csrf_token}


def _start(console: ConsoleRequest, problem: ApiProblem | None = None) -> Response:
    return console.page("import.html", status=200 if problem is None else problem.status, problem=problem)


def _verdicts(
    console: ConsoleRequest,
    report: Mapping[str, Any],
    chosen: Mapping[str, str],
    *,
    show: str,
    page: str,
    problem: ApiProblem | None = None,
) -> Response:
    counts = report["counts"]
    return console.page(
        "import_verdicts.html",
        status=200 if problem is None else problem.status,
        problem=problem,
        report=report,
        view=import_view.view(report, show=show, page=int(page) if page.isdecimal() and len(page) < 6 else 1),
        chosen=chosen,
        to_write=counts["create"] + counts["update"],
        probes=[(value, word("probe", value, console.language)) for value in CHOICE_WORDS["probe"]],
    )
