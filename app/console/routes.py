"""The console: all its pages, under `/console`, and the wall."""

from fastapi import APIRouter, Request, Response

from app.console import (
    accounts_routes,
    acknowledge_routes,
    audit_routes,
    channels_routes,
    checks_routes,
    compliance_routes,
    contracts_routes,
    import_routes,
    incident_routes,
    maintenance_routes,
    notifications_routes,
    poster_routes,
    providers_routes,
    ranking_routes,
    regions_routes,
    report_routes,
    reports_routes,
    reviews_routes,
    rules_routes,
    sign_in_routes,
    site_form_routes,
    site_list_routes,
    site_routes,
    sla_routes,
    system_routes,
    telemetry_routes,
    today_routes,
    tokens_routes,
    vantages_routes,
    wall_routes,
)
from app.console.page import ROOT, page_router
from app.core.errors import NotFound

PAGES = (  # in this order: of an address that two of them know, such as /sites/new, the first one answers
    sign_in_routes,
    today_routes,
    site_form_routes,
    import_routes,
    contracts_routes,
    incident_routes,
    acknowledge_routes,
    notifications_routes,
    channels_routes,
    rules_routes,
    maintenance_routes,
    providers_routes,
    ranking_routes,
    regions_routes,
    sla_routes,
    reviews_routes,
    reports_routes,
    report_routes,
    compliance_routes,
    accounts_routes,
    tokens_routes,
    audit_routes,
    checks_routes,
    system_routes,
    vantages_routes,
    site_list_routes,
    poster_routes,
    telemetry_routes,
    site_routes,  # after all that begins with /sites/: its addresses name a site there
)

router = APIRouter(include_in_schema=False)
for page in PAGES:
    router.include_router(page.router, prefix=ROOT)

unknown = page_router()


@unknown.api_route("/{path:path}", methods=["GET", "POST"])
async def show_not_found(request: Request) -> Response:
    raise NotFound("There is no such page")


router.include_router(unknown, prefix=ROOT)
router.include_router(wall_routes.router)
