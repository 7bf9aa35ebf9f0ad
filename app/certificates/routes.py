from operator import itemgetter
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from app.certificates import store
from app.certificates.answer_schemas import CertificateOut, CertificateWhole
from app.certificates.input_schemas import CertificateIn
from app.certificates.requesting import request_certificate
from app.core.clock import utc_now
from app.registry import store as registry
from app.registry.params import SiteId
from app.web.account_queues import AccountQueues
from app.web.deps import Reader, Session, Writer
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import BY_ID, Page
from app.web.params import Cursor, Limit, RowId
from app.web.problem_details import problems

router = APIRouter(tags=["reports"], route_class=JsonRoute)


@router.get("/sites/{id}/certificates", response_model=Page[CertificateOut], responses=problems(404))
async def list_site_certificates(
    session: Session, caller: Reader, id: SiteId, limit: Limit = 100, cursor: Cursor = None
) -> dict[str, Any]:
    """List the certificates of a site.

    Those asked for last first. A provider sees those of its own lines once they are done.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    found = await store.list_of_site(session, site.id, caller=caller, before=BY_ID.read(cursor), limit=limit + 1)
    page, next_cursor = BY_ID.page([store.present(row) for row in found], limit, itemgetter("id"))
    return {"items": page, "next_cursor": next_cursor}


@router.post(
    "/sites/{id}/certificates", response_model=CertificateOut, status_code=201, responses=problems(403, 404, 409)
)
async def create_certificate(
    session: Session,
    caller: Writer,
    id: SiteId,
    body: CertificateIn,
    request: Request,
    response: Response,
    idempotency: IdempotencyKey,
) -> dict[str, Any]:
    """Ask for the certificate of a line.

    A protocol of 24 hours of one site. Of hours that are over it is done at once; of such that lie ahead once they are
    over and settled, with a speed test each hour where the data budget allows it. Once done it never changes.
    """
    queues: AccountQueues = request.app.state.report_drafts
    async with queues.hold(caller):
        if certificate_id := await idempotency.find(session, body, caller=caller):
            certificate = await store.get_certificate(session, certificate_id, caller=caller)
        else:
            certificate = await request_certificate(session, id, body, caller=caller, now=utc_now())
            await idempotency.record(session, body, certificate.id, caller=caller)
    response.headers["Location"] = f"{request.url.path.partition('/sites/')[0]}/certificates/{certificate.id}"
    return store.present(certificate)


@router.get("/certificates/{id}", response_model=CertificateWhole, responses=problems(404))
async def get_certificate(session: Session, caller: Reader, id: RowId) -> Response:
    """One certificate with its figures.

    Hour by hour, and of all 24: null while it runs.
    """
    certificate = await store.get_certificate(session, id, caller=caller)
    fields = CertificateOut.model_validate(store.present(certificate)).model_dump(mode="json", by_alias=True)
    data = None if certificate.data is None else orjson.Fragment(certificate.data)
    return Response(orjson.dumps(fields | {"data": data}), media_type="application/json")
