from datetime import timedelta
from operator import itemgetter
from typing import Any

from fastapi import APIRouter, Request, Response

from app.accounts import store
from app.accounts.schemas import AccountIn, AccountMade, AccountOut, AccountPatch, OpenSessionOut
from app.web.deps import Admin, Session
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import BY_ID, Page
from app.web.params import Cursor, IfMatch, Limit, RowId, read_version
from app.web.problem_details import problems

router = APIRouter(prefix="/accounts", tags=["access"], route_class=JsonRoute)

MOST_SESSIONS = 100


@router.get("", response_model=Page[AccountOut], responses=problems(403))
async def list_accounts(session: Session, caller: Admin, limit: Limit = 100, cursor: Cursor = None) -> dict[str, Any]:
    """List accounts.

    Those within your region.
    """
    accounts = await store.list_accounts(session, caller=caller, after=BY_ID.read(cursor), limit=limit + 1)
    page, next_cursor = BY_ID.page([store.present(account) for account in accounts], limit, itemgetter("id"))
    return {"items": page, "next_cursor": next_cursor}


@router.post("", response_model=AccountMade, status_code=201, responses=problems(403, 409))
async def create_account(
    session: Session,
    caller: Admin,
    account: AccountIn,
    request: Request,
    response: Response,
    idempotency: IdempotencyKey,
) -> dict[str, Any]:
    """Create an account.

    You cannot grant more than your own rights and region. Without a password one is generated and shown once; its owner
    changes it at the first sign-in.
    """
    if account_id := await idempotency.find(session, account, caller=caller):
        return store.present(await store.get_account(session, account_id, caller=caller))
    row, initial_password = await store.create_account(session, account, caller=caller)
    await idempotency.record(session, account, row.account.id, caller=caller)
    response.headers["Location"] = f"{request.url.path}/{row.account.id}"
    response.headers["ETag"] = f'"{row.account.version}"'
    response.headers["Cache-Control"] = "no-store"
    return store.present(row) | {"initial_password": initial_password}


@router.get("/{id}", response_model=AccountOut, responses=problems(403, 404))
async def get_account(session: Session, caller: Admin, id: RowId, response: Response) -> dict[str, Any]:
    """One account."""
    row = await store.get_account(session, id, caller=caller)
    response.headers["ETag"] = f'"{row.account.version}"'
    return store.present(row)


@router.patch("/{id}", response_model=AccountOut, responses=problems(403, 404, 409, 412))
async def patch_account(
    session: Session, caller: Admin, id: RowId, patch: AccountPatch, if_match: IfMatch = None
) -> dict[str, Any]:
    """Change an account.

    At once for its sessions, within five seconds for its tokens. A token that exceeds its owner stops working. The last
    admin of the province cannot be disabled or demoted.
    """
    return store.present(await store.patch_account(session, id, patch, caller=caller, if_match=read_version(if_match)))


@router.delete("/{id}", status_code=204, responses=problems(403, 404, 409))
async def disable_account(session: Session, caller: Admin, id: RowId) -> None:
    """Disable an account.

    Its sessions end and its tokens stop working. Idempotent.
    """
    await store.disable_account(session, id, caller=caller)


@router.get("/{id}/sessions", response_model=Page[OpenSessionOut], responses=problems(403, 404))
async def list_account_sessions(session: Session, caller: Admin, id: RowId, request: Request) -> dict[str, Any]:
    """Open sessions of an account.

    Last seen first, at most 100.
    """
    idle = timedelta(minutes=request.app.state.settings.sign_in.idle_minutes)
    items = await store.list_sessions(session, id, caller=caller, idle=idle, limit=MOST_SESSIONS)
    return {"items": items, "next_cursor": None}


@router.delete("/{id}/sessions", status_code=204, responses=problems(403, 404))
async def end_account_sessions(session: Session, caller: Admin, id: RowId) -> None:
    """End all sessions of an account.

    Its owner signs in again; tokens stay valid. Idempotent.
    """
    await store.end_sessions(session, id, caller=caller)


@router.post("/{id}/reset-password", response_model=AccountMade, responses=problems(403, 404))
async def reset_password(session: Session, caller: Admin, id: RowId, response: Response) -> dict[str, Any]:
    """Reset an account's password.

    One is generated and shown once; sessions end, and the owner changes it at the first sign-in.
    """
    row, initial_password = await store.reset_password(session, id, caller=caller)
    response.headers["Cache-Control"] = "no-store"
    return store.present(row) | {"initial_password": initial_password}
