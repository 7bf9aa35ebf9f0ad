"""How every aggregate route responds: as JSON or CSV, revalidated by ETag, from the response cache where it can."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates import csv_export
from app.aggregates.cache_key import AggregateKind, read_data_version
from app.aggregates.response_cache import CachedBody, ResponseCache
from app.aggregates.selection import SingleSite, SiteGroup
from app.core.errors import Fault, Invalid
from app.core.periods import Period
from app.core.tabular import CSV_TYPE, Separator, attachment_headers
from app.measurements.simulated_past import simulated
from app.postgres.engine import transaction
from app.web.conditional import accepts_gzip, parse_etags, prefers
from app.web.problem_details import ProblemResponses, problems

T = TypeVar("T", SingleSite, SiteGroup)


class OutputFormat(StrEnum):
    """`json`, or `csv`: the whole series as a table."""

    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class AggregateSpec:
    """What a route responds with: its kind, its model, the stem of the CSV's file name, and how it becomes CSV."""

    kind: AggregateKind
    model: type[BaseModel]
    filename: str
    to_csv: Callable[[Any, Separator], bytes] = csv_export.series_csv
    paged: bool = False


@dataclass(frozen=True, slots=True)
class AggregateRequest:
    request: Request
    format: OutputFormat
    separator: Separator

    async def respond(
        self,
        spec: AggregateSpec,
        period: Period,
        select: Callable[[AsyncSession], Awaitable[T]],
        compute: Callable[[AsyncSession, T], Awaitable[dict[str, Any]]],
    ) -> Response:
        """Return 304, the cached response, or a new one.

        1. Resolve the sites: raises NotFound or NotAllowed. Callers who ask for the same sites share a response.
        2. Read the data version. With the resolved request it makes the ETag; one that the client has is a 304.
        3. Take the body from the cache, or compute it in a transaction of its own.
        """
        self._require_no_paging_of_csv(spec)
        state, refresh_s = self.request.app.state, self.request.app.state.settings.aggregates.refresh_s
        cache: ResponseCache = state.aggregate_cache
        async with transaction(state.sessions) as session:
            sites = await select(session)
            version = await read_data_version(
                session,
                spec.kind,
                period,
                site_id=sites.site_id if isinstance(sites, SingleSite) else None,
                refresh_s=refresh_s,
                now=cache.clock(),
            )
        query = tuple(sorted(self.request.query_params.multi_items()))
        key = (self.request.url.path, query, sites, self.format, simulated.get())
        headers = self._headers(repr((key, version)))
        if headers["ETag"] in parse_etags(self.request.headers.get("if-none-match")):
            return Response(status_code=304, headers=headers)

        async def render() -> bytes:
            async with transaction(state.sessions) as session:
                result = await compute(session, sites)
            return await asyncio.to_thread(self._serialize, result, spec)  # up to 10,000 rows

        return self._response(await cache.get(key, version, render), spec, headers)

    @property
    def _takes_gzip(self) -> bool:
        return accepts_gzip(self.request.headers.get("accept-encoding", ""))

    def _headers(self, identity: str) -> dict[str, str]:
        tag = hashlib.blake2s(identity.encode(), digest_size=8).hexdigest()
        return {
            "ETag": f'"{tag}-gzip"' if self._takes_gzip else f'"{tag}"',
            "Cache-Control": "private, no-cache",
            "Vary": "Accept, Accept-Encoding",
        }

    def _serialize(self, computed: dict[str, Any], spec: AggregateSpec) -> bytes:
        result = spec.model.model_validate(computed)
        if self.format is OutputFormat.CSV:
            return spec.to_csv(result, self.separator)
        return result.model_dump_json(by_alias=True).encode()

    def _response(self, body: CachedBody, spec: AggregateSpec, headers: dict[str, str]) -> Response:
        media_type = "application/json"
        if self.format is OutputFormat.CSV:
            media_type, headers = CSV_TYPE, headers | attachment_headers(spec.filename, "csv")
        if body.gzipped is None or not self._takes_gzip:
            return Response(body.plain, headers=headers, media_type=media_type)
        return Response(body.gzipped, headers=headers | {"Content-Encoding": "gzip"}, media_type=media_type)

    def _require_no_paging_of_csv(self, spec: AggregateSpec) -> None:
        faults = [
            Fault(name, "whole_only", "CSV comes whole, without pages", "Leave it out")
            for name in ("limit", "cursor")
            if spec.paged and self.format is OutputFormat.CSV and name in self.request.query_params
        ]
        if faults:
            raise Invalid(*faults)


def _aggregate_request(
    request: Request,
    format: Annotated[
        OutputFormat | None, Query(description="default: by the Accept header; CSV has the total in its last row")
    ] = None,
    separator: Annotated[
        Separator, Query(description="of CSV; with semicolon, decimals are written with a comma")
    ] = Separator.COMMA,
) -> AggregateRequest:
    accept = request.headers.get("accept", "")
    accepted = OutputFormat.CSV if prefers(accept, "text/csv", "application/json") else OutputFormat.JSON
    return AggregateRequest(request, format or accepted, separator)


Aggregate = Annotated[AggregateRequest, Depends(_aggregate_request)]


def aggregate_responses(*statuses: int) -> ProblemResponses:
    """Return the `responses` of a route: CSV beside JSON, 304, and these problems."""
    return problems(*statuses) | {
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
        304: {"description": "Unchanged since the ETag of If-None-Match"},
    }
