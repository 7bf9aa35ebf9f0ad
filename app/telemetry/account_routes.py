"""Service accounts of providers, which the province registers."""

from typing import Any

from fastapi import APIRouter, Request, Response

from app.telemetry import accounts
from app.telemetry.account_schemas import TelemetryAccountIn, TelemetryAccountOut, TelemetryAccountPatch
from app.web.deps import Provincial, Session
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import BY_ID, Page
from app.web.params import Cursor, IfMatch, Limit, RowId, read_version
from app.web.problem_details import problems
from app.web.sealing import SealerOfApp

router = APIRouter(prefix="/telemetry/accounts", tags=["field"], route_class=JsonRoute)


@router.get("", response_model=Page[TelemetryAccountOut], responses=problems(403))
async def list_telemetry_accounts(
    session: Session, caller: Provincial, limit: Limit = 100, cursor: Cursor = None
) -> dict[str, Any]:
    """List telemetry accounts."""
    rows = await accounts.list_accounts(session, caller=caller, after=BY_ID.read(cursor), limit=limit + 1)
    page, next_cursor = BY_ID.page(rows, limit, lambda account: account.id)
    return {"items": await accounts.present(session, page), "next_cursor": next_cursor}


@router.post("", response_model=TelemetryAccountOut, status_code=201, responses=problems(403, 409, 503))
async def create_telemetry_account(
    session: Session,
    caller: Provincial,
    body: TelemetryAccountIn,
    request: Request,
    response: Response,
    sealer: SealerOfApp,
    idempotency: IdempotencyKey,
) -> dict[str, Any]:
    """Register a service account.

    It is read four times a minute. One that another system reads too gives each of them a part: ask the provider for
    one of your own.
    """
    fingerprint = accounts.fingerprint(body, sealer)
    if account_id := await idempotency.find(session, fingerprint, caller=caller):
        account = await accounts.get_account(session, account_id, caller=caller)
    else:
        policy = request.app.state.policy
        account = await accounts.create_account(session, body, caller=caller, sealer=sealer, policy=policy)
        await idempotency.record(session, fingerprint, account.id, caller=caller)
    response.headers["Location"] = f"{request.url.path}/{account.id}"
    response.headers["ETag"] = f'"{account.version}"'
    return (await accounts.present(session, [account]))[0]


@router.get("/{id}", response_model=TelemetryAccountOut, responses=problems(403, 404))
async def get_telemetry_account(session: Session, caller: Provincial, id: RowId, response: Response) -> dict[str, Any]:
    """One telemetry account."""
    account = await accounts.get_account(session, id, caller=caller)
    response.headers["ETag"] = f'"{account.version}"'
    return (await accounts.present(session, [account]))[0]


@router.patch("/{id}", response_model=TelemetryAccountOut, responses=problems(403, 404, 409, 412, 503))
async def patch_telemetry_account(
    session: Session,
    caller: Provincial,
    id: RowId,
    body: TelemetryAccountPatch,
    request: Request,
    response: Response,
    sealer: SealerOfApp,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Change a telemetry account."""
    account = await accounts.patch_account(
        session,
        id,
        body,
        caller=caller,
        if_match=read_version(if_match),
        sealer=sealer,
        policy=request.app.state.policy,
    )
    response.headers["ETag"] = f'"{account.version}"'
    return (await accounts.present(session, [account]))[0]


@router.delete("/{id}", status_code=204, responses=problems(403, 404))
async def delete_telemetry_account(session: Session, caller: Provincial, id: RowId) -> None:
    """Stop reading an account.

    Its sites' sources go with it; what was said stays. Idempotent.
    """
    await accounts.delete_account(session, id, caller=caller)
