"""The processes that serve, as uvicorn starts them."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import uvicorn

from app.runtime import server

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
