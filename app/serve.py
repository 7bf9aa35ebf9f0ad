"""`sinyal api`: uvicorn, behind a reverse proxy or by itself."""

import uvicorn
from fastapi import FastAPI

from app import logs
from app.main import create_app
from app.settings import Settings


def run(settings: Settings, *, workers: int) -> None:
    uvicorn.run(
        "app.serve:make_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=workers if workers > 1 else None,
        root_path=settings.root_path,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=4,
    )


def make_app() -> FastAPI:
    """In the process that serves, which may be a new one: what it logs must not fall back to showing locals."""
    logs.configure("api")
    return create_app()
