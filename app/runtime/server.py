"""`sinyal api`: uvicorn, with connections that no slow peer can hold open."""

import asyncio
import contextlib
import socket
import sys

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from app.api.app import create_app
from app.core import logging
from app.settings import Settings

UNREAD_MS = 20_000  # a peer that acknowledges nothing for so long is disconnected
UNSENT_BYTES = 131_072  # as much waits in the kernel for a slow peer; the rest is rendered once there is room


class Connection(HttpToolsProtocol):
    """Times out peers that read nothing, and ends streams at shutdown: uvicorn would wait for both without end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn declares it so
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)

    def shutdown(self) -> None:
        self.app_state["streams"].end()
        super().shutdown()


def run(settings: Settings, *, workers: int, listen_fd: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `listen_fd`: a listening socket inherited from the parent, served as well."""
    config = uvicorn.Config(
        "app.runtime.server:make_app",
        factory=True,
        http=Connection,
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


def make_app() -> FastAPI:
    """Create the app in the serving process, whose logs are configured first: tracebacks must not show values."""
    logging.configure("api")
    return create_app()
