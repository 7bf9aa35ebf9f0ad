"""What terminals, routers and providers say of one site, and where that comes from."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from app.registry import store as registry
from app.registry.params import SiteId
from app.telemetry import store
from app.telemetry.models import TelemetryKind
from app.telemetry.schemas import AccountSourceIn, SiteTelemetryOut, SnmpIn
from app.web.deps import Admin, Reader, Session
from app.web.json_body import JsonRoute
from app.web.period_params import PeriodParam
from app.web.problem_details import problems
from app.web.sealing import SealerOfApp

router = APIRouter(prefix="/sites/{id}/telemetry", tags=["one site"], route_class=JsonRoute)

Kind = Annotated[TelemetryKind, Path(description="which source", examples=["snmp"])]


@router.get("", response_model=SiteTelemetryOut, responses=problems(404))
async def get_site_telemetry(session: Session, caller: Reader, id: SiteId, period: PeriodParam) -> dict[str, Any]:
    """What its terminal, router or provider says.

    It stands beside what was measured, and changes nothing of it: states, incidents and figures rest on our own
    measurements alone.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    return await store.read_site(session, site, period)


@router.put("/starlink_account", status_code=204, responses=problems(403, 404, 409))
async def put_account_source(session: Session, caller: Admin, id: SiteId, body: AccountSourceIn) -> None:
    """Say which terminal of an account is at the site."""
    site, _ = await registry.get_site(session, id, caller=caller)
    await store.put_account_source(session, site, body, caller=caller)


@router.put("/snmp", status_code=204, responses=problems(403, 404, 503))
async def put_snmp_source(
    session: Session, caller: Admin, id: SiteId, body: SnmpIn, request: Request, sealer: SealerOfApp
) -> None:
    """Say which router is read over SNMP.

    Its interface is read every five minutes, from the worker's network.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    policy = request.app.state.policy
    await store.put_snmp_source(session, site, body, caller=caller, sealer=sealer, policy=policy)


@router.delete("/{kind}", status_code=204, responses=problems(403, 404))
async def delete_telemetry_source(session: Session, caller: Admin, id: SiteId, kind: Kind) -> None:
    """Stop reading a source.

    What it said stays. Idempotent. That of a terminal returns as long as the site's agent sends it.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    await store.delete_source(session, site, kind, caller=caller)
