"""Run this program once more in namespaces of its own: processes, mounts and network end with it, whatever happens.

Whoever started it stays outside, waits, and ends it in order by closing its standard input.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

INSIDE = "SINYAL_CLUSTER_INSIDE"
FLAGS = ("--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc")


def is_inside() -> bool:
    return os.environ.pop(INSIDE, "") != ""


def run_inside(arguments: Sequence[str], *, module: str = "tests.cluster", pass_fds: Sequence[int] = ()) -> int:
    """Return its exit code. SIGTERM and SIGINT end it in order."""
    argv = ["unshare", *FLAGS, "--", sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, env=os.environ | {INSIDE: "1"}, start_new_session=True, pass_fds=pass_fds
    )
    assert process.stdin is not None
    print(f"its network is one of its own: nsenter --target {process.pid} --net")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: process.stdin and process.stdin.close())
    return process.wait()


def fork_from_init() -> None:
    """Go on in a child; this process, number 1 here, buries orphans: to Patroni a zombie would be a live PostgreSQL."""
    child = os.fork()
    if not child:
        return
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def end_with_parent() -> None:
    """Raise KeyboardInterrupt in the main thread once standard input ends: whoever started us told so, or is gone."""

    def wait() -> None:
        while os.read(0, 64):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()
