"""Providers: like with like, inside each technology; and the register of their names."""

from typing import Any

from fastapi import Response

from app.console.aggregates import by_technology, filter_choices, load_aggregates, technologies_of
from app.console.api_client import ApiProblem
from app.console.forms import Form
from app.console.page import Console, ConsoleRequest, page_router

router = page_router()

RANKED = 10  # sites of a ranking on a provider's page
NEW = {"slug": "", "name": "", "aliases": []}


@router.get("/providers")
async def show_providers(console: Console, period: str = "30d", technology: str = "", region: str = "") -> Response:
    asked = {"period": period, "technology": technology, "region": region}
    ranking = await console.api.get("/ranking", by="provider", limit=200, **asked)
    providers = await console.api.get("/providers", limit=1000)
    return console.page(
        "providers.html",
        groups=by_technology(ranking),
        ranking=ranking,
        listed=providers["items"],
        **await filter_choices(console, **asked),
    )


@router.get("/providers/new")
async def show_new_provider(console: Console) -> Response:
    return console.page("provider_form.html", provider=NEW, values=NEW)


@router.post("/providers/new")
async def create_provider(console: Console) -> Response:
    form = await console.form()
    try:
        made = await console.api.post("/providers", {"slug": form.get("slug", ""), **_named(form)})
    except ApiProblem as problem:
        return console.page("provider_form.html", status=problem.status, problem=problem, provider=NEW, values=form)
    return console.redirect(f"/providers/{made['id']}", notice="saved")


@router.get("/providers/{provider_id}")
async def show_provider(console: Console, provider_id: str, period: str = "30d", technology: str = "") -> Response:
    provider = await console.api.get(f"/providers/{provider_id}")
    asked = {"technology": technology}
    regions = await _ranked(console, "region", provider["slug"], period, technology, limit=200)
    return console.page(
        "provider.html",
        provider=provider,
        regions=regions,
        ranking=await _ranked(console, "site", provider["slug"], period, technology, limit=RANKED),
        **await load_aggregates(
            console, f"/providers/{provider_id}", period, asked, technologies=technologies_of(regions)
        ),
        **await filter_choices(console, period=period, **asked),
    )


@router.get("/providers/{provider_id}/edit")
async def show_provider_form(console: Console, provider_id: str) -> Response:
    provider = await console.api.get(f"/providers/{provider_id}")
    return console.page("provider_form.html", provider=provider, values=provider)


@router.post("/providers/{provider_id}/edit")
async def change_provider(console: Console, provider_id: str) -> Response:
    form = await console.form()
    try:
        await console.api.patch(f"/providers/{provider_id}", _named(form))
    except ApiProblem as problem:
        provider = await console.api.get(f"/providers/{provider_id}")
        return console.page(
            "provider_form.html", status=problem.status, problem=problem, provider=provider, values=form
        )
    return console.redirect(f"/providers/{provider_id}", notice="saved")


def _named(form: Form) -> dict[str, Any]:
    """Return name and aliases as a form has them, an alias a line."""
    aliases = [line.strip() for line in form.get("aliases", "").splitlines() if line.strip()]
    return {"name": form.get("name", ""), "aliases": aliases}


async def _ranked(
    console: ConsoleRequest, by: str, provider: str, period: str, technology: str, *, limit: int
) -> dict[str, Any]:
    return await console.api.get(  # type: ignore[no-any-return]
        "/ranking", by=by, provider=provider, period=period, technology=technology, order="worst", limit=limit
    )
