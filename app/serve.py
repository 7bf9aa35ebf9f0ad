"""`sinyal api`: uvicorn, behind a reverse proxy or by itself."""

import uvicorn

from app.settings import Settings


def run(settings: Settings, *, workers: int) -> None:
    uvicorn.run(
        "app.main:create_app",
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
