"""The processes that serve, as uvicorn starts them."""

import json
import subprocess
import sys
from pathlib import Path

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
