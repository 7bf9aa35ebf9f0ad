"""Run the simulator as a process inside a namespace."""

import csv
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from simulator.host_plan import SimulatedHost
from simulator.namespace import Namespace

STOP_TIMEOUT_S = 2.0
_ROOT = Path(__file__).resolve().parents[1]


class SimulatorFailed(Exception):
    """It ended or timed out before it was ready; its log went to standard error."""


class SimulatorProcess:
    """`with SimulatorProcess(namespace, data_dir=…, hosts=[…]):` answers pings inside until the block ends."""

    def __init__(
        self,
        namespace: Namespace,
        *,
        data_dir: Path,
        script: Path | None = None,
        hosts: Sequence[SimulatedHost] | None = None,
        database_url_env: str = "SINYAL_DATABASE_URL",
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """Without `hosts` they come from the database of `database_url_env`. Returns once they answer."""
        data_dir.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "simulator", "--data-dir", str(data_dir.resolve())]
        argv += [] if script is None else ["--script", str(script.resolve())]
        with tempfile.NamedTemporaryFile("w", newline="", suffix=".csv", encoding="utf-8") as file:
            if hosts is None:
                argv += ["--database-url-env", database_url_env]
            else:
                _write(file, hosts)
                argv += ["--hosts", file.name]
            self._process = subprocess.Popen(
                namespace.command(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                cwd=_ROOT,
                env={**os.environ, **(environment or {})},
            )
            self._wait_until_ready(timeout_s)

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait_until_ready(self, timeout_s: float) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        readable, _, _ = select.select([stdout], [], [], timeout_s)
        line = stdout.readline() if readable else b""
        if line != b"ready\n":
            self.close()
            raise SimulatorFailed(
                f"the simulator ended with {self._process.returncode}"
                if readable
                else f"the simulator was not ready within {timeout_s:g} s"
            )


def _write(file: "tempfile._TemporaryFileWrapper[str]", hosts: Sequence[SimulatedHost]) -> None:
    lines = csv.writer(file)
    lines.writerow(field.name for field in fields(SimulatedHost))
    lines.writerows(astuple(host) for host in hosts)
    file.flush()
