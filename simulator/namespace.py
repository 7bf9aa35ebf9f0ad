"""A network namespace of our own, kept open by a small holder process.

What runs inside sees only its own loopback, where the kernel answers no ping: the simulated villages do.
The holder also makes sockets inside and hands them out, so that a process outside can ping or listen within.
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
_ASK = struct.Struct("iii")  # family, type, protocol
_ANSWER = struct.Struct("i")  # errno; 0 comes with the socket itself
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_IFREQ = struct.Struct("16sh14x")
_READY = b"ready"


class NamespaceUnavailable(Exception):
    """Neither root's nor a user's way to a network namespace works here; the message says why, in a line."""


class Namespace:
    """Ends with `close()`, or by itself when the process that opened it dies."""

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
                holder, control = _hold(flags)
            except _NotHere as problem:
                reasons.append(f"unshare {' '.join(flags)}: {problem}")
            else:
                return cls(holder, control, user=flags == _WITH_USER)
        raise NamespaceUnavailable(f"no network namespace of our own can be made here ({'; '.join(reasons)})")

    @property
    def pid(self) -> int:
        return self._holder.pid

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` inside; nsenter becomes the program, so the pid is its own."""
        user = ["--user", "--preserve-credentials"] if self._user else []
        return ["nsenter", "--target", str(self.pid), *user, "--net", "--", *argv]

    def socket(self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0) -> socket.socket:
        """A socket that lives inside but belongs to the caller; raw ICMP and low ports need no privilege."""
        with self._lock:
            self._control.send(_ASK.pack(family, type, proto))
            answer, handles, _, _ = socket.recv_fds(self._control, _ANSWER.size, 1)
        if not answer:
            raise BrokenPipeError(errno.EPIPE, "the namespace's holder is gone")
        (failure,) = _ANSWER.unpack(answer)
        if failure:
            raise OSError(failure, f"{os.strerror(failure)} (a socket inside the namespace)")
        made = socket.socket(fileno=handles[0])
        made.set_inheritable(False)  # recv_fds of Python 3.11 drops its flags, MSG_CMSG_CLOEXEC among them
        return made

    def close(self) -> None:
        """Lets the holder go; the namespace lasts as long as something still runs in it."""
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


class _NotHere(Exception):
    pass


def _hold(flags: Sequence[str]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Starts the holder; it runs this very file, isolated, so that neither folder nor environment matters."""
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
                start_new_session=True,  # Ctrl-C must not take the network away before those who use it
            )
        except OSError as problem:
            ours.close()
            raise _NotHere(f"cannot run unshare (util-linux): {problem.strerror}") from problem
    problem_text = _first_words(holder, ours)
    assert holder.stderr is not None
    holder.stderr.close()
    if problem_text is not None:
        ours.close()
        holder.wait()
        raise _NotHere(problem_text)
    return holder, ours


def _first_words(holder: subprocess.Popen[bytes], control: socket.socket) -> str | None:
    """None once the holder is ready, else its own words about what went wrong."""
    control.settimeout(START_TIMEOUT_S)
    try:
        words = control.recv(1024)
    except TimeoutError:
        holder.kill()
        return f"no answer in {START_TIMEOUT_S:g} s"
    control.settimeout(None)
    if words == _READY:
        return None
    assert holder.stderr is not None
    said = words or holder.stderr.read()
    lines = said.decode(errors="replace").strip().splitlines() or ["ended without a word"]
    return lines[-1].removeprefix("unshare: ")


def serve(control: socket.socket) -> None:
    """The holder: prepares the network, then makes sockets on request until the other end is gone."""
    try:
        prepare()
    except OSError as problem:
        control.send(str(problem).encode())
        return
    control.send(_READY)
    while asked := control.recv(_ASK.size):
        try:
            made = socket.socket(*_ASK.unpack(asked))
        except OSError as problem:
            control.send(_ANSWER.pack(problem.errno or errno.EIO))
            continue
        with made:
            socket.send_fds(control, [_ANSWER.pack(0)], [made.fileno()])


def prepare() -> None:
    """Loopback up; the kernel's own echo replies off; unprivileged ping and low ports allowed."""
    ipv4 = Path("/proc/sys/net/ipv4")
    (ipv4 / "icmp_echo_ignore_all").write_text("1")
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        Path("/proc/sys/net/ipv6/icmp/echo_ignore_all").write_text("1")
    try:
        (ipv4 / "ping_group_range").write_text("0 2147483647")
    except OSError:  # a user namespace knows one group only: its own root
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
