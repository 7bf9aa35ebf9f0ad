"""Logs are for people where they reach a terminal, also those of a child that inherits it; elsewhere they are JSON."""

import json
import os
import pty
import subprocess
import sys

import pytest

LOGGING = """
import logging, structlog
from app.core.logging import configure

configure("worker")
structlog.get_logger().warning("database_unavailable", path="/status")
logging.getLogger("uvicorn.error").error("address in use")
try:
    secret = "sinyal_" + "s3cr3t"
    1 / 0
except ZeroDivisionError as error:
    structlog.get_logger().error("unexpected_error", exc_info=error)
"""
SUPERVISING = f"""
import asyncio, sys
from app.runtime.supervisor import Child

async def main():
    child = Child("worker", [sys.executable, "-c", {LOGGING!r}])
    await child.keep_alive()
    await child.process.wait()

asyncio.run(main())
"""


def on_a_terminal(script: str, **environment: str) -> str:
    """What the terminal shows of a script that has it for its standard streams."""
    terminal, end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=end, stdout=end, stderr=end, env=os.environ | environment
    ) as process:
        os.close(end)
        shown = b""
        try:
            while part := os.read(terminal, 65_536):
                shown += part
        except OSError:  # EIO: every process that had the terminal has ended
            pass
        process.wait(timeout=10)
    os.close(terminal)
    return shown.decode()


@pytest.mark.parametrize("script", [LOGGING, SUPERVISING], ids=["itself", "as a child"])
def test_a_process_on_a_terminal_logs_for_people(script: str) -> None:
    shown = on_a_terminal(script)
    assert "database_unavailable" in shown
    assert "address in use" in shown
    assert "ZeroDivisionError" in shown
    assert '{"' not in shown
    assert "s3cr3t" not in shown


def test_a_terminal_without_colours_gets_none() -> None:
    assert "\x1b[" in on_a_terminal(LOGGING, TERM="xterm")
    assert "\x1b[" not in on_a_terminal(LOGGING, TERM="dumb")
    assert "\x1b[" not in on_a_terminal(LOGGING, TERM="xterm", NO_COLOR="1")


def test_elsewhere_each_event_is_one_line_of_json() -> None:
    ran = subprocess.run([sys.executable, "-c", LOGGING], capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [event["event"] for event in events] == ["database_unavailable", "address in use", "unexpected_error"]
    assert {event["component"] for event in events} == {"worker"}
    assert "ZeroDivisionError" in events[2]["exception"]
    assert "s3cr3t" not in ran.stderr
