from operator import itemgetter
from typing import Any

from fastapi import APIRouter, Response

from app.accounts import tokens
from app.accounts.schemas import TokenIn, TokenMade, TokenOut
from app.web.deps import Admin, Session
from app.web.idempotency import IdempotencyKey
from app.web.pagination import BY_ID, Page
from app.web.params import Cursor, Limit, RowId
from app.web.problem_details import problems

router = APIRouter(prefix="/tokens", tags=["access"])


@router.get("", response_model=Page[TokenOut], responses=problems(403))
async def list_tokens(session: Session, caller: Admin, limit: Limit = 100, cursor: Cursor = None) -> dict[str, Any]:
    """Tokens within your region, revoked and expired ones too; never their secrets."""
    found = await tokens.list_tokens(session, caller=caller, after=BY_ID.read(cursor), limit=limit + 1)
    page, next_cursor = BY_ID.page(found, limit, itemgetter("id"))
    return {"items": page, "next_cursor": next_cursor}


@router.post("", response_model=TokenMade, status_code=201, responses=problems(403))
async def create_token(
    session: Session, caller: Admin, given: TokenIn, response: Response, idempotency: IdempotencyKey
) -> dict[str, Any]:
    """A token belongs to an account and does no more than its owner may at that moment; the secret is shown once."""
    if made := await idempotency.find(session, given, caller=caller):
        return await tokens.get_token(session, made, caller=caller)
    made, secret = await tokens.create_token(
        session,
        name=given.name,
        role=given.role,
        region_code=given.region_code,
        provider=given.provider,
        owner=await tokens.owner_of_new(session, given.account_id, caller=caller),
        days=given.days,
        caller=caller,
    )
    await idempotency.record(session, given, made, caller=caller)
    response.headers["Cache-Control"] = "no-store"
    return await tokens.get_token(session, made, caller=caller) | {"token": secret}


@router.delete("/{id}", status_code=204, responses=problems(403, 404))
async def revoke_token(session: Session, caller: Admin, id: RowId) -> None:
    """It is refused within five seconds. Again: 204 again."""
    await tokens.revoke_token(session, id, caller=caller)
