"""`/visits`: what the page that anybody opens on a village's Wi-Fi asks and sends. Nobody signs in."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from app.core import i18n
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid, TooLarge
from app.core.networks import network_of
from app.core.validation import MESSAGES
from app.throughput.timed_transfer import TimedDownload, read_upload
from app.visitors.models import VisitDirection
from app.visitors.result_parser import MAX_BYTES, ParsedResults, parse
from app.visitors.schemas import RESULTS_BODY, FoundSitesOut, ResultsOut, UploadOut, VisitIn, VisitOut
from app.visitors.speed_offer import SpeedOffer
from app.visitors.visit_token import MAX_TOKEN
from app.visitors.visited_sites import present, read_code
from app.visitors.visits import OpenedVisit, Visits, unknown_code
from app.web.client_address import client_address
from app.web.deps import open_to_all
from app.web.json_body import JsonRoute
from app.web.problem_details import problems

router = APIRouter(prefix="/visits", tags=["field"], dependencies=[Depends(open_to_all)], route_class=JsonRoute)

EVERY_S = 300
NO_STORE = {"Cache-Control": "no-store"}
VisitToken = Annotated[
    str,
    Query(
        min_length=1, max_length=MAX_TOKEN, description="token of the visit", examples=["eyJpIjoxNzk1NTAwMzAwfQ.q3V"]
    ),
]
Code = Annotated[
    str | None,
    Query(
        min_length=1, max_length=30, description="code of an access point, or of a village", examples=["64.02.05.2003"]
    ),
]
RESULTS: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/json": {"schema": RESULTS_BODY}}}}


def visits_of(request: Request) -> Visits:
    visits: Visits = request.app.state.visits
    return visits


@router.get("/site", response_model=FoundSitesOut, responses=problems(429))
async def find_visit_sites(request: Request, response: Response, code: Code = None) -> dict[str, Any]:
    """Find the access point to measure.

    By its printed code, or all of a village by the village's; without a code, those whose own device came from the
    caller's network in the last 30 days.
    """
    visits = visits_of(request)
    visits.limits.charge_visit(client_address(request))
    response.headers.update(NO_STORE)
    if code is None:
        network = network_of(client_address(request))
        return {"sites": await visits.sites.list_by_network(network, utc_now()), "by": "network"}
    registered = read_code(code)
    if registered is None:
        raise Invalid(unknown_code(code))
    return {"sites": await visits.sites.list_by_code(registered), "by": "code"}


@router.post("", response_model=VisitOut, status_code=201, responses=problems(429))
async def open_visit(request: Request, response: Response, visit_in: VisitIn) -> dict[str, Any]:
    """Begin to measure an access point.

    Stores nothing. The token is good for 24 hours; sizes of a speed test are to be told before it is agreed to.
    """
    response.headers.update(NO_STORE)
    opened = await visits_of(request).open(visit_in.code, visit_in.visitor, client_address(request), utc_now())
    return _opened(opened)


@router.get("/echo", status_code=204)
async def echo_visit() -> Response:
    """Answer at once.

    The page times it: a round trip, on a connection that is open already.
    """
    return Response(status_code=204, headers=NO_STORE)


@router.get(
    "/down",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}, **problems(404, 409, 429)},
)
async def download_visit(request: Request, visit: VisitToken) -> Response:
    """Download of a visitor's speed test.

    Random bytes, up to the offered size and time. Once a visitor and hour, inside the site's data budget.
    """
    direction = VisitDirection.DOWN
    async with visits_of(request).transfer(visit, direction, client_address(request), utc_now()) as opened:
        return TimedDownload(opened.timed(kept=True))


@router.post("/up", response_model=UploadOut, responses=problems(404, 409, 413, 429))
async def upload_visit(request: Request, visit: VisitToken) -> UploadOut:
    """Upload of a visitor's speed test.

    Any body, up to the offered size and time; it is counted and discarded. Once a visitor and hour.
    """
    async with visits_of(request).transfer(visit, VisitDirection.UP, client_address(request), utc_now()) as opened:
        timed = opened.timed()
        await read_upload(request, timed)
    return UploadOut(bytes=timed.bytes, ms=round(timed.ms))


@router.post("/results", response_model=ResultsOut, responses=problems(404, 413, 429), openapi_extra=RESULTS)
async def send_visit_results(request: Request) -> Response:
    """Send what a page measured.

    Up to 100 results of one visit; each is identified by visitor and seq, and counts once however often it is sent.
    Invalid ones are listed, with status 200. A result older than a minute is kept and proves nothing.
    """
    parsed, size = await _read(request)
    accepted, duplicates = await visits_of(request).take(parsed, client_address(request), utc_now(), size_bytes=size)
    answer = {
        "accepted": accepted,
        "duplicates": duplicates,
        "rejected": _rejected(parsed, request),
        "server_time": utc_now().isoformat(timespec="milliseconds"),
    }
    return Response(orjson.dumps(answer), media_type="application/json", headers=NO_STORE)


async def _read(request: Request) -> tuple[ParsedResults, int]:
    """Raises Invalid, TooLarge. Another site's page cannot send JSON without asking, which it is refused."""
    if not request.headers.get("content-type", "").lower().startswith("application/json"):
        fault = Fault("body", "not_json", MESSAGES["not_json"], "Send the header Content-Type: application/json")
        raise Invalid(fault)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise TooLarge("At most {limit} kB a request", values={"limit": MAX_BYTES // 1000})
    return parse(bytes(body)), len(body)


def _rejected(parsed: ParsedResults, request: Request) -> list[dict[str, Any]]:
    if not parsed.faults:
        return []
    language = i18n.preferred_language(request.headers.get("accept-language"))
    return [
        {
            "row": fault.row,
            "code": fault.code,
            "message": i18n.translate(fault.message, fault.values, language=language),
        }
        for fault in parsed.faults
    ]


def _opened(opened: OpenedVisit) -> dict[str, Any]:
    offer = opened.speed if isinstance(opened.speed, SpeedOffer) else None
    return {
        "visit": opened.token,
        "site": present(opened.site),
        "network": opened.network,
        "speed": offer
        and {
            "down_bytes": offer.down_bytes,
            "up_bytes": offer.up_bytes,
            "max_s": offer.max_s,
            "total_kb": -(-offer.total_cost // 1000),
        },
        "speed_refused": None if offer is not None else opened.speed,
        "every_s": EVERY_S,
        "expires_at": opened.visit.expires_at,
        "server_time": utc_now(),
    }
