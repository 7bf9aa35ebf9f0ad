"""Import what `sinyal api` imports once, then fork a process that runs it for each line of standard input.

What is killed is a whole process with the real command; only the seconds of importing are not spent anew at each kill.
Each line is JSON: the command's arguments, its environment and the file of its log; the answer is its process id.
"""

import contextlib
import json
import os
import signal
import sys
from typing import Any

from app.cli import main as command_line
from app.runtime import server, supervisor  # noqa: F401 - what `sinyal api` imports itself


def main() -> None:
    signal.signal(signal.SIGCHLD, _reap)
    lifeline, held = os.pipe()  # standard input of all: it ends with this process
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.close(held)
            _run(lifeline, **json.loads(line))
        print(pid, flush=True)


def _reap(*_: Any) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _run(lifeline: int, arguments: list[str], environment: dict[str, str], log: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    opened = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for ours, theirs in ((lifeline, 0), (opened, 1), (opened, 2)):
        os.dup2(ours, theirs)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["sinyal", *arguments]
    code: Any = 0
    try:
        command_line.main()
    except SystemExit as ended:
        code = ended.code
    os._exit(code if isinstance(code, int) else 0)
