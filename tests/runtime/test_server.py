"""The processes that serve, as uvicorn starts them."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from app.runtime import server
from app.runtime.connections import connections
from app.settings import Settings
from app.web.drain import Drain

FAILING = """
import structlog
from app.runtime import server

def fail(secret):
    raise RuntimeError("broken")

app = server.make_app()
try:
    fail("sinyal_" + "s3cr3t")
except RuntimeError as error:
    structlog.get_logger().error("unexpected", exc_info=error)
"""


def test_each_serving_process_logs_as_configured_and_without_values(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FAILING],
        capture_output=True,
        text=True,
        check=True,
        env={"SINYAL_DATA_DIR": str(tmp_path)},
    )
    logged = json.loads(ran.stderr.splitlines()[-1])
    assert (logged["event"], logged["component"]) == ("unexpected", "api")
    assert logged["exception"].rstrip().endswith("RuntimeError"), "without the message, which may hold a value"
    assert "s3cr3t" not in ran.stdout + ran.stderr


async def test_a_server_that_is_told_to_end_ends_at_once() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("nothing is asked")

    serving = server.Server(uvicorn.Config(application, port=0, lifespan="off", log_config=None))
    running = asyncio.create_task(serving.serve())
    async with asyncio.timeout(60):
        while not serving.started:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        serving.handle_exit(signal.SIGTERM, None)
        serving._captured_signals.clear()  # uvicorn would raise it again
        await running


async def test_a_server_that_drains_answers_until_its_proxy_has_noticed_and_ends_each_connection() -> None:
    drain = Drain()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["drain"] = drain
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 503 if drain.is_draining else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    http = connections(Settings(database_url=None), max_files=1000)
    config = uvicorn.Config(application, http=http, lifespan="on", log_config=None)  # type: ignore[arg-type]
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    serving = server.Server(config, drain_s=60)
    running = asyncio.create_task(serving.serve([listening]))
    async with asyncio.timeout(60):
        while not serving.started:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection(*address)
        assert b"close" not in await ask(reader, writer)
        serving.handle_exit(signal.SIGTERM, None)
        while not drain.is_draining:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert b"connection: close" in await ask(reader, writer), "one that was kept"
        assert await reader.read() == b""
        reader, other = await asyncio.open_connection(*address)
        assert (await ask(reader, other)).startswith(b"HTTP/1.1 503"), "a new one: it is answered"
        serving.handle_exit(signal.SIGTERM, None)
        serving._captured_signals.clear()  # uvicorn would raise it again
        await running
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        for one in (writer, other):
            one.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
    return await reader.readuntil(b"ok")
