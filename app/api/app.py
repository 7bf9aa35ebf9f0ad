"""`create_app()`: the REST service: its routers, its middleware and what lives as long as the process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from prometheus_client import CollectorRegistry

from app.accounts.audit_routes import router as audit
from app.accounts.routes import router as accounts
from app.accounts.session_routes import router as session
from app.accounts.token_routes import router as tokens
from app.accounts.view_routes import router as saved_views
from app.agents.page_routes import router as enrolment_pages
from app.agents.routes import router as agents
from app.aggregates.response_cache import ResponseCache
from app.alerts.acknowledgement_routes import router as acknowledgements
from app.alerts.channel_routes import router as channels
from app.alerts.notification_routes import router as notifications
from app.alerts.rule_routes import router as alert_rules
from app.api import health, openapi_docs
from app.api.in_process import in_process
from app.api.middleware.body_limits import BodyLimit
from app.api.middleware.head_limits import HeadLimit
from app.api.middleware.head_requests import HeadRequests
from app.api.middleware.rate_limit import RateLimit
from app.api.middleware.retry_once import RetryOnce
from app.api.middleware.simulated_header import HEADER as SIMULATED
from app.api.middleware.simulated_header import SimulatedHeader
from app.api.request_metrics import NO_TELEMETRY, RequestMetrics
from app.availability.cause_effect_routes import router as cause_effects
from app.availability.contract_routes import router as contract_outages
from app.availability.presence_routes import router as presence
from app.availability.routes import router as availability
from app.certificates.document_routes import router as certificate_documents
from app.certificates.routes import router as certificates
from app.compliance.routes import router as compliance
from app.compliance.sample_routes import router as compliance_samples
from app.console.routes import router as console
from app.console.scope_cache import ScopeCache
from app.contracts.assignment_routes import router as site_contracts
from app.contracts.routes import router as contracts
from app.contracts.sla_routes import router as sla
from app.diagnoses.routes import router as diagnoses
from app.evidence.routes import router as evidence
from app.explaining.routes import router as explaining
from app.exporting.routes import router as exporting
from app.importing.routes import router as importing
from app.incidents.routes import router as incidents
from app.judging.routes import router as judging
from app.latency.routes import router as latency
from app.maintenance.routes import router as maintenance
from app.pages.assets import router as assets
from app.postgres.engine import database_url, open_engine, open_sessions
from app.postgres.read_replica import ReadReplica
from app.public.measure_routes import router as measuring_page
from app.public.page_cache import PublicPageCache
from app.public.pages import PublicPages
from app.public.routes import router as public_pages
from app.public.survey_routes import router as survey
from app.public.verification_routes import AT_ONCE as VERIFICATIONS_AT_ONCE
from app.public.verification_routes import router as verification_pages
from app.push.asgi_bypass import PushBypass
from app.push.device_streams import DeviceStreams
from app.push.endpoint import PushEndpoint
from app.push.rate_limits import PushLimits
from app.push.routes import router as pushes
from app.push.stream_routes import router as device_streams
from app.registry import vocabulary
from app.registry.check_routes import router as registry_checks
from app.registry.routes import router as registry
from app.reports.contract_report_routes import router as contract_reports
from app.reports.document_routes import router as report_documents
from app.reports.file_routes import router as report_files
from app.reports.objection_routes import router as report_objections
from app.reports.routes import router as reports
from app.reviews.routes import router as reviews
from app.settings import Settings
from app.settings import settings as configured_settings
from app.status.refresher import SnapshotRefresher
from app.status.rendered import StatusRenderer
from app.status.response_cache import StatusResponseCache
from app.status.routes import metrics_router
from app.status.routes import router as status
from app.status.snapshot import Snapshot
from app.status.stream import StatusStreams
from app.status.stream_routes import router as streams
from app.streams.routes import router as stream_breaks
from app.system.routes import router as system
from app.telemetry.account_routes import router as telemetry_accounts
from app.telemetry.routes import router as telemetry
from app.throughput.routes import router as throughputs
from app.throughput.speedtest_routes import router as speedtests
from app.vantages.prober_gate import ProberGate
from app.vantages.prober_routes import PATHS as PROBER_PATHS
from app.vantages.prober_routes import router as prober_calls
from app.vantages.routes import router as vantages
from app.visitors.figure_routes import router as visitors
from app.visitors.routes import router as visits
from app.visitors.visit_gate import VisitGate
from app.visitors.visits import Visits
from app.web import problem_details
from app.web.account_queues import AccountQueues
from app.web.caller_cache import CallerCache
from app.web.drain import Drain
from app.web.params import check_parameters
from app.web.security_headers import SecurityHeaders
from app.web.table_files import FileSlots

API = "/api/v1"
ABOUT = """How well the free village internet of Kalimantan Timur works, with the evidence.

Every call needs a token, `Authorization: Bearer <token>` (`POST /tokens`, or `sinyal token create`), or the cookie of
a session (`POST /session`). Times are ISO 8601 with an offset; a bare date is midnight WITA (UTC+8); `to` is exclusive.
Errors are problem details (RFC 9457).
"""


ROUTERS = (
    # before the registry, whose /sites/{id} would take /sites/export for a site
    exporting,
    importing,
    registry,
    registry_checks,
    contracts,
    site_contracts,
    status,
    streams,
    judging,
    latency,
    availability,
    sla,
    compliance,
    compliance_samples,
    reviews,
    contract_outages,
    presence,
    explaining,
    evidence,
    cause_effects,
    incidents,
    maintenance,
    contract_reports,
    reports,
    report_objections,
    report_files,
    report_documents,
    certificates,
    certificate_documents,
    channels,
    alert_rules,
    notifications,
    acknowledgements,
    audit,
    accounts,
    session,
    saved_views,
    tokens,
    agents,
    diagnoses,
    telemetry,
    telemetry_accounts,
    pushes,
    device_streams,
    stream_breaks,
    speedtests,
    throughputs,
    visits,
    visitors,
    vantages,
    prober_calls,
    system,
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """`settings`: those of the environment by default."""
    app = FastAPI(
        title="Sinyal Desa",
        version="0.1.0",
        description=ABOUT,
        openapi_url=None,  # app/api/openapi_docs.py
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        openapi_tags=openapi_docs.TAGS,
        generate_unique_id_function=lambda route: route.name,  # operation ids are the names of the routes' functions
        lifespan=_lifespan,
        telemetry=NO_TELEMETRY,
    )
    app.state.settings = settings or configured_settings()
    _create_state(app)
    for router in ROUTERS:
        app.include_router(router, prefix=API, dependencies=[Depends(check_parameters)])
    for router in (
        health.liveness_router,
        health.router,
        metrics_router,
        enrolment_pages,
        assets,
        console,
        public_pages,
        verification_pages,
        survey,
        measuring_page,
    ):
        app.include_router(router)
    problem_details.install(app, synonym_of=vocabulary.find_choice)
    openapi_docs.install(app, prefix=API)
    app.state.api_in_process = in_process(app)
    _add_middleware(app)
    return app


def _create_state(app: FastAPI) -> None:
    """What lives as long as the process; engine and sessions join it at startup."""
    settings: Settings = app.state.settings
    app.state.drain = Drain()
    app.state.policy = settings.probe_policy
    app.state.callers = CallerCache()
    app.state.imports = AccountQueues(at_once=1, queued=5, retry_after_s=30)
    app.state.previews = AccountQueues(at_once=1, queued=3, retry_after_s=10)  # of rules
    app.state.report_drafts = AccountQueues(at_once=1, queued=5, retry_after_s=10)
    app.state.report_documents = AccountQueues(at_once=1, queued=5, retry_after_s=10)  # before they share file slots
    app.state.pages = AccountQueues(at_once=4, queued=40, retry_after_s=5)  # of the console
    app.state.metrics = CollectorRegistry()
    app.state.snapshot = Snapshot(refresh_s=settings.status.refresh_s)
    app.state.status_renderer = StatusRenderer(app.state.snapshot)
    app.state.aggregate_cache = ResponseCache()
    app.state.file_slots = FileSlots()
    app.state.reads = ReadReplica(lambda: app.state.sessions)
    app.state.scope_cache = ScopeCache()
    app.state.sealer = None  # opened with the first channel that is written
    app.state.push = PushEndpoint(
        lambda: app.state.sessions, PushLimits(settings.push, settings.limits), app.state.metrics
    )
    app.state.probers = ProberGate(lambda: app.state.sessions, settings.limits)
    app.state.visits = Visits(lambda: app.state.sessions, settings)
    app.state.device_streams = DeviceStreams(
        app.state.push, lambda: app.state.sessions, max_streams=settings.push.max_streams
    )
    app.state.verifications = asyncio.Semaphore(VERIFICATIONS_AT_ONCE)
    app.state.public = PublicPages(lambda: app.state.sessions, settings)
    app.state.streams = StatusStreams(app.state.snapshot, app.state.status_renderer, settings.status)


def _add_middleware(app: FastAPI) -> None:
    """From the inside out."""
    settings: Settings = app.state.settings
    app.add_middleware(RetryOnce)
    app.add_middleware(PushBypass, endpoint=app.state.push, prefix=API)
    app.add_middleware(SimulatedHeader, prefixes=(API, "/console", "/layar"))
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    app.add_middleware(BodyLimit)
    app.add_middleware(HeadRequests)
    app.add_middleware(StatusResponseCache, renderer=app.state.status_renderer)
    app.add_middleware(PublicPageCache, pages=app.state.public.cached)
    app.add_middleware(VisitGate, prefix=API)
    if settings.limits.requests_per_s:
        limits = settings.limits
        app.add_middleware(
            RateLimit,
            callers=app.state.callers,
            requests_per_s=limits.requests_per_s,
            burst=limits.burst,
            exempt={f"{API}/push", f"{API}/stream", *(f"{API}{path}" for path in PROBER_PATHS)},
        )
    app.add_middleware(HeadLimit)
    if settings.cors_origins:  # outside of the rate limit: a page of another origin can read its 429
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["ETag", "Retry-After", "Content-Disposition", "Location", SIMULATED],
        )
    app.add_middleware(SecurityHeaders, https=(settings.public_url or "").startswith("https://"))
    app.add_middleware(RequestMetrics, registry=app.state.metrics)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    settings: Settings = app.state.settings
    url = database_url(settings)
    query_s, pooled = settings.limits.query_s, settings.is_pooled
    app.state.engine = open_engine(url, name="api", pool_size=10, query_s=query_s, pooled=pooled)
    app.state.sessions = open_sessions(app.state.engine)
    replica = None
    if settings.database_read_url is not None:
        replica = open_engine(
            settings.database_read_url, name="api reads", pool_size=10, query_s=query_s, pooled=pooled
        )
        app.state.reads.sessions = open_sessions(replica)
    refresher = SnapshotRefresher(app.state.snapshot, app.state.sessions, settings.database_direct_url or url)
    refreshing = asyncio.create_task(refresher.run())
    try:
        # for who serves them (app/runtime/connections.py)
        yield {"streams": (app.state.streams, app.state.device_streams), "drain": app.state.drain}
    finally:
        refreshing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await refreshing
        await refresher.close()
        await app.state.device_streams.close_all()
        await app.state.push.close()
        await app.state.visits.close()
        await app.state.engine.dispose()
        if replica is not None:
            await replica.dispose()
