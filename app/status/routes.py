from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from app.core.errors import Fault, Invalid
from app.registry import params
from app.registry.params import ProviderTexts, RegionCode, RegionCodes, StateFilter, TechnologyFilter
from app.status.rendered import MEDIA_TYPES, StatusFormat, StatusQuery, StatusRenderer
from app.status.schemas import ChangeOut, StatusOut, StatusSummaryOut
from app.status.snapshot import Snapshot
from app.status.status_filter import StatusFilter
from app.status.version import Version
from app.web.conditional import accepts_gzip, parse_etags
from app.web.deps import Reader, Session
from app.web.params import check_parameters
from app.web.problem_details import problems
from app.web.request_context import context_of

router = APIRouter(tags=["dashboards"])
metrics_router = APIRouter(dependencies=[Depends(check_parameters)])  # outside of /api/v1

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "Not modified since the ETag in If-None-Match"}}
Since = Annotated[
    str | None,
    Query(
        max_length=100,
        description="a `version` that you have: returns only what changed since",
        examples=["1795525651.1088.1038.12.1795525904000"],
    ),
]


async def resolve_providers(
    request: Request, session: Session, caller: Reader, provider: ProviderTexts = ()
) -> tuple[str, ...]:
    """Resolve providers in the snapshot if they have sites there, so that no database is needed. Raises Invalid."""
    if not provider:
        return ()
    snapshot: Snapshot = request.app.state.snapshot
    if {entry.site.provider for entry in snapshot.select(StatusFilter.for_caller(caller))}.issuperset(provider):
        return provider
    return await params.read_providers(session, caller, provider)


StatusProviders = Annotated[tuple[str, ...], Depends(resolve_providers)]


def _status_filter(
    caller: Reader,
    region: RegionCodes,
    provider: StatusProviders,
    state: StateFilter = (),
    technology: TechnologyFilter = (),
) -> StatusFilter:
    return StatusFilter.for_caller(caller, region, state, technology, provider)


Filter = Annotated[StatusFilter, Depends(_status_filter)]


@router.get(
    "/status",
    response_model=StatusOut | ChangeOut,
    responses={**NOT_MODIFIED, **problems(403, 410, 503)},
)
async def get_status(
    request: Request,
    status_filter: Filter,
    since: Since = None,
    format: Annotated[
        Literal[StatusFormat.JSON, StatusFormat.GEOJSON], Query(description="of the full status")
    ] = StatusFormat.JSON,
) -> Response:
    """The current state of every active site.

    Poll with `If-None-Match`: most responses are a 304 without a body. With `since`, only what changed: replace the
    sites in `changed`, drop those in `removed`, continue from `version`.
    """
    if since is None:
        return await _respond(request, StatusQuery(status_filter, format))
    if format is not StatusFormat.JSON:
        raise Invalid(
            Fault(
                "format",
                "whole_only",
                "Only the full status is available as {given}",
                "Leave `since` out",
                values={"given": format.value},
            )
        )
    return await _respond(request, StatusQuery(status_filter, since=Version.parse(since)))


@router.get("/status/summary", response_model=StatusSummaryOut, responses={**NOT_MODIFIED, **problems(403, 503)})
async def get_status_summary(request: Request, caller: Reader, region: RegionCode = None) -> Response:
    """Number of sites by state.

    Of a region and its children, by technology, by provider. Nodes are counted apart.
    """
    return await _respond(
        request, StatusQuery(StatusFilter.for_caller(caller, (region,) if region else ()), StatusFormat.SUMMARY)
    )


@metrics_router.get("/metrics/sites", include_in_schema=False)
async def get_metrics(request: Request, caller: Reader) -> Response:
    """Every active site's state, RTT and loss in Prometheus' text format."""
    return await _respond(request, StatusQuery(StatusFilter.for_caller(caller), StatusFormat.METRICS))


async def _respond(request: Request, query: StatusQuery) -> Response:
    renderer: StatusRenderer = request.app.state.status_renderer
    query = replace(query, gzip=accepts_gzip(request.headers.get("accept-encoding", "")))
    context = context_of(request)
    version = context.status_version = renderer.current_version()
    etag = query.etag(version)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
    if etag in parse_etags(request.headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    rendered = await renderer.render(query)
    headers["ETag"] = rendered.etag
    context.status_version = rendered.version
    if query.gzip:
        headers["Content-Encoding"] = "gzip"
    return Response(rendered.body, media_type=MEDIA_TYPES[query.format], headers=headers)
