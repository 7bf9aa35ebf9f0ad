import asyncio
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import Caller, require_region
from app.core.errors import NotAllowed
from app.core.tabular import BOM, CSV_TYPE, XLSX_TYPE, Separator, attachment_headers, csv_text
from app.exporting import dictionary, files, sites, template
from app.exporting.dictionary import ColumnOut
from app.registry import providers
from app.registry.geojson import GEOJSON_TYPE
from app.registry.params import SitesFilter
from app.registry.spreadsheet_columns import EXPORT_COLUMNS
from app.web.deps import Reader, Session
from app.web.pagination import Page
from app.web.params import MAX_LIMIT
from app.web.problem_details import problems
from app.web.table_files import FileLanguage

router = APIRouter(prefix="/sites", tags=["registry"])


class ExportFormat(StrEnum):
    """`csv`, `xlsx` or `geojson`."""

    CSV = "csv"
    XLSX = "xlsx"
    GEOJSON = "geojson"


FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the file",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            XLSX_TYPE: {"schema": {"type": "string", "format": "binary"}},
            GEOJSON_TYPE: {"schema": {"type": "object"}},
        },
    }
}


@router.get("/export", response_class=Response, responses=problems(403) | FILES)
async def export_sites(
    session: Session,
    caller: Reader,
    request: Request,
    filters: SitesFilter,
    language: FileLanguage,
    format: ExportFormat = ExportFormat.CSV,
    contacts: Annotated[bool, Query(description="include contact persons, if you may see them; audited")] = False,
    separator: Annotated[
        Separator, Query(description="of CSV; with semicolon, numbers have decimal commas")
    ] = Separator.COMMA,
) -> Response:
    """Export sites as a file that can be changed and imported again."""
    for region in filters.regions:
        require_region(caller, region)
    if contacts:
        for region in filters.regions or (caller.region_code,):
            await _allow_contacts(session, caller, region)
    columns = sites.columns(contacts=contacts)
    chunks = sites.read_chunks(request.app.state.reads, filters, caller=caller)
    name = "-".join(["titik-akses", *filters.regions])
    if format is ExportFormat.CSV:
        return _stream(files.csv(chunks, columns, language=language, separator=separator), CSV_TYPE, name, "csv")
    if format is ExportFormat.XLSX:
        return _stream(files.xlsx(chunks, columns, language=language), XLSX_TYPE, name, "xlsx")
    return _stream(files.geojson(chunks, columns), GEOJSON_TYPE, name, "geojson")


async def _allow_contacts(session: AsyncSession, caller: Caller, region: str) -> None:
    """Audit the export of personal data. Raises NotAllowed for a caller who may not see them."""
    if not caller.sees_contacts:
        raise NotAllowed(
            "Role {role} may not see contact persons: leave out contacts", values={"role": caller.role.value}
        )
    await audit.record(session, caller, "export", "contacts", region, region_code=region)


def _stream(
    content: AsyncIterator[str] | AsyncIterator[bytes], media_type: str, name: str, extension: str
) -> StreamingResponse:
    headers = attachment_headers(name, extension)
    return StreamingResponse(content, media_type=media_type, headers=headers)


@router.get(
    "/export/dictionary",
    response_model=Page[ColumnOut],
    responses=problems()
    | {
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
    },
)
async def get_data_dictionary(caller: Reader, format: Literal["json", "csv"] = "json") -> Any:
    """Data dictionary of site tables.

    Meaning, unit and reference of each column.
    """
    if format == "json":
        return {"items": EXPORT_COLUMNS, "next_cursor": None}
    text = BOM + csv_text([dictionary.HEADER, *dictionary.rows()])
    return Response(text, media_type=CSV_TYPE, headers=attachment_headers("kamus-data", "csv"))


@router.get(
    "/import/template",
    response_class=Response,
    responses=problems()
    | {
        200: {"content": {XLSX_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
    },
)
async def get_import_template(session: Session, caller: Reader) -> Response:
    """Empty workbook to fill in and import.

    With pick lists, your region's villages, an example and a guide.
    """
    options = await providers.list_providers(session, caller=caller, after=None, limit=MAX_LIMIT)
    content = await asyncio.to_thread(template.workbook, options, caller=caller)
    return Response(content, media_type=XLSX_TYPE, headers=attachment_headers("templat-titik-akses", "xlsx"))
