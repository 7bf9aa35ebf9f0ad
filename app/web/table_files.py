"""Responses as files: which format and language a request asks for, and tables written off the event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Header, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import i18n, workbook
from app.core.errors import Fault, Invalid, TooManyRequests
from app.core.periods import Period
from app.core.tables import Language, Table, file_name, require_few_rows
from app.core.tabular import CSV_TYPE, XLSX_TYPE, Separator
from app.web.conditional import prefers
from app.web.problem_details import ProblemResponses, problems

MAX_AT_ONCE = 2  # files that are being written: each keeps a core busy and holds its rows
MAX_WAITING = 20  # further ones
RETRY_S = 10
JSON_TYPE = "application/json"
VARY = "Accept, Accept-Language"


class FileSlots:
    """Limits how many files are written at once; the others wait."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._waiting = 0

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Hold a slot from before the rows are read until the file is written. Raises TooManyRequests."""
        if self._waiting >= MAX_WAITING:
            raise TooManyRequests(RETRY_S)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()


class OutputFormat(StrEnum):
    """`json`; or a file: `csv`, or `xlsx`, an Excel workbook."""

    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"


MEDIA_TYPES = {OutputFormat.JSON: JSON_TYPE, OutputFormat.CSV: CSV_TYPE, OutputFormat.XLSX: XLSX_TYPE}
ACCEPTED = {"text/csv": OutputFormat.CSV, XLSX_TYPE: OutputFormat.XLSX}


@dataclass(frozen=True, slots=True)
class TableRequest:
    """How a request wants its answer: as JSON, or as a file in a format and a language."""

    request: Request
    format: OutputFormat
    separator: Separator
    language: Language

    @property
    def is_file(self) -> bool:
        return self.format is not OutputFormat.JSON

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]

    def require_no_paging(self) -> None:
        """Raises Invalid for a file that is asked for by pages."""
        faults = [
            Fault(name, "whole_only", "A file comes whole, without pages", "Leave it out")
            for name in ("limit", "cursor")
            if self.is_file and name in self.request.query_params
        ]
        if faults:
            raise Invalid(*faults)

    async def respond(self, stem: str, build: Callable[[AsyncSession], Awaitable[Table]]) -> Response:
        """Return the file of the table that `build` reads. Raises Invalid for more rows than it may have.

        `stem` begins the file's name. The transaction is opened only once a slot is free, and closed before the file
        is written: take no other session's connection before.
        """
        state = self.request.app.state
        async with self.hold_slot():
            async with state.reads.transaction() as session:
                table = await build(session)
            content = await self.write(table)
        headers = self.file_headers(stem, table.subject, table.period)
        return Response(content, media_type=self.media_type, headers=headers | {"Vary": VARY})

    def hold_slot(self) -> AbstractAsyncContextManager[None]:
        """Return a context in which a file's rows are read and written. Raises TooManyRequests."""
        slots: FileSlots = self.request.app.state.file_slots
        return slots.hold()

    async def write(self, table: Table) -> bytes:
        """Return the file. Raises Invalid for more rows than it may have."""
        require_few_rows(len(table.rows), table.columns, self.format)
        if self.format is OutputFormat.CSV:
            return await asyncio.to_thread(table.csv, self.language, self.separator)
        return await asyncio.to_thread(workbook.xlsx, table, self.language)

    def file_headers(self, stem: str, subject: str, period: Period | None) -> dict[str, str]:
        """Return the headers that name the file after its subject and period."""
        name = file_name(stem, subject, period, self.format)
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        packed = {"Content-Encoding": "identity"} if self.format is OutputFormat.XLSX else {}  # a ZIP already
        return disposition | packed


async def read_language(
    lang: Annotated[
        Language | None,
        Query(
            description="of a file's headers, title and words: `id`, `en`, or `api` for the names and values of the "
            "JSON; default by Accept-Language, without one `id`"
        ),
    ] = None,
    accept_language: Annotated[str | None, Header()] = None,
) -> Language:
    """Default to Bahasa Indonesia: offices know those headers."""
    return lang or Language(i18n.preferred_language(accept_language, default="id"))


FileLanguage = Annotated[Language, Depends(read_language)]


async def _table_request(
    request: Request,
    language: FileLanguage,
    format: Annotated[
        OutputFormat | None, Query(description="default: by the Accept header; a file comes whole, without pages")
    ] = None,
    separator: Annotated[
        Separator, Query(description="of CSV; with semicolon, decimals are written with a comma")
    ] = Separator.COMMA,
) -> TableRequest:
    accept = request.headers.get("accept", "")
    preferred = [kind for name, kind in ACCEPTED.items() if prefers(accept, name, JSON_TYPE)]
    accepted = preferred[0] if preferred else OutputFormat.JSON
    return TableRequest(request, format or accepted, separator, language)


TableParams = Annotated[TableRequest, Depends(_table_request)]


def file_responses(*statuses: int) -> ProblemResponses:
    """Return the `responses` of a route: CSV and XLSX beside JSON, and these problems."""
    return problems(*statuses) | {
        200: {
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                XLSX_TYPE: {"schema": {"type": "string", "format": "binary"}},
            }
        }
    }
