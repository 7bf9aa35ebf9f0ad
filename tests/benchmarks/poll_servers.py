"""The servers that `polling` compares: ours, one that does nothing, and a straightforward one."""

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from app.api.app import create_app
from app.core.clock import utc_now
from app.postgres.engine import open_engine, open_sessions
from app.settings import LimitsSettings, settings
from app.status import store
from app.status.row import StatusEntry
from app.status.schemas import StatusOut
from app.web.deps import Session


def without_refresh() -> FastAPI:
    """Our API, without the refresh that changes the version, and without rate limits."""
    app = create_app(settings().model_copy(update={"limits": LimitsSettings(requests_per_s=0)}))
    app.state.snapshot.refresh_s = 3600
    return app


def fixed_body() -> Any:
    """An application that sends a fixed body: the cost of uvicorn itself."""
    body = Path(os.environ["BENCH_BODY"]).read_bytes()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        nothing = scope["path"] == "/nothing"
        start = {"status": 304, "headers": []} if nothing else {"status": 200, "headers": headers}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": b"" if nothing else body})

    return application


async def _live(receive: Any, send: Any) -> None:
    ended = False
    while not ended:
        message = (await receive())["type"]
        ended = message == "lifespan.shutdown"
        await send({"type": f"{message}.complete"})


def straightforward() -> FastAPI:
    """A straightforward implementation: rows, models, JSON and gzip for each request."""
    app = FastAPI()
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    app.state.sessions = open_sessions(open_engine(os.environ["BENCH_DATABASE"], name="plain", pool_size=10))

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {}

    @app.get("/status", response_model=StatusOut)
    async def status(session: Session) -> Any:
        now, sites = utc_now(), []
        for row in await session.execute(store.ROWS, {"registry": -1, "incident": -1, "site_ids": []}):
            entry = StatusEntry.from_row(row)
            shown = entry.state_at(now, stale_reason="stopped", maintenance=False)
            figures = {"last_seen_at": entry.last_seen_at, "rtt_ms": entry.rtt_ms, "loss_pct": entry.loss_pct}
            sites.append(entry.site._asdict() | shown._asdict() | figures)
        return {"version": "1", "generated_at": now, "data_age_s": None, "sites": sites}

    return app
