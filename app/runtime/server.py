"""`sinyal api`: uvicorn, behind a reverse proxy or by itself."""

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

UNREAD_MS = 20_000  # a peer that takes nothing for so long is cut off
UNSENT = 131_072  # as much waits in the kernel for a peer that is slow: what comes after it is made when its turn comes


class Connection(HttpToolsProtocol):
    """One that nobody can hold: uvicorn itself would wait for good for who takes nothing, and for streams to end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        taken = transport.get_extra_info("socket")
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)

    def shutdown(self) -> None:
        self.app_state["streams"].end()
        super().shutdown()


def run(settings: Settings, *, workers: int, listen_fd: int | None = None) -> None:
    """`listen_fd` is a listening socket that was handed down: served, too."""
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
    """In the process that serves, which may be a new one: what it logs must not fall back to showing locals."""
    logging.configure("api")
    return create_app()
