from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from app.core.errors import Fault, Invalid
from app.profiles import Technology
from app.registry import params
from app.registry.models import State
from app.registry.params import ProviderText, RegionCode
from app.status.rendered import MEDIA, Answers, Form, Question
from app.status.schemas import ChangeOut, StatusOut, SummaryOut
from app.status.selection import Selection
from app.status.snapshot import Snapshot
from app.status.version import Version
from app.web.conditional import accepts_gzip, parse_etags
from app.web.deps import Reader, Session
from app.web.params import check_parameters
from app.web.problem_details import problems
from app.web.request_context import context_of

router = APIRouter(tags=["dashboards"])
scraped = APIRouter(dependencies=[Depends(check_parameters)])  # outside of /api/v1

UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "Nothing changed since the ETag of If-None-Match"}}
Since = Annotated[str | None, Query(max_length=100, description="a `version` that you have: only what changed since")]


async def asked_provider(
    request: Request, session: Session, caller: Reader, provider: ProviderText = None
) -> str | None:
    """One that is shown is known: no question to the database, which may be away."""
    if provider is None:
        return None
    snapshot: Snapshot = request.app.state.snapshot
    if any(entry.site.provider == provider for entry in snapshot.select(Selection.of(caller))):
        return provider
    return await params.read_provider(session, caller, provider)


OfProvider = Annotated[str | None, Depends(asked_provider)]


def _selection(
    caller: Reader,
    region: RegionCode = None,
    state: State | None = None,
    technology: Technology | None = None,
    provider: OfProvider = None,
) -> Selection:
    return Selection.of(caller, region, state, technology, provider)


Wanted = Annotated[Selection, Depends(_selection)]


@router.get(
    "/status",
    response_model=StatusOut | ChangeOut,
    responses={**UNCHANGED, **problems(403, 410, 503)},
)
async def get_status(
    request: Request,
    wanted: Wanted,
    since: Since = None,
    format: Annotated[Literal[Form.JSON, Form.GEOJSON], Query(description="of the whole status")] = Form.JSON,
) -> Response:
    """Every active site's state now. Poll it with `If-None-Match`: mostly there is nothing new, and nothing is sent.

    With `since`, only what changed: put `changed` over what you have, take out `removed`, and go on from its `version`.
    """
    if since is None:
        return await _answer(request, Question(wanted, format))
    if format is not Form.JSON:
        raise Invalid(
            Fault(
                "format",
                "whole_only",
                "Only the whole status is there as {given}",
                "Leave `since` out",
                values={"given": format.value},
            )
        )
    return await _answer(request, Question(wanted, since=Version.read(since)))


@router.get("/status/summary", response_model=SummaryOut, responses={**UNCHANGED, **problems(403, 503)})
async def get_summary(request: Request, caller: Reader, region: RegionCode = None) -> Response:
    """Sites in each state: of a region and its children, by technology, by provider. Nodes are counted apart."""
    return await _answer(request, Question(Selection.of(caller, region), Form.SUMMARY))


@scraped.get("/metrics/sites", include_in_schema=False)
async def get_metrics(request: Request, caller: Reader) -> Response:
    """For Prometheus: every active site's state and figures, in its text format."""
    return await _answer(request, Question(Selection.of(caller), Form.METRICS))


async def _answer(request: Request, asked: Question) -> Response:
    answers: Answers = request.app.state.answers
    asked = replace(asked, zipped=accepts_gzip(request.headers.get("accept-encoding", "")))
    context = context_of(request)
    version = context.status_version = answers.version()
    etag = asked.etag(version)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
    if etag in parse_etags(request.headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    answer = await answers.get(asked)
    headers["ETag"] = answer.etag
    context.status_version = answer.version
    if asked.zipped:
        headers["Content-Encoding"] = "gzip"
    return Response(answer.body, media_type=MEDIA[asked.form], headers=headers)
