"""Registering a site and changing one: `/console/sites/new`, `/console/sites/{id}/edit`."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response

from app.access.rights import REFUSALS, Right
from app.console import site_choices, site_fields, site_map
from app.console.api_client import ApiProblem
from app.console.forms import Form
from app.console.page import Console, ConsoleRequest, page_router
from app.console.site_fields import Texts
from app.core.errors import NotAllowed
from app.pages.formats import NOTHING
from app.pages.words import CHOICE_WORDS, word
from probes.contract import ProbeKind

router = page_router()

STEP, CHOICE = "step", "choose."  # the button that only looks things up; which version of a field to keep
LIFECYCLES = {"active", "suspended", "retired"}


@router.get("/sites/new")
async def show_new_form(console: Console, village: str = "") -> Response:
    _require_write(console)
    return await _new_page(console, site_fields.DEFAULTS | {"village_code": village})


@router.post("/sites/new")
async def register(console: Console) -> Response:
    """Register the site; first its warnings are shown, unless they were accepted."""
    _require_write(console)
    form = await console.form()
    if _looks_up(form):
        return await _new_page(console, form)
    texts = site_fields.typed(form)
    body, errors = site_fields.parse(texts, texts, language=console.language)
    body = {name: value for name, value in body.items() if value is not None}
    warnings, problem = await _try(console, "POST", "/sites", body, errors)
    if errors or not _accepted(form, warnings):
        return await _new_page(console, form, problem=problem, warnings=warnings)
    try:
        site = await console.api.post("/sites", body)  # also after a fault: a form sent again finds its site
    except ApiProblem as refused:
        return await _new_page(console, form, problem=refused)
    return console.redirect(f"/sites/{site['id']}/registered")


@router.post("/sites/new/check")
async def check_new(console: Console) -> Response:
    """Say what is wrong with the fields filled in so far."""
    _require_write(console)
    texts = site_fields.typed(await console.form())
    body, errors = site_fields.parse(texts, texts, language=console.language)
    body = {name: value for name, value in body.items() if value is not None}
    _, problem = await _try(console, "POST", "/sites", body, errors)
    return _errors_page(console, texts, problem)


@router.get("/sites/{site_id}/registered")
async def show_registered(console: Console, site_id: str) -> Response:
    return console.page("site_registered.html", site=await console.api.get(f"/sites/{site_id}"), card=None)


@router.post("/sites/{site_id}/registered")
async def make_card(console: Console, site_id: str) -> Response:
    """Show the enrolment card's link: the code is shown only once."""
    await console.form()
    site = await console.api.get(f"/sites/{site_id}")
    card = await console.api.post(f"/sites/{site_id}/enrolment")
    return console.page("site_registered.html", site=site, card=card)


@router.get("/sites/{site_id}/edit")
async def show_edit_form(console: Console, site_id: str) -> Response:
    _require_write(console)
    site = await console.api.get(f"/sites/{site_id}")
    texts = site_fields.written(site)
    return await _edit_page(console, site, texts, original=texts, version=str(site["version"]))


@router.post("/sites/{site_id}/edit")
async def change(console: Console, site_id: str) -> Response:
    """Change what was typed anew; where somebody else changed the site meanwhile, show both versions."""
    _require_write(console)
    form = await console.form()
    site = await console.api.get(f"/sites/{site_id}")
    original, version = site_fields.read_original(form.get("original", "")), form.get("version", "")
    texts = _chosen(form, original)
    shown: dict[str, Any] = {"original": original, "version": version}
    if _looks_up(form):
        return await _edit_page(console, site, {**form, **texts}, **shown)
    names = site_fields.changed(texts, original)
    if not names:
        return console.redirect(f"/sites/{site['id']}", notice="nothing_changed")
    body, errors = site_fields.parse(texts, names, language=console.language)
    path = f"/sites/{site['id']}"
    warnings, problem = await _try(console, "PATCH", path, body, errors, version=version)
    warnings = site_fields.concerned(warnings, names)
    if problem is not None and problem.status == 412:
        return _conflict_page(console, site, texts, original)
    if problem is not None or not _accepted(form, warnings):
        return await _edit_page(console, site, {**form, **texts}, **shown, problem=problem, warnings=warnings)
    try:
        await console.api.patch(path, body, version=version)
    except ApiProblem as refused:
        if refused.status == 412:
            return _conflict_page(console, await console.api.get(path), texts, original)
        return await _edit_page(console, site, {**form, **texts}, **shown, problem=refused)
    return console.redirect(path, notice="saved")


@router.post("/sites/{site_id}/edit/check")
async def check_change(console: Console, site_id: str) -> Response:
    _require_write(console)
    form = await console.form()
    texts = site_fields.typed(form)
    names = site_fields.changed(texts, site_fields.read_original(form.get("original", "")))
    body, errors = site_fields.parse(texts, names, language=console.language)
    _, problem = await _try(console, "PATCH", f"/sites/{site_id}", body, errors)
    return _errors_page(console, texts, problem)


@router.post("/sites/{site_id}/lifecycle")
async def change_lifecycle(console: Console, site_id: str) -> Response:
    """Put the site into service, suspend or retire it."""
    _require_write(console)
    form = await console.form()
    site = await console.api.get(f"/sites/{site_id}")
    path, wanted = f"/sites/{site['id']}", form.get("lifecycle", "")
    try:
        await console.api.patch(path, {"lifecycle": wanted}, version=form.get("version"))
    except ApiProblem as problem:
        texts = site_fields.written(site)
        return await _edit_page(
            console, site, texts, original=texts, version=str(site["version"]), problem=problem, refused=wanted
        )
    return console.redirect(path, notice=f"now_{wanted}" if wanted in LIFECYCLES else "saved")


def _looks_up(form: Form) -> bool:
    """Whether the form was sent only to see what it offers next."""
    return STEP in form or site_map.is_clicked(form)


def _require_write(console: ConsoleRequest) -> None:
    if not console.may(Right.WRITE):
        raise NotAllowed(REFUSALS[Right.WRITE], values={"role": console.caller.role.value})


async def _try(
    console: ConsoleRequest, method: str, path: str, body: dict[str, Any], errors: list[Any], *, version: str = ""
) -> tuple[list[Any], ApiProblem | None]:
    """Return the warnings of a write, and what is wrong with it: `errors` of what the form reads, and the API's."""
    headers = {"content-type": "application/json", **({"if-match": version} if version else {})}
    try:
        answer = await console.api.send(
            method, path, params={"dry_run": True}, content=orjson.dumps(body), headers=headers
        )
    except ApiProblem as problem:
        unread = {error["field"] for error in errors}
        problem.errors = errors + [error for error in problem.errors if error["field"] not in unread]
        return [], problem
    unreadable = ApiProblem(422, console.text("Validation failed"), errors=errors) if errors else None
    return list(answer.json()["warnings"]), unreadable


def _accepted(form: Mapping[str, str], warnings: list[dict[str, Any]]) -> bool:
    return {warning["code"] for warning in warnings} <= set(form.get("accepted", "").split())


def _chosen(form: Form, original: Texts) -> Texts:
    """Return what was typed, but of fields for which the stored version was chosen, that."""
    texts = site_fields.typed(form)
    return texts | {name: original.get(name, "") for name in texts if form.get(f"{CHOICE}{name}") == "stored"}


async def _new_page(
    console: ConsoleRequest,
    form: Mapping[str, str],
    *,
    problem: ApiProblem | None = None,
    warnings: list[Any] | None = None,
) -> Response:
    return await _form_page(console, form, site=None, problem=problem, warnings=warnings or [])


async def _edit_page(
    console: ConsoleRequest, site: dict[str, Any], form: Mapping[str, str], *, original: Texts, **shown: Any
) -> Response:
    values = {"problem": None, "warnings": [], **shown, "original": orjson.dumps(original).decode()}
    return await _form_page(console, form, site=site, **values)


async def _form_page(
    console: ConsoleRequest, form: Mapping[str, str], *, problem: ApiProblem | None, **values: Any
) -> Response:
    texts = {**form, **site_fields.typed(form)}
    choices = await site_choices.load(console, texts)
    texts |= site_map.clicked_position(form, choices.points)
    probe = texts.get("probe", "")
    return console.page(
        "site_form.html",
        status=200 if problem is None else problem.status,
        problem=problem,
        texts=texts,
        choices=choices,
        map=site_map.image(texts, choices.points),
        needed=site_fields.NEEDED[ProbeKind(probe)] if probe in set(ProbeKind) else site_fields.MEASURED[:2],
        fields=[*site_fields.FIELDS],
        **values,
    )


def _errors_page(console: ConsoleRequest, texts: Texts, problem: ApiProblem | None) -> Response:
    """Return the errors of fields, without those that are still to be filled in."""
    if problem is not None:
        problem.errors = [error for error in problem.errors if error["code"] != "missing" or texts.get(error["field"])]
    return console.page("site_errors.html", problem=problem, fields=site_fields.FIELDS)


def _conflict_page(console: ConsoleRequest, site: dict[str, Any], texts: Texts, original: Texts) -> Response:
    """Show what was typed beside what somebody else stored meanwhile, to choose of each field."""
    stored = site_fields.written(site)
    mine = site_fields.changed(texts, original)
    differing = [name for name in mine if texts[name] != stored[name]]
    theirs = [name for name in site_fields.changed(stored, original) if name not in mine]
    return console.page(
        "site_conflict.html",
        status=412,
        site=site,
        texts=texts | {name: stored[name] for name in theirs},
        said={
            which: {name: _said(console, name, version.get(name, "")) for name in (*differing, *theirs)}
            for which, version in (("mine", texts), ("stored", stored), ("before", original))
        },
        differing=differing,
        theirs=theirs,
        original=orjson.dumps(stored).decode(),
    )


def _said(console: ConsoleRequest, name: str, text: str) -> str:
    """Return a field's text as a person would say it."""
    if name == "host_static":
        return console.text("Yes") if text == "true" else console.text("No")
    return word(name, text or None, console.language) if name in CHOICE_WORDS else text or NOTHING
