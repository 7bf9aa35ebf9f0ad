"""Where a delivery may connect to: checked at the moment of connecting, whatever library does it.

A name may resolve to another address each time, and a plug-in of Apprise follows its own ways. So Python itself asks
(`sys.addaudithook`) before each connection of a thread that delivers; other threads, as that of our database, are not
concerned. A thread that delivers starts no process, sends no datagrams and listens nowhere; a thread that a library
starts from one is checked as well (`guard_other_threads`).
"""

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

from probes.policy import AddressPolicy, Forbidden

FORBIDDEN_EVENTS = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.system",
        "pty.spawn",
        "socket.bind",
        "socket.sendmsg",
        "socket.sendto",
        "subprocess.Popen",
    }
)
NOT_ALLOWED = "the receiver's address is not allowed"

_guarding = threading.local()
_of_other_threads: "list[Egress]" = []


class Egress:
    """The connections of one delivery. `problem` says what was refused, also where a library hides the exception."""

    def __init__(self, policy: AddressPolicy, *, keeps_connections: bool = True) -> None:
        self._policy, self._keeps_connections = policy, keeps_connections
        self._lock = threading.Lock()
        self._connections: list[int] = []  # duplicates of descriptors: a library may hand its own on, or close it
        self._is_over = False
        self.problem: str | None = None

    @contextlib.contextmanager
    def guarding(self) -> Iterator[None]:
        """Check every connection of this thread."""
        _install()
        _guarding.egress = self
        try:
            yield
        finally:
            _guarding.egress = None
            self.cut()

    def cut(self) -> None:
        """End all connections, from whichever thread: what waits for a slow receiver fails at once."""
        with self._lock:
            self._is_over = True
            connections, self._connections = self._connections, []
        for descriptor in connections:
            with contextlib.suppress(OSError), socket.socket(fileno=descriptor) as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raises PermissionError: libraries clean up after an OSError."""
        if event == "socket.connect":
            self._check(*arguments)
        else:
            self._refuse(f"a delivery may not do that ({event})")

    def _check(self, connection: socket.socket, address: Any) -> None:
        if connection.family not in {socket.AF_INET, socket.AF_INET6} or connection.type & socket.SOCK_DGRAM:
            self._refuse(NOT_ALLOWED)
        try:
            self._policy.check(str(address[0]))
        except Forbidden:
            self._refuse(NOT_ALLOWED)
        with self._lock:
            if self._is_over:
                self._refuse("the delivery took too long")
            if self._keeps_connections:
                self._connections.append(os.dup(connection.fileno()))

    def _refuse(self, problem: str) -> None:
        self.problem = problem
        raise PermissionError(problem)


@cache
def _install() -> None:
    """A hook stays until the process ends."""
    sys.addaudithook(_audit)


def guard_other_threads(policy: AddressPolicy) -> None:
    """Check all threads of this process but the main one, until it ends."""
    _install()
    _of_other_threads.append(Egress(policy, keeps_connections=False))


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" and event not in FORBIDDEN_EVENTS:
        return
    egress: Egress | None = getattr(_guarding, "egress", None)
    if egress is None and _of_other_threads and threading.current_thread() is not threading.main_thread():
        egress = _of_other_threads[0]
    if egress is None or getattr(_guarding, "is_checking", False):  # what the check itself does is not checked
        return
    _guarding.is_checking = True
    try:
        egress.audit(event, arguments)
    finally:
        _guarding.is_checking = False
