"""`sinyal` commands, each in a process forked from one that has imported what they need: many cost one import."""

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.cli import import_command  # noqa: F401 - what commands import themselves
from app.cli import main as command_line
from app.runtime import admin  # noqa: F401
from app.settings import ROOT

SERVE = "from tests.support.forked_commands import serve; serve()"


class ForkedCommands:
    """Runs commands like `python -m app.cli`."""

    def __init__(self, folder: Path) -> None:
        self._files = [folder / name for name in ("in", "out", "err")]
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVE], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(
        self, *words: str, environment: Mapping[str, str] = os.environ, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        given, out, err = self._files
        given.write_text(stdin)
        order = {"words": words, "environment": dict(environment), "files": [str(file) for file in self._files]}
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        return subprocess.CompletedProcess(words, code, out.read_text(), err.read_text())

    def close(self) -> None:
        self._server.communicate()


@pytest.fixture(scope="module")
def forked_commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedCommands]:
    commands = ForkedCommands(tmp_path_factory.mktemp("commands"))
    yield commands
    commands.close()


def serve() -> None:
    """Fork a process for each line of standard input; answer with its exit code."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _run(**json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(words: list[str], environment: dict[str, str], files: list[str]) -> None:
    """End with the command's exit code, or by a signal if it does not end by itself."""
    signal.alarm(300)
    for descriptor, file in enumerate(files):
        opened = os.open(file, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
    sys.stdin, sys.stdout, sys.stderr = (open(n, "r" if n == 0 else "w", closefd=False) for n in range(3))  # noqa: SIM115 - to the end
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["sinyal", *words]
    code = _exit_code()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _exit_code() -> int:
    code: Any = 0
    try:
        command_line.main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        return 1
    return code if isinstance(code, int) else int(code is not None)
