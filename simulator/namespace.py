"""A network namespace kept open by a small holder process.

Programs inside see only its loopback, where the kernel answers no ping: the simulated network does. The holder also
opens sockets inside and passes them out, so that a process outside can ping or listen inside.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 2.0

_PLAIN = ("--net",)
_WITH_USER = ("--user", "--map-root-user", "--net")
_REQUEST = struct.Struct("iii")  # family, type, protocol
_RESPONSE = struct.Struct("i")  # errno; 0 comes with the socket itself
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_IFREQ = struct.Struct("16sh14x")
_READY = b"ready"


class NamespaceUnavailable(Exception):
    """No network namespace can be created here, neither as root nor as a user; the message says why, in a line."""


class Namespace:
    """Ends with `close()`, or when the process that opened it dies."""

    def __init__(self, holder: subprocess.Popen[bytes], control: socket.socket, *, user: bool) -> None:
        self._holder = holder
        self._control = control
        self._user = user
        self._lock = threading.Lock()

    @classmethod
    def open(cls) -> Namespace:
        reasons = []
        for flags in (_PLAIN, _WITH_USER) if os.geteuid() == 0 else (_WITH_USER,):
            try:
                holder, control = _start_holder(flags)
            except _CannotUnshare as problem:
                reasons.append(f"unshare {' '.join(flags)}: {problem}")
            else:
                return cls(holder, control, user=flags == _WITH_USER)
        raise NamespaceUnavailable(f"no network namespace can be created here ({'; '.join(reasons)})")

    @property
    def pid(self) -> int:
        return self._holder.pid

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs `argv` inside; nsenter execs the program, so the pid is the program's."""
        user = ["--user", "--preserve-credentials"] if self._user else []
        return ["nsenter", "--target", str(self.pid), *user, "--net", "--", *argv]

    def socket(self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0) -> socket.socket:
        """Open a socket inside that belongs to the caller; raw ICMP and low ports need no privilege."""
        with self._lock:
            self._control.send(_REQUEST.pack(family, type, proto))
            answer, handles, _, _ = socket.recv_fds(self._control, _RESPONSE.size, 1)
        if not answer:
            raise BrokenPipeError(errno.EPIPE, "the namespace's holder has ended")
        (failure,) = _RESPONSE.unpack(answer)
        if failure:
            raise OSError(failure, f"{os.strerror(failure)} (a socket inside the namespace)")
        opened = socket.socket(fileno=handles[0])
        opened.set_inheritable(False)  # recv_fds of Python 3.11 drops its flags, MSG_CMSG_CLOEXEC among them
        return opened

    def close(self) -> None:
        """End the holder; the namespace lasts as long as a process still runs in it."""
        self._control.close()
        try:
            self._holder.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()

    def __enter__(self) -> Namespace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _CannotUnshare(Exception):
    pass


def _start_holder(flags: Sequence[str]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the holder, which runs this file isolated from working folder and environment. Raises _CannotUnshare."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    argv = ["unshare", *flags, "--", sys.executable, "-I", "-S", __file__, str(theirs.fileno())]
    with theirs:
        try:
            holder = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                cwd="/",
                start_new_session=True,  # Ctrl-C must not end the network before its users
            )
        except OSError as problem:
            ours.close()
            raise _CannotUnshare(f"cannot run unshare (util-linux): {problem.strerror}") from problem
    problem_text = _startup_problem(holder, ours)
    assert holder.stderr is not None
    holder.stderr.close()
    if problem_text is not None:
        ours.close()
        holder.wait()
        raise _CannotUnshare(problem_text)
    return holder, ours


def _startup_problem(holder: subprocess.Popen[bytes], control: socket.socket) -> str | None:
    """Wait for the holder; return None once it is ready, else its error message."""
    control.settimeout(START_TIMEOUT_S)
    try:
        message = control.recv(1024)
    except TimeoutError:
        holder.kill()
        return f"no answer in {START_TIMEOUT_S:g} s"
    control.settimeout(None)
    if message == _READY:
        return None
    assert holder.stderr is not None
    output = message or holder.stderr.read()
    lines = output.decode(errors="replace").strip().splitlines() or ["ended without a message"]
    return lines[-1].removeprefix("unshare: ")


def serve(control: socket.socket) -> None:
    """Run the holder: prepare the network, then open sockets on request until the other end is closed."""
    try:
        prepare()
    except OSError as problem:
        control.send(str(problem).encode())
        return
    control.send(_READY)
    while request := control.recv(_REQUEST.size):
        try:
            opened = socket.socket(*_REQUEST.unpack(request))
        except OSError as problem:
            control.send(_RESPONSE.pack(problem.errno or errno.EIO))
            continue
        with opened:
            socket.send_fds(control, [_RESPONSE.pack(0)], [opened.fileno()])


def prepare() -> None:
    """Bring loopback up, disable the kernel's own echo replies, allow unprivileged ping and low ports."""
    ipv4 = Path("/proc/sys/net/ipv4")
    (ipv4 / "icmp_echo_ignore_all").write_text("1")
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        Path("/proc/sys/net/ipv6/icmp/echo_ignore_all").write_text("1")
    try:
        (ipv4 / "ping_group_range").write_text("0 2147483647")
    except OSError:  # a user namespace has one group only: its own root
        (ipv4 / "ping_group_range").write_text("0 0")
    (ipv4 / "ip_unprivileged_port_start").write_text("0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        name, flags = _IFREQ.unpack(
            fcntl.ioctl(handle, _SIOCGIFFLAGS, _IFREQ.pack(b"lo", 0)),
        )
        fcntl.ioctl(handle, _SIOCSIFFLAGS, _IFREQ.pack(name, flags | _IFF_UP))


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as parent, contextlib.suppress(ConnectionError):
        serve(parent)
