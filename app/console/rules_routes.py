"""Aturan: what an office wants to hear of, when, and through which channels; with what last week would have sent."""

from datetime import datetime, timedelta
from typing import Any

from fastapi import Response

from app.access.scope import PROVINCE
from app.console import choices, rule_form
from app.console.api_client import ApiProblem
from app.console.channels_routes import offices
from app.console.page import Console, ConsoleRequest, page_router
from app.core.clock import to_wita, utc_now
from app.core.errors import NotAllowed

router = page_router()

PAGE = 200
MORNING = 7  # o'clock in WITA: until then "until the morning" mutes


@router.get("/rules")
async def show_rules(console: Console, cursor: str = "") -> Response:
    rules = await console.api.get("/rules", cursor=cursor, limit=PAGE)
    return console.page("rules.html", rules=rules, is_later=bool(cursor), channel_names=await _channel_names(console))


@router.get("/rules/new")
async def show_new_rule(console: Console, office: str = "") -> Response:
    if not console.may("write"):
        raise NotAllowed("Role {role} only reads", values={"role": console.caller.role.value})
    own = console.caller.region_code
    return await _new(console, rule_form.BEGINNING | {"office": own if own != PROVINCE else office or PROVINCE})


@router.post("/rules/new")
async def create_rule(console: Console) -> Response:
    """Show what last week would have sent, or create the rule."""
    form = await console.form()
    body, typed = rule_form.new_rule(form), rule_form.typed_values(form)
    try:
        if form.get("do") == "office":  # its channels and regions are chosen from then
            return await _new(console, typed | {"channels": [], "region": ""})
        if form.get("do") == "preview":
            return await _new(console, typed, preview=await console.api.post("/rules/preview", body))
        rule = await console.api.post("/rules", body)
    except ApiProblem as problem:
        return await _new(console, typed, problem=problem)
    return console.redirect(f"/rules/{rule['id']}", notice="saved")


@router.get("/rules/{rule_id}")
async def show_rule(console: Console, rule_id: str) -> Response:
    return await _page(console, rule_id)


@router.post("/rules/{rule_id}")
async def change_rule(console: Console, rule_id: str) -> Response:
    """Show what last week would have sent with the form as it is, or save what differs."""
    form = await console.form()
    typed = rule_form.typed_values(form)
    try:
        rule = await console.api.get(f"/rules/{rule_id}")
        if form.get("do") == "preview":
            body = {**rule_form.new_rule(form), "office": rule["office"]}
            return await _page(console, rule_id, typed, preview=await console.api.post("/rules/preview", body))
        changes = rule_form.changed_rule(rule, form)
        if not changes:
            return console.redirect(f"/rules/{rule['id']}", notice="nothing_changed")
        await console.api.patch(f"/rules/{rule_id}", changes, version=form.get("version"))
    except ApiProblem as problem:
        if problem.status == 404:
            raise
        return await _page(console, rule_id, typed, problem=problem)
    return console.redirect(f"/rules/{rule['id']}", notice="saved")


@router.post("/rules/{rule_id}/mute")
async def mute_rule(console: Console, rule_id: str) -> Response:
    """Mute it for some hours or until the morning, or end that."""
    form = await console.form()
    until = muted_until(form.get("for", ""), utc_now())
    await console.api.patch(f"/rules/{rule_id}", {"muted_until": until.isoformat() if until else None})
    return console.redirect(f"/rules/{rule_id}", notice="rule_muted" if until else "rule_unmuted")


def muted_until(chosen: str, now: datetime) -> datetime | None:
    """Return until when `1h`, `8h` or `morning` mutes; None for anything else."""
    if chosen in {"1h", "8h"}:
        return now.replace(microsecond=0) + timedelta(hours=int(chosen[0]))
    if chosen != "morning":
        return None
    local = to_wita(now)
    morning = local.replace(hour=MORNING, minute=0, second=0, microsecond=0)
    return morning if local < morning else morning + timedelta(days=1)


@router.post("/rules/{rule_id}/delete")
async def delete_rule(console: Console, rule_id: str) -> Response:
    await console.form()
    await console.api.delete(f"/rules/{rule_id}")
    return console.redirect("/rules", notice="rule_deleted")


async def _page(
    console: ConsoleRequest,
    rule_id: str,
    typed: dict[str, Any] | None = None,
    *,
    problem: ApiProblem | None = None,
    preview: dict[str, Any] | None = None,
) -> Response:
    rule = await console.api.get(f"/rules/{rule_id}")
    values = rule_form.values_of(rule) | (typed or {})
    return await _form(console, "rule.html", values, rule["office"], problem, preview, rule=rule)


async def _new(
    console: ConsoleRequest,
    values: dict[str, Any],
    *,
    problem: ApiProblem | None = None,
    preview: dict[str, Any] | None = None,
) -> Response:
    own = console.caller.region_code
    office = values.get("office") or own
    more = {"offices": await offices(console) if own == PROVINCE else []}
    return await _form(console, "rule_new.html", values, office, problem, preview, rule=None, **more)


async def _form(
    console: ConsoleRequest,
    template: str,
    values: dict[str, Any],
    office: str,
    problem: ApiProblem | None,
    preview: dict[str, Any] | None,
    **more: Any,
) -> Response:
    """Show the form of one office's rule, with the channels and regions of that office."""
    channels = await _of_office(console, office)
    below = await console.api.get("/regions", parent=office, limit=1000)
    return console.page(
        template,
        status=problem.status if problem else 200,
        values=dict.fromkeys(rule_form.FIELDS) | {"keeps_power_hours": False} | values,
        office=office,
        problem=rule_form.beside_fields(problem) if problem else None,
        preview=preview,
        channels=channels,
        channel_names={each["id"]: each["name"] for each in channels},
        regions=_with_own(below["items"], more["rule"]),
        providers=await choices.providers(console.api),
        technologies=rule_form.technologies(),
        fields=rule_form.FIELDS,
        **more,
    )


def _with_own(below: list[dict[str, Any]], rule: dict[str, Any] | None) -> choices.Choices:
    """Return the regions below the office, and that of the rule where it is a smaller one."""
    regions = [(each["code"], each["name"]) for each in below]
    own = (rule["region"], rule["region_name"]) if rule else None
    return regions if own is None or own in regions or own[0] == rule["office"] else [own, *regions]  # type: ignore[index]


async def _of_office(console: ConsoleRequest, office: str) -> list[dict[str, Any]]:
    """Return the channels of the office itself; none of an office that there is not: saving says so."""
    try:
        listed = await console.api.get("/channels", region=office, limit=PAGE)
    except ApiProblem as problem:
        if problem.status not in {403, 422}:
            raise
        return []
    return [each for each in listed["items"] if each["office"] == office]


async def _channel_names(console: ConsoleRequest) -> dict[int, str]:
    listed = await console.api.get("/channels", limit=1000)
    return {each["id"]: each["name"] for each in listed["items"]}
