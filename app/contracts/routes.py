from operator import itemgetter
from typing import Any

from fastapi import APIRouter, Request, Response

from app.contracts import serializer, store
from app.contracts.schemas import ContractCreated, ContractIn, ContractOut, ContractPatch
from app.registry.params import ProviderSlug
from app.web.deps import Provincial, Reader, Session
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import BY_ID, Page
from app.web.params import Cursor, IfMatch, Limit, RowId, read_version
from app.web.problem_details import problems

router = APIRouter(prefix="/contracts", tags=["registry"], route_class=JsonRoute)


@router.get("", response_model=Page[ContractOut], responses=problems())
async def list_contracts(
    session: Session, caller: Reader, provider: ProviderSlug = None, limit: Limit = 100, cursor: Cursor = None
) -> dict[str, Any]:
    """List contracts.

    By id; a provider sees only its own.
    """
    contracts = await store.list_contracts(
        session, caller=caller, provider=provider, after=BY_ID.read(cursor), limit=limit + 1
    )
    page, next_cursor = BY_ID.page([serializer.present(contract) for contract in contracts], limit, itemgetter("id"))
    return {"items": page, "next_cursor": next_cursor}


@router.post("", response_model=ContractCreated, status_code=201, responses=problems(403, 409))
async def create_contract(
    session: Session,
    caller: Provincial,
    body: ContractIn,
    request: Request,
    response: Response,
    idempotency: IdempotencyKey,
) -> dict[str, Any]:
    """Register a contract.

    Only the province may. Its terms are in force from `valid_from` on. `defaulted` names the terms that were not given,
    `leaves_out` what the terms do not count as downtime.
    """
    if contract_id := await idempotency.find(session, body, caller=caller):
        return serializer.present_created(await store.get_contract(session, contract_id, caller=caller), body)
    contract = await store.create_contract(session, body, caller=caller)
    await idempotency.record(session, body, contract.id, caller=caller)
    response.headers["Location"] = f"{request.url.path}/{contract.id}"
    response.headers["ETag"] = f'"{contract.version}"'
    return serializer.present_created(contract, body)


@router.get("/{id}", response_model=ContractOut, responses=problems(404))
async def get_contract(session: Session, caller: Reader, id: RowId, response: Response) -> dict[str, Any]:
    """One contract with all its terms."""
    contract = await store.get_contract(session, id, caller=caller)
    response.headers["ETag"] = f'"{contract.version}"'
    return serializer.present(contract)


@router.patch("/{id}", response_model=ContractOut, responses=problems(403, 404, 409, 412))
async def patch_contract(
    session: Session, caller: Provincial, id: RowId, body: ContractPatch, if_match: IfMatch = None
) -> dict[str, Any]:
    """Change a contract.

    Changed terms apply from `effective_from` (default today) until the next dated ones. Earlier days keep their terms.
    A change of days before today needs a `reason`.
    """
    return serializer.present(
        await store.patch_contract(session, id, body, caller=caller, if_match=read_version(if_match))
    )
