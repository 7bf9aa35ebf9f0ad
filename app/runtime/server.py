"""`sinyal api`: uvicorn, with our own connections."""

import contextlib
import resource
import socket
import sys

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from app.api.app import create_app
from app.core import logging
from app.runtime.connections import IDLE_S, connections
from app.settings import Settings

MAX_FILES = 65_536


def run(settings: Settings, *, workers: int, listen_fd: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `listen_fd`: a listening socket inherited from the parent, served as well."""
    config = uvicorn.Config(
        "app.runtime.server:make_app",
        factory=True,
        http=connections(settings, max_files=raise_file_limit()),  # type: ignore[arg-type]  # uvicorn calls it
        ws="none",
        host=settings.host,
        port=settings.port,
        workers=workers if workers > 1 else None,
        root_path=settings.root_path,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="error",  # below it uvicorn logs what strangers send
        timeout_keep_alive=int(IDLE_S),
        timeout_graceful_shutdown=4,
    )
    sockets = [config.bind_socket()]
    if listen_fd is not None:
        sockets.append(socket.socket(fileno=listen_fd))
    with contextlib.suppress(KeyboardInterrupt):
        if workers > 1:
            Multiprocess(config, sockets=sockets).run()
            return
        config.load_app()
        server = uvicorn.Server(config)
        server.run(sockets=sockets)
        if not server.started:
            sys.exit(STARTUP_FAILURE)


def raise_file_limit() -> int:
    """Allow this process as many open files as it may allow itself; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def make_app() -> FastAPI:
    """Create the app in the serving process, whose logs are configured first: tracebacks must not show values."""
    logging.configure("api")
    return create_app()
