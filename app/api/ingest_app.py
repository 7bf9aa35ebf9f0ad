"""`create_ingest_app()`: what devices send, in a process and on a port of its own: no page or report delays it."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from prometheus_client import CollectorRegistry

from app.api import health, service_metrics
from app.api.middleware.body_limits import BodyLimit
from app.api.middleware.head_limits import HeadLimit
from app.api.middleware.rate_limit import RateLimit
from app.api.request_metrics import NO_TELEMETRY, RequestMetrics
from app.postgres.engine import database_url, open_engine, open_sessions
from app.push.asgi_bypass import PushBypass
from app.push.device_streams import DeviceStreams
from app.push.endpoint import PushEndpoint
from app.push.rate_limits import PushLimits
from app.push.routes import router as pushes
from app.push.stream_routes import router as device_streams
from app.settings import Settings
from app.settings import settings as configured_settings
from app.status.rendered import MEDIA_TYPES, StatusFormat
from app.throughput.speedtest_routes import router as speedtests
from app.vantages.prober_gate import ProberGate
from app.vantages.prober_routes import PATHS as PROBER_PATHS
from app.vantages.prober_routes import router as prober_calls
from app.web import problem_details
from app.web.caller_cache import CallerCache
from app.web.deps import open_to_all
from app.web.drain import Drain
from app.web.params import check_parameters
from app.web.security_headers import SecurityHeaders

API = "/api/v1"
process_router = APIRouter(dependencies=[Depends(open_to_all)])


def create_ingest_app(settings: Settings | None = None) -> FastAPI:
    """`settings`: those of the environment by default."""
    app = FastAPI(
        title="Sinyal Desa: ingest",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        telemetry=NO_TELEMETRY,
    )
    state = app.state
    state.settings = settings = settings or configured_settings()
    state.metrics = CollectorRegistry()
    state.drain = Drain()
    state.push = PushEndpoint(
        lambda: state.sessions, PushLimits(settings.push, settings.limits), state.metrics, announces_start=True
    )
    state.device_streams = DeviceStreams(state.push, lambda: state.sessions, max_streams=settings.push.max_streams)
    state.probers = ProberGate(lambda: state.sessions, settings.limits)
    for router in (pushes, device_streams, prober_calls, speedtests):
        app.include_router(router, prefix=API, dependencies=[Depends(check_parameters)])
    for router in (health.liveness_router, process_router):
        app.include_router(router)
    problem_details.install(app)
    app.add_middleware(PushBypass, endpoint=state.push, prefix=API)
    app.add_middleware(BodyLimit)
    if per_s := settings.limits.requests_per_s:
        app.add_middleware(
            RateLimit,
            callers=CallerCache(),  # nobody signs in here
            requests_per_s=per_s,
            burst=settings.limits.burst,
            exempt={f"{API}/push", f"{API}/stream", *(f"{API}{path}" for path in PROBER_PATHS)},
        )
    app.add_middleware(HeadLimit)
    app.add_middleware(SecurityHeaders, https=(settings.public_url or "").startswith("https://"))
    app.add_middleware(RequestMetrics, registry=state.metrics)
    return app


@process_router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 until this process is told to end: while the database is away it says so itself, better than a proxy."""
    return Response(status_code=503 if request.app.state.drain.is_draining else 200)


@process_router.get("/metrics")
async def get_metrics(request: Request) -> Response:
    """What this process counted: pushes, requests, its own memory."""
    return Response(service_metrics.render_process(request.app.state), media_type=MEDIA_TYPES[StatusFormat.METRICS])


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    settings: Settings = app.state.settings
    url = database_url(settings)
    query_s, pooled = settings.limits.query_s, settings.is_pooled
    app.state.engine = open_engine(url, name="ingest", pool_size=5, query_s=query_s, pooled=pooled)
    app.state.sessions = open_sessions(app.state.engine)
    try:
        # for who serves them (app/runtime/connections.py)
        yield {"streams": (app.state.device_streams,), "drain": app.state.drain}
    finally:
        await app.state.device_streams.close_all()
        await app.state.push.close()
        await app.state.engine.dispose()
