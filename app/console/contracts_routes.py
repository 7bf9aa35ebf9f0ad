"""Contracts: terms by day, sites by day, and what came of the last months."""

import asyncio
from typing import Any

from fastapi import Response

from app.console import choices
from app.console.api_client import ApiProblem
from app.console.choices import last_months
from app.console.contract_fields import FIELDS, read_assignments, read_contract, read_days
from app.console.page import Console, ConsoleRequest, page_router
from app.console.restitution_fields import given as given_rule
from app.console.restitution_fields import shown as shown_rule
from app.core.clock import today, utc_now
from app.pages.words import INDONESIAN, word

router = page_router()

JUDGED_MONTHS = 3
PAGE = 100


@router.get("/contracts")
async def show_contracts(console: Console, provider: str = "", cursor: str = "") -> Response:
    contracts = await console.api.get("/contracts", provider=provider, cursor=cursor, limit=PAGE)
    return console.page(
        "contracts.html",
        contracts=contracts,
        asked={"provider": provider},
        paged=bool(cursor),
        providers=await choices.providers(console.api),
        today=today().isoformat(),
    )


@router.get("/contracts/new")
async def show_new_contract(console: Console) -> Response:
    return await _form_page(console, None, {"min_outage_s": "300", "excluded_causes": "power", "fee_per": "contract"})


@router.post("/contracts/new")
async def create_contract(console: Console) -> Response:
    form = await console.form()
    try:
        made = await console.api.post("/contracts", read_contract(form))
    except ApiProblem as problem:
        return await _form_page(console, None, dict(form), form.all("excluded_causes"), problem=problem)
    return console.redirect(f"/contracts/{made['id']}", notice="saved")


@router.get("/contracts/{contract_id}")
async def show_contract(console: Console, contract_id: str, region: str = "", cursor: str = "") -> Response:
    return await _contract_page(console, contract_id, region=region, cursor=cursor)


@router.get("/contracts/{contract_id}/edit")
async def show_contract_form(console: Console, contract_id: str) -> Response:
    contract = await console.api.get(f"/contracts/{contract_id}")
    values = contract | shown_rule(contract["restitution"])
    return await _form_page(console, contract, values, contract["excluded_causes"])


@router.post("/contracts/{contract_id}/edit")
async def change_contract(console: Console, contract_id: str) -> Response:
    """Send what differs from the terms in force."""
    form = await console.form()
    contract = await console.api.get(f"/contracts/{contract_id}")
    before = contract | {"restitution": given_rule(contract["restitution"])}
    changes = {name: value for name, value in read_contract(form).items() if value != before.get(name)}
    dated = {name: form[name] for name in ("effective_from", "reason") if form.get(name)}
    try:
        await console.api.patch(f"/contracts/{contract_id}", changes | dated, version=form.get("version"))
    except ApiProblem as problem:
        return await _form_page(console, contract, dict(form), form.all("excluded_causes"), problem=problem)
    return console.redirect(f"/contracts/{contract_id}", notice="saved")


@router.post("/contracts/{contract_id}/sites")
async def add_sites(console: Console, contract_id: str) -> Response:
    form = await console.form()
    try:
        await console.api.post(f"/contracts/{contract_id}/sites", read_assignments(form))
    except ApiProblem as problem:
        return await _contract_page(console, contract_id, problem=problem, values=dict(form))
    return console.redirect(f"/contracts/{contract_id}", notice="saved")


@router.get("/contracts/{contract_id}/sites/{assignment_id}")
async def show_assignment(console: Console, contract_id: str, assignment_id: str) -> Response:
    assignment = await console.api.get(f"/contracts/{contract_id}/sites/{assignment_id}")
    return console.page("contract_site.html", assignment=assignment, values=assignment)


@router.post("/contracts/{contract_id}/sites/{assignment_id}")
async def change_assignment(console: Console, contract_id: str, assignment_id: str) -> Response:
    """Move its days, or take it back, as if it had never been."""
    form = await console.form()
    path = f"/contracts/{contract_id}/sites/{assignment_id}"
    try:
        if form.get("withdraw"):
            await console.api.delete(path, reason=form.get("reason"))
        else:
            await console.api.patch(path, read_days(form), version=form.get("version"))
    except ApiProblem as problem:
        assignment = await console.api.get(path)
        return console.page(
            "contract_site.html", status=problem.status, problem=problem, assignment=assignment, values=form
        )
    return console.redirect(f"/contracts/{contract_id}", notice="saved")


async def _contract_page(
    console: ConsoleRequest,
    contract_id: str,
    *,
    region: str = "",
    cursor: str = "",
    problem: ApiProblem | None = None,
    values: dict[str, Any] | None = None,
) -> Response:
    contract = await console.api.get(f"/contracts/{contract_id}")
    sites = await console.api.get(f"/contracts/{contract_id}/sites", region=region, cursor=cursor, limit=PAGE)
    months = [f"{first:%Y-%m}" for first in last_months(utc_now(), JUDGED_MONTHS)]
    answers = await asyncio.gather(
        *(console.api.get("/sla", period=month, contract=contract["id"], limit=1) for month in months)
    )
    return console.page(
        "contract.html",
        status=problem.status if problem else 200,
        problem=problem,
        contract=contract,
        provider_name=dict(await choices.providers(console.api)).get(contract["provider"], contract["provider"]),
        sites=sites,
        months=[(month, answer["totals"]["all"]) for month, answer in zip(months, answers, strict=True)],
        asked={"region": region},
        paged=bool(cursor),
        values=values or {},
    )


async def _form_page(
    console: ConsoleRequest,
    contract: dict[str, Any] | None,
    values: dict[str, Any],
    causes: list[str] | None = None,
    *,
    problem: ApiProblem | None = None,
) -> Response:
    return console.page(
        "contract_form.html",
        status=problem.status if problem else 200,
        problem=problem,
        contract=contract,
        values=dict.fromkeys(FIELDS, "") | values,
        chosen=causes if causes is not None else ["power"],
        kinds=choices.of_words("restitution_kind", console),
        readings=choices.of_words("restitution_unknown", console),
        owners=choices.of_words("fee_per", console),
        causes=[(cause, word("cause", cause, console.language)) for cause in INDONESIAN["cause"]],
        providers=await choices.providers(console.api),
        today=today().isoformat(),
    )
