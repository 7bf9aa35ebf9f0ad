"""How every aggregate route responds: as JSON or a file, revalidated by ETag, from the response cache where it can."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.cache_key import AggregateKind, read_data_version
from app.aggregates.response_cache import CachedBody, ResponseCache
from app.aggregates.selection import SingleSite, SiteGroup
from app.core.periods import Period
from app.core.tables import Table
from app.measurements.simulated_past import simulated
from app.postgres.engine import transaction
from app.web.conditional import accepts_gzip, parse_etags
from app.web.problem_details import ProblemResponses
from app.web.table_files import OutputFormat, TableParams, TableRequest, file_responses

T = TypeVar("T", SingleSite, SiteGroup)


@dataclass(frozen=True, slots=True)
class AggregateSpec:
    """What a route responds with: its kind, its model, the stem of a file's name, and how the model becomes a table."""

    kind: AggregateKind
    model: type[BaseModel]
    stem: str
    table: Callable[[AsyncSession, Any, Any], Awaitable[Table]]  # (session, response, selected sites)
    paged: bool = False


@dataclass(frozen=True, slots=True)
class AggregateRequest:
    files: TableRequest

    @property
    def is_file(self) -> bool:
        """Whether it wants all rows, in a file."""
        return self.files.is_file

    async def respond(
        self,
        spec: AggregateSpec,
        period: Period,
        select: Callable[[AsyncSession], Awaitable[T]],
        compute: Callable[[AsyncSession, T], Awaitable[dict[str, Any]]],
        *,
        variant: Hashable = None,
    ) -> Response:
        """Return 304, the cached response, or a new one. `variant`: what tells responses apart beside the query.

        1. Resolve the sites: raises NotFound or NotAllowed. Callers who ask for the same sites share a response.
        2. Read the data version. With the resolved request it makes the ETag; one that the client has is a 304.
        3. Take the body from the cache, or compute it in a transaction of its own.
        """
        if spec.paged:
            self.files.require_no_paging()
        request = self.files.request
        state, refresh_s = request.app.state, request.app.state.settings.aggregates.refresh_s
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
        key = (*self._variant(), variant, sites, simulated.get())
        headers = self._headers(repr((key, version)))
        if headers["ETag"] in parse_etags(request.headers.get("if-none-match")):
            return Response(status_code=304, headers=headers)

        async def render() -> bytes:
            if self.is_file:
                async with self.files.hold_slot():
                    return await self._write_file(spec, sites, compute)
            async with state.reads.transaction() as session:
                computed = await compute(session, sites)
            return await asyncio.to_thread(_serialize, spec.model, computed)  # up to 10,000 rows

        body = await cache.get(key, version, render, pack=self.files.format is not OutputFormat.XLSX)
        if self.is_file:
            headers |= self.files.file_headers(spec.stem, sites.subject, period)
        return self._response(body, headers)

    def _variant(self) -> tuple[Any, ...]:
        """Return what tells apart responses about the same sites."""
        files = self.files
        query = tuple(sorted(files.request.query_params.multi_items()))
        return files.request.url.path, query, files.format, files.language if self.is_file else None

    async def _write_file(
        self, spec: AggregateSpec, sites: T, compute: Callable[[AsyncSession, T], Awaitable[dict[str, Any]]]
    ) -> bytes:
        async with self.files.request.app.state.reads.transaction() as session:
            computed = await compute(session, sites)
            response = await asyncio.to_thread(spec.model.model_validate, computed)
            table = await spec.table(session, response, sites)
        return await self.files.write(table)

    @property
    def _takes_gzip(self) -> bool:
        return accepts_gzip(self.files.request.headers.get("accept-encoding", ""))

    def _headers(self, identity: str) -> dict[str, str]:
        tag = hashlib.blake2s(identity.encode(), digest_size=8).hexdigest()
        return {
            "ETag": f'"{tag}-gzip"' if self._takes_gzip else f'"{tag}"',
            "Cache-Control": "private, no-cache",
            "Vary": "Accept, Accept-Encoding, Accept-Language",
        }

    def _response(self, body: CachedBody, headers: dict[str, str]) -> Response:
        if body.gzipped is None or not self._takes_gzip:
            return Response(body.plain, headers=headers, media_type=self.files.media_type)
        packed = headers | {"Content-Encoding": "gzip"}
        return Response(body.gzipped, headers=packed, media_type=self.files.media_type)


def _serialize(model: type[BaseModel], computed: dict[str, Any]) -> bytes:
    return model.model_validate(computed).model_dump_json(by_alias=True).encode()


async def _aggregate_request(files: TableParams) -> AggregateRequest:
    return AggregateRequest(files)


Aggregate = Annotated[AggregateRequest, Depends(_aggregate_request)]


def aggregate_responses(*statuses: int) -> ProblemResponses:
    """Return the `responses` of a route: files beside JSON, 304, and these problems."""
    return file_responses(*statuses) | {304: {"description": "Unchanged since the ETag of If-None-Match"}}
