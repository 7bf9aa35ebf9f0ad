from operator import itemgetter
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.accounts import tokens
from app.accounts.schemas import TokenIn, TokenMade, TokenOut
from app.web.deps import Admin, Session
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import BY_ID, Page
from app.web.params import Cursor, Limit, RowId
from app.web.problem_details import problems

router = APIRouter(prefix="/tokens", tags=["access"], route_class=JsonRoute)


@router.get("", response_model=Page[TokenOut], responses=problems(403))
async def list_tokens(
    session: Session,
    caller: Admin,
    active: Annotated[bool | None, Query(description="only those that work, or that do not", examples=[True])] = None,
    account_id: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="only this account's", examples=[3])
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List API tokens.

    Those within your region, revoked and expired ones included, without their secrets.
    """
    rows = await tokens.list_tokens(
        session, caller=caller, active=active, account_id=account_id, after=BY_ID.read(cursor), limit=limit + 1
    )
    page, next_cursor = BY_ID.page(rows, limit, itemgetter("id"))
    return {"items": page, "next_cursor": next_cursor}


@router.post("", response_model=TokenMade, status_code=201, responses=problems(403))
async def create_token(
    session: Session, caller: Admin, token: TokenIn, response: Response, idempotency: IdempotencyKey
) -> dict[str, Any]:
    """Create an API token.

    It never exceeds what its owner may do at that moment; the secret is shown once.
    """
    if token_id := await idempotency.find(session, token, caller=caller):
        return await tokens.get_token(session, token_id, caller=caller)
    token_id, secret = await tokens.create_token(
        session,
        name=token.name,
        role=token.role,
        region_code=token.region_code,
        provider=token.provider,
        owner=await tokens.find_owner(session, token.account_id, caller=caller),
        days=token.days,
        caller=caller,
    )
    await idempotency.record(session, token, token_id, caller=caller)
    response.headers["Cache-Control"] = "no-store"
    return await tokens.get_token(session, token_id, caller=caller) | {"token": secret}


@router.delete("/{id}", status_code=204, responses=problems(403, 404))
async def revoke_token(session: Session, caller: Admin, id: RowId) -> None:
    """Revoke an API token.

    Within five seconds. Idempotent.
    """
    await tokens.revoke_token(session, id, caller=caller)
