from operator import itemgetter
from typing import Any

from fastapi import APIRouter, Request, Response

from app.accounts import store
from app.accounts.schemas import AccountIn, AccountMade, AccountOut, AccountPatch
from app.web.deps import Admin, Session
from app.web.idempotency import IdempotencyKey
from app.web.pagination import BY_ID, Page
from app.web.params import Cursor, IfMatch, Limit, RowId, read_version
from app.web.problem_details import problems

router = APIRouter(prefix="/accounts", tags=["access"])


@router.get("", response_model=Page[AccountOut], responses=problems(403))
async def list_accounts(session: Session, caller: Admin, limit: Limit = 100, cursor: Cursor = None) -> dict[str, Any]:
    """Accounts within your region."""
    found = await store.list_accounts(session, caller=caller, after=BY_ID.read(cursor), limit=limit + 1)
    page, next_cursor = BY_ID.page([store.present(account) for account in found], limit, itemgetter("id"))
    return {"items": page, "next_cursor": next_cursor}


@router.post("", response_model=AccountMade, status_code=201, responses=problems(403, 409))
async def create_account(
    session: Session, caller: Admin, given: AccountIn, request: Request, response: Response, idempotency: IdempotencyKey
) -> dict[str, Any]:
    """You give no right and no region beyond your own. Without a password one is made and shown once; its owner
    sets another at the first sign-in."""
    if made := await idempotency.find(session, given, caller=caller):
        return store.present(await store.get_account(session, made, caller=caller))
    found, initial = await store.create_account(session, given, caller=caller)
    await idempotency.record(session, given, found.account.id, caller=caller)
    response.headers["Location"] = f"{request.url.path}/{found.account.id}"
    response.headers["ETag"] = f'"{found.account.version}"'
    response.headers["Cache-Control"] = "no-store"
    return store.present(found) | {"initial_password": initial}


@router.get("/{id}", response_model=AccountOut, responses=problems(403, 404))
async def get_account(session: Session, caller: Admin, id: RowId, response: Response) -> dict[str, Any]:
    found = await store.get_account(session, id, caller=caller)
    response.headers["ETag"] = f'"{found.account.version}"'
    return store.present(found)


@router.patch("/{id}", response_model=AccountOut, responses=problems(403, 404, 409, 412))
async def patch_account(
    session: Session, caller: Admin, id: RowId, given: AccountPatch, if_match: IfMatch = None
) -> dict[str, Any]:
    """Holds at once for its sessions, within five seconds for its tokens; a token beyond its owner stops working.
    The last admin of the province stays."""
    return store.present(await store.patch_account(session, id, given, caller=caller, if_match=read_version(if_match)))


@router.delete("/{id}", status_code=204, responses=problems(403, 404, 409))
async def disable_account(session: Session, caller: Admin, id: RowId) -> None:
    """Disables it: its sessions end and its tokens stop working. Again: 204 again."""
    await store.disable_account(session, id, caller=caller)


@router.post("/{id}/reset-password", response_model=AccountMade, responses=problems(403, 404))
async def reset_password(session: Session, caller: Admin, id: RowId, response: Response) -> dict[str, Any]:
    """A new password, shown once; its sessions end, and its owner sets another at the first sign-in."""
    found, initial = await store.reset_password(session, id, caller=caller)
    response.headers["Cache-Control"] = "no-store"
    return store.present(found) | {"initial_password": initial}
