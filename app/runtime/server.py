"""`sinyal api` and `sinyal ingest`: uvicorn, with our own connections and a watch over the event loop."""

import asyncio
import contextlib
import gc
import resource
import socket
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from app.api.app import create_app
from app.api.ingest_app import create_ingest_app
from app.core import logging
from app.runtime.connections import IDLE_S, connections
from app.runtime.loop_watchdog import watched_loop
from app.settings import Settings

MAX_FILES = 65_536


def run_api(settings: Settings, *, workers: int) -> None:
    """Serve the api until SIGTERM or SIGINT. Several processes behind one socket end at once, without draining."""
    config = _configure(settings, "make_app", port=settings.port, workers=workers if workers > 1 else None)
    if workers > 1:
        with contextlib.suppress(KeyboardInterrupt):
            Multiprocess(config, sockets=[config.bind_socket()]).run()
    else:
        _serve(config, [config.bind_socket()], drain_s=settings.drain_s)


def run_ingest(settings: Settings, *, listen_fd: int | None = None) -> None:
    """Serve ingest until SIGTERM or SIGINT. `listen_fd`: a listening socket inherited from the parent, served as well.

    Always one process: pushes that wait together are committed together.
    """
    config = _configure(settings, "make_ingest_app", port=settings.port_of_ingest)
    inherited = [] if listen_fd is None else [socket.socket(fileno=listen_fd)]
    _serve(config, [config.bind_socket(), *inherited], drain_s=settings.drain_s)


def _configure(settings: Settings, factory: str, *, port: int, workers: int | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        f"app.runtime.server:{factory}",
        factory=True,
        http=connections(settings, max_files=raise_file_limit()),  # type: ignore[arg-type]  # uvicorn calls it
        ws="none",
        host=settings.host,
        port=port,
        workers=workers,
        root_path=settings.root_path,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        server_header=False,
        date_header=False,  # a connection adds it
        access_log=False,
        log_config=None,
        log_level="error",  # below it uvicorn logs what strangers send
        timeout_keep_alive=int(IDLE_S),
        timeout_graceful_shutdown=4,
    )


class Server(uvicorn.Server):
    """Sleeps until it shall exit: uvicorn's own ticks ten times a second, for the date, which connections add here.

    Told to, it first drains: for `drain_s` it answers whatever comes, is not ready, and lets no connection last, so
    that the proxy before it has gone over to another process when it stops listening.
    """

    _wake: Callable[[], object] | None = None

    def __init__(self, config: uvicorn.Config, *, drain_s: float = 0.0) -> None:
        super().__init__(config)
        self._drain_s = drain_s

    async def main_loop(self) -> None:
        told, loop = asyncio.Event(), asyncio.get_running_loop()
        self._wake = partial(loop.call_soon_threadsafe, told.set)
        if not self.should_exit:
            await told.wait()
        if self._drain_s and not self.force_exit and (drain := self.lifespan.state.get("drain")) is not None:
            drain.is_draining = True
            told.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._drain_s):
                    await told.wait()  # told again: at once

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._wake is not None:
            self._wake()


def _serve(config: uvicorn.Config, sockets: list[socket.socket], *, drain_s: float) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        config.load_app()
        server = Server(config, drain_s=drain_s)
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
    return _watched(create_app())


def make_ingest_app() -> FastAPI:
    """As `make_app`."""
    logging.configure("ingest")
    app = _watched(create_ingest_app())
    gc.collect()
    gc.freeze()  # what was imported stays: collecting it again and again would halve what it takes in
    return app


def _watched(app: FastAPI) -> FastAPI:
    lifespan = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def watched_lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with watched_loop(), lifespan(app) as state:
            yield state

    app.router.lifespan_context = watched_lifespan
    return app
