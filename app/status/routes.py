from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Request, Response

from app.access.scope import Caller, require_region
from app.clock import utc_now
from app.http import Reader, Session
from app.problems import problems
from app.profiles import Technology
from app.registry import asked
from app.registry.asked import Ident
from app.registry.models import State
from app.registry.routes import RegionCode
from app.status.schemas import StatusOut
from app.status.snapshot import Entry, Snapshot

router = APIRouter(tags=["dashboards"])


async def asked_provider(request: Request, session: Session, caller: Reader, provider: Ident = None) -> str | None:
    """One that is shown is known: no question to the database, which may be away."""
    snapshot: Snapshot = request.app.state.snapshot
    if any(entry.provider == provider for entry in snapshot.visible(caller)):
        return provider
    return await asked.asked_provider(session, caller, provider)


OfProvider = Annotated[str | None, Depends(asked_provider)]


@router.get(
    "/status",
    response_model=StatusOut,
    responses={304: {"description": "Nothing changed since the ETag of If-None-Match"}, **problems(403)},
)
async def get_status(
    request: Request,
    caller: Reader,
    region: RegionCode = None,
    state: State | None = None,
    technology: Technology | None = None,
    provider: OfProvider = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Every active site's state now. Poll it with `If-None-Match`: mostly there is nothing new, and nothing is sent."""
    snapshot: Snapshot = request.app.state.snapshot
    if region is not None:
        require_region(caller, region)
    etag = f'"{snapshot.version}-{caller.region_code}-{caller.provider_id or 0}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if if_none_match is not None and etag in {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}:
        return Response(status_code=304, headers=headers)
    body = _render(snapshot, caller, (region, state, technology, provider))
    return Response(body, media_type="application/json", headers=headers)


def _render(snapshot: Snapshot, caller: Caller, wanted: tuple[str | None, ...]) -> bytes:
    region, state, technology, provider = wanted
    now = utc_now()

    def matches(entry: Entry) -> bool:
        return (
            (region is None or f"{entry.village_code}.".startswith(f"{region}."))
            and (state is None or entry.state_at(now) == state)
            and (technology is None or entry.technology == technology)
            and (provider is None or entry.provider == provider)
        )

    sites = [snapshot.present(entry, now) for entry in snapshot.visible(caller) if matches(entry)]
    return orjson.dumps({
        "version": snapshot.version,
        "generated_at": now,
        "data_age_s": round((now - snapshot.beat_at).total_seconds(), 1) if snapshot.beat_at else None,
        "sites": sorted(sites, key=lambda site: site["id"]),
    }, option=orjson.OPT_UTC_Z)  # fmt: skip
