import asyncio
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.access import audit
from app.access.scope import require_region
from app.core import i18n as languages
from app.core.errors import NotAllowed
from app.core.tabular import BOM, CSV_TYPE, XLSX_TYPE, Separator, attachment_headers, csv_text
from app.exporting import dictionary, files, sites, template
from app.exporting.dictionary import ColumnOut
from app.profiles import Technology
from app.registry import providers
from app.registry.columns import SITE_COLUMNS
from app.registry.geojson import GEOJSON_TYPE
from app.registry.models import Lifecycle, State
from app.registry.params import ProviderSlug, RegionCode, Search
from app.registry.store import SiteFilter
from app.web.deps import Reader, Session
from app.web.pagination import Page
from app.web.params import MAX_LIMIT
from app.web.problem_details import problems

router = APIRouter(prefix="/sites", tags=["registry"])


class Format(StrEnum):
    CSV = "csv"
    XLSX = "xlsx"
    GEOJSON = "geojson"


def asked_sites(
    region: RegionCode = None,
    state: State | None = None,
    technology: Technology | None = None,
    provider: ProviderSlug = None,
    lifecycle: Lifecycle | None = None,
    q: Search = None,
) -> SiteFilter:
    """As `GET /sites` has them."""
    return SiteFilter(region, state, technology, provider, lifecycle, q)


def spoken(
    lang: Annotated[Literal["id", "en"] | None, Query(description="of the headers; else by Accept-Language")] = None,
    accept_language: Annotated[str | None, Header()] = None,
) -> str:
    """Bahasa Indonesia where nothing is asked for: so the file is one that the offices know, and import again."""
    return lang or (languages.preferred_language(accept_language) if accept_language else "id")


Language = Annotated[str, Depends(spoken)]
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
    wanted: Annotated[SiteFilter, Depends(asked_sites)],
    language: Language,
    format: Format = Format.CSV,
    contacts: Annotated[bool, Query(description="contact persons too, for who may see them; it is audited")] = False,
    separator: Annotated[Separator, Query(description="of CSV; semicolon comes with decimal commas")] = Separator.COMMA,
) -> Response:
    """The registry as a file: what was exported can be changed and imported again."""
    if wanted.region is not None:
        require_region(caller, wanted.region)
    if contacts and not caller.sees_contacts:
        raise NotAllowed(
            "Role {role} does not see contact persons: leave out contacts", values={"role": caller.role.value}
        )
    if contacts:
        await audit.record(
            session,
            caller,
            "export",
            "contacts",
            wanted.region or caller.region_code,
            region_code=wanted.region or caller.region_code,
        )
    chosen = sites.columns(contacts=contacts)
    rows = sites.read(request.app.state.sessions, wanted, caller=caller)
    if format is Format.CSV:
        written = files.csv(rows, chosen, language=language, separator=separator)
        return StreamingResponse(written, media_type=CSV_TYPE, headers=attachment_headers("titik-akses", "csv"))
    if format is Format.XLSX:
        written_xlsx = files.xlsx(rows, chosen, language=language)
        return StreamingResponse(written_xlsx, media_type=XLSX_TYPE, headers=attachment_headers("titik-akses", "xlsx"))
    return StreamingResponse(
        files.geojson(rows, chosen), media_type=GEOJSON_TYPE, headers=attachment_headers("titik-akses", "geojson")
    )


@router.get(
    "/export/dictionary",
    response_model=Page[ColumnOut],
    responses=problems()
    | {
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
    },
)
async def read_dictionary(caller: Reader, format: Literal["json", "csv"] = "json") -> Any:
    """What each column means, in which unit, by which reference."""
    if format == "json":
        return {"items": SITE_COLUMNS, "next_cursor": None}
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
async def read_template(session: Session, caller: Reader) -> Response:
    """An empty table to fill in and import: pick lists, the villages of your region, an example, what to mind."""
    known = await providers.list_providers(session, caller=caller, after=None, limit=MAX_LIMIT)
    written = await asyncio.to_thread(template.workbook, known, caller=caller)
    return Response(written, media_type=XLSX_TYPE, headers=attachment_headers("templat-titik-akses", "xlsx"))
