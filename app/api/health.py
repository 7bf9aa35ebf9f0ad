"""`/healthz`: the process is alive. `/readyz`: it can serve; details for callers. `/metrics`."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.access.scope import Caller
from app.api import service_metrics
from app.core.clock import utc_now
from app.core.errors import NotSignedIn
from app.postgres.schema import SchemaAge, schema_age
from app.status.rendered import MEDIA_TYPES, StatusFormat
from app.status.snapshot import Snapshot
from app.web.auth import find_caller
from app.web.deps import open_to_all
from app.web.problem_details import NO_TOKEN
from probes.policy import parse_address

router = APIRouter(tags=["this service"], dependencies=[Depends(open_to_all)])
liveness_router = APIRouter(tags=["this service"], dependencies=[Depends(open_to_all)])


@liveness_router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the process is alive."""
    return {"status": "ok"}


BLIND = "no canary answers, so no site is judged down: check our own uplink and SINYAL_CANARIES"
READY: dict[str, Any] = {
    "ready": True,
    "problems": [],
    "warnings": [BLIND],
    "worker_beat_age_s": 0.6,
    "blind_since": "2026-11-24T13:06:45Z",
    "deaf_since": None,
}


class ReadyOut(BaseModel):
    """To strangers `ready` alone."""

    model_config = ConfigDict(json_schema_extra={"examples": [READY]})

    ready: bool = Field(description="whether requests can be served")
    problems: list[str] = Field([], description="why not")
    warnings: list[str] = Field([], description="what works, but needs attention")
    worker_beat_age_s: float | None = Field(None, description="age of the worker's last heartbeat, in s; null: none")
    blind_since: datetime | None = Field(None, description="since when no canary answers; null: they do")
    deaf_since: datetime | None = Field(
        None, description="since when our own pushes do not arrive; null: they do", examples=[None]
    )


@router.get(
    "/readyz",
    response_model=ReadyOut,
    responses={200: {"description": "Ready"}, 503: {"description": "Not ready", "model": ReadyOut}},
)
async def readyz(request: Request, caller: Annotated[Caller | None, Depends(find_caller)]) -> Response:
    """Whether the service is ready.

    200 once the database is migrated and the status is loaded, until the process is told to end. A dead worker is a
    warning: history still serves. So is a database that a newer version has migrated.

    Callers with a token also read `problems`, `warnings`, and since when the worker sees (`blind_since`) or hears
    (`deaf_since`) nothing: null while it does.
    """
    state = request.app.state
    snapshot: Snapshot = state.snapshot
    problems: list[str] = []
    if state.drain.is_draining:
        problems.append("it is about to end: ask another process")
    try:
        async with asyncio.timeout(2), state.engine.connect() as connection:
            if await schema_age(connection) is SchemaAge.OLDER:
                problems.append("the database is not migrated: run `sinyal migrate`")
    except Exception as error:  # whatever went wrong: not ready, and why
        problems.append(f"the database does not answer ({type(error).__name__})")
    if not snapshot.loaded:
        problems.append("the status is not loaded yet")
    if snapshot.refresh_error is not None:
        problems.append(
            f"the status cannot be refreshed ({snapshot.refresh_error}): see status_refresh_failed in the log"
        )
    body: dict[str, Any] = {"ready": not problems}
    if caller is not None:
        body |= {"problems": problems, "warnings": _warnings(state), **_worker(snapshot)}
    return Response(orjson.dumps(body), 503 if problems else 200, media_type="application/json")


def _worker(snapshot: Snapshot) -> dict[str, Any]:
    age = (utc_now() - snapshot.beat_at).total_seconds() if snapshot.beat_at else None
    return {
        "worker_beat_age_s": None if age is None else round(age, 1),
        "blind_since": snapshot.blind_since,
        "deaf_since": snapshot.deaf_since,
    }


def _warnings(state: Any) -> list[str]:
    snapshot: Snapshot = state.snapshot
    warnings = []
    if snapshot.blind_since is not None:
        warnings.append(BLIND)
    elif len(state.settings.canaries) < 2:
        warnings.append("fewer than two canaries (SINYAL_CANARIES): our own outage would look like one of the sites'")
    if snapshot.deaf_since is not None and snapshot.has_pushing_sites:
        warnings.append(
            "our own push heartbeat does not arrive, so no pushing site is judged silent: check that ingest runs, "
            "SINYAL_PUBLIC_URL or SINYAL_INGEST_URL, and the reverse proxy"
        )
    if snapshot.rejected:
        sites = f"{len(snapshot.rejected)} site" + "s" * (len(snapshot.rejected) != 1)
        warnings.append(f"the status of {sites} cannot be shown: see status_row_rejected in the log")
    return warnings


def _is_local(request: Request) -> bool:
    """Whether the client is on this machine: by a Unix socket (None), or a loopback address."""
    if request.client is None:
        return True
    address = parse_address(request.client.host)
    return address is not None and (getattr(address, "ipv4_mapped", None) or address).is_loopback


@router.get("/metrics", include_in_schema=False)
async def get_metrics(request: Request, caller: Annotated[Caller | None, Depends(find_caller)]) -> Response:
    """For callers, and for this machine itself: as `/readyz`, it tells when the worker sees or hears nothing."""
    if caller is None and not _is_local(request):
        raise NotSignedIn(NO_TOKEN)
    return Response(await service_metrics.render(request.app.state), media_type=MEDIA_TYPES[StatusFormat.METRICS])
