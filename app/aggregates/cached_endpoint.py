"""How aggregates are asked for and answered: once counted they are told again until something changes them."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates import cache_key, csv_export
from app.aggregates.cache_key import Figures
from app.aggregates.response_cache import Body, Remembered
from app.aggregates.selection import OneSite, Selection
from app.core.errors import Fault, Invalid
from app.core.periods import Period
from app.core.tabular import CSV_TYPE, Separator, attached
from app.measurements.simulated_past import simulated
from app.postgres.engine import transaction
from app.web.conditional import prefers, tags, takes_gzip
from app.web.problem_details import ProblemResponses, problems

T = TypeVar("T", OneSite, Selection)


class Form(StrEnum):
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Told:
    """What kind of answer it is: its model, how it becomes a table, and what the file is called."""

    figures: Figures
    model: type[BaseModel]
    name: str
    table: Callable[[Any, Separator], bytes] = csv_export.series
    pages: bool = False


@dataclass(frozen=True, slots=True)
class Asking:
    """One request: `answer` looks up whose figures are meant, and counts them unless they are still known."""

    request: Request
    form: Form
    separator: Separator

    async def answer(
        self,
        told: Told,
        period: Period,
        select: Callable[[AsyncSession], Awaitable[T]],
        count: Callable[[AsyncSession, T], Awaitable[dict[str, Any]]],
    ) -> Response:
        self._require_whole(told)
        state, refresh_s = self.request.app.state, self.request.app.state.settings.aggregates.refresh_s
        async with transaction(state.sessions) as session:
            of = await select(session)
            site_id = of.site_id if isinstance(of, OneSite) else None
            known = await cache_key.read(session, told.figures, period, site_id=site_id, refresh_s=refresh_s)
        query = tuple(sorted(self.request.query_params.multi_items()))
        question = (self.request.url.path, query, of, self.form, simulated.get())
        headers = self._headers(repr((question, known)))
        if headers["ETag"] in tags(self.request.headers.get("if-none-match")):
            return Response(status_code=304, headers=headers)

        async def counted() -> bytes:
            async with transaction(state.sessions) as session:
                found = told.model.model_validate(await count(session, of))
            return self._written(found, told)

        remembered: Remembered = state.remembered
        return self._sent(await remembered.get(question, known, counted), told, headers)

    @property
    def _zips(self) -> bool:
        return takes_gzip(self.request.headers.get("accept-encoding", ""))

    def _headers(self, told_of: str) -> dict[str, str]:
        tag = hashlib.blake2s(told_of.encode(), digest_size=8).hexdigest()
        return {
            "ETag": f'"{tag}-gzip"' if self._zips else f'"{tag}"',
            "Cache-Control": "private, no-cache",
            "Vary": "Accept, Accept-Encoding",
        }

    def _written(self, found: BaseModel, told: Told) -> bytes:
        if self.form is Form.CSV:
            return told.table(found, self.separator)
        return found.model_dump_json(by_alias=True).encode()

    def _sent(self, body: Body, told: Told, headers: dict[str, str]) -> Response:
        media_type = "application/json"
        if self.form is Form.CSV:
            media_type, headers = CSV_TYPE, headers | attached(told.name, "csv")
        if body.zipped is None or not self._zips:
            return Response(body.whole, headers=headers, media_type=media_type)
        return Response(body.zipped, headers=headers | {"Content-Encoding": "gzip"}, media_type=media_type)

    def _require_whole(self, told: Told) -> None:
        faults = [
            Fault(name, "whole_only", "CSV comes whole, without pages", "Leave it out")
            for name in ("limit", "cursor")
            if told.pages and self.form is Form.CSV and name in self.request.query_params
        ]
        if faults:
            raise Invalid(*faults)


def _asking(
    request: Request,
    format: Annotated[Form | None, Query(description="else by Accept; CSV has the total in its last row")] = None,
    separator: Annotated[Separator, Query(description="of CSV; semicolon comes with decimal commas")] = Separator.COMMA,
) -> Asking:
    by_header = Form.CSV if prefers(request.headers.get("accept", ""), "text/csv", "application/json") else Form.JSON
    return Asking(request, format or by_header, separator)


AsAsked = Annotated[Asking, Depends(_asking)]


def answers(*statuses: int) -> ProblemResponses:
    """For a route's `responses`."""
    return problems(*statuses) | {
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
        304: {"description": "Nothing changed since the ETag of If-None-Match"},
    }
