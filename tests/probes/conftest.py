"""Networks of the tests' own: nothing here leaves a namespace, and root and any other user see the same."""

import asyncio
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_RAW, SOCK_RAW
from typing import Protocol

import pytest

from probes.echo import Echo
from probes.packet import ones_complement
from simulator.namespace import Namespace, NamespaceUnavailable

_ANSWER_PINGS = (
    "echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_all;"
    " test ! -e /proc/sys/net/ipv6/icmp/echo_ignore_all || echo 0 > /proc/sys/net/ipv6/icmp/echo_ignore_all"
)


def _opened() -> Namespace:
    try:
        return Namespace.open()
    except NamespaceUnavailable as problem:
        pytest.skip(str(problem))


@pytest.fixture(scope="session")
def silent() -> Iterator[Namespace]:
    """A network where nothing answers but a Responder."""
    with _opened() as namespace:
        yield namespace


@pytest.fixture(scope="session")
def answering() -> Iterator[Namespace]:
    """A network whose kernel answers every ping to 127.0.0.0/8 and ::1."""
    with _opened() as namespace:
        subprocess.run(namespace.command(["sh", "-c", _ANSWER_PINGS]), check=True)
        yield namespace


class OpenEcho(Protocol):
    def __call__(
        self, namespace: Namespace, *, kind: int = SOCK_RAW, packets_per_second: float = 20_000
    ) -> AbstractAsyncContextManager[Echo]: ...


@pytest.fixture
def open_echo() -> OpenEcho:
    def opened(
        namespace: Namespace, *, kind: int = SOCK_RAW, packets_per_second: float = 20_000
    ) -> AbstractAsyncContextManager[Echo]:
        sockets = [namespace.socket(AF_INET, kind, IPPROTO_ICMP)]
        if socket.has_ipv6:
            sockets.append(namespace.socket(AF_INET6, kind, IPPROTO_ICMPV6))
        return Echo.open(packets_per_second=packets_per_second, sockets=sockets)

    return opened


@dataclass(frozen=True)
class Request:
    """An echo request as it came in."""

    source: str
    to: str
    icmp: bytes


class Responder:
    """Answers as the test's `behave` says, which gets every request."""

    def __init__(self, namespace: Namespace) -> None:
        self.behave: Callable[[Request], object] = self.reply
        self._inbox = namespace.socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)
        self._inbox.setblocking(False)
        self._inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._outbox = namespace.socket(AF_INET, SOCK_RAW, IPPROTO_RAW)  # its caller writes the IP header
        asyncio.get_running_loop().add_reader(self._inbox, self._read)

    def reply(self, request: Request, *, source: str | None = None, icmp: bytes | None = None) -> None:
        packet = answer_to(request.icmp) if icmp is None else icmp
        addresses = socket.inet_aton(source or request.to) + socket.inet_aton(request.source)
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(packet), 0, 0, 64, IPPROTO_ICMP, 0) + addresses
        self._outbox.sendto(header + packet, (request.source, 0))

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._inbox)
        self._inbox.close()
        self._outbox.close()

    def _read(self) -> None:
        for _ in range(256):
            try:
                data, (source, _) = self._inbox.recvfrom(2048)
            except BlockingIOError:
                return
            if data[20] == 8:
                self.behave(Request(source, socket.inet_ntoa(data[16:20]), data[20:]))


def answer_to(request: bytes) -> bytes:
    return with_checksum(b"\0" + request[1:])


def with_checksum(icmp: bytes) -> bytes:
    empty = icmp[:2] + b"\0\0" + icmp[4:]
    return icmp[:2] + struct.pack("!H", -ones_complement(empty) % 0xFFFF) + icmp[4:]


@pytest.fixture
async def responder(silent: Namespace) -> AsyncIterator[Responder]:
    responder = Responder(silent)
    yield responder
    responder.close()
