"""Exchanges ICMP packets with one host over an icmplib socket; each gets an answer, or an error from a router."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from icmplib import ICMPLibError, ICMPRequest, ICMPv4Socket, ICMPv6Socket
from icmplib.exceptions import SocketPermissionError
from icmplib.utils import unique_identifier

from probes.icmp_socket import SO_TIMESTAMPNS, IcmpNotPermitted, receive_only_replies_to, receive_only_types

TYPES = {4: (0, 3, 11), 6: (129, 1, 3)}  # by IP version: echo reply, destination unreachable, time exceeded
SHORTEST = 56  # anything shorter answers no packet of ours
STAMP = struct.Struct("qq")


@dataclass(frozen=True, slots=True)
class PacketReply:
    """What became of one packet; `problem`: the error that a router returned, or why it was not sent."""

    rtt_ms: float | None = None
    source: str | None = None
    problem: str | None = None
    sent: bool = True
    final: bool = False  # from the host itself, or from a router that says it is unreachable

    @property
    def arrived(self) -> bool:
        return self.final and self.problem is None


class RawNotPermitted(Exception):
    """Errors that routers return are received by raw sockets alone."""

    def __init__(self) -> None:
        super().__init__(
            "no raw ICMP socket may be opened here: grant CAP_NET_RAW (AmbientCapabilities=CAP_NET_RAW in the systemd"
            " unit, or setcap cap_net_raw+ep on the Python binary); a ping may do without"
        )


OpenSocket = Callable[[int, bool], Any]


def open_socket(version: int, raw_only: bool) -> Any:
    """Open an icmplib socket of IP version 4 or 6: raw where allowed, else the kernel's unprivileged kind."""
    kind = ICMPv4Socket if version == 4 else ICMPv6Socket
    for privileged in (True,) if raw_only else (True, False):
        with contextlib.suppress(SocketPermissionError):
            return kind(privileged=privileged)
    if raw_only:
        raise RawNotPermitted
    raise IcmpNotPermitted


class IcmpExchange:
    """A socket to one host; many packets may be in flight at once.

    icmplib's own receiving would block, or not say who answered. Here the event loop says that a packet is there and
    the kernel when it arrived, so a busy event loop inflates no round trip.
    """

    def __init__(self, address: str, timeout_s: float, icmp: Any) -> None:
        self._address, self._timeout_s, self._icmp = address, timeout_s, icmp
        self._types = TYPES[ip_address(address).version]
        self._id, self._sequence = unique_identifier(), 0
        self._in_flight: dict[int, tuple[Any, float, asyncio.Future[PacketReply]]] = {}

    def __enter__(self) -> "IcmpExchange":
        sock = self._icmp.sock
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if self._icmp.is_privileged:
            receive_only_types(sock, self._types)
            receive_only_replies_to(sock, self._id, reply=self._types[0])
        asyncio.get_running_loop().add_reader(sock, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._icmp.sock)
        self._icmp.close()

    async def send(self, *, after_s: float, ttl: int) -> PacketReply:
        await asyncio.sleep(after_s)
        self._sequence += 1
        sequence = self._sequence
        request = ICMPRequest(self._address, self._id, sequence, ttl=ttl)
        future: asyncio.Future[PacketReply] = asyncio.get_running_loop().create_future()
        self._in_flight[sequence] = request, time.monotonic(), future
        try:
            self._icmp.send(request)
            async with asyncio.timeout(self._timeout_s):
                return await future
        except TimeoutError:
            return PacketReply()
        except ICMPLibError as error:
            return PacketReply(problem=f"not sent: {error}", sent=False)
        finally:
            del self._in_flight[sequence]

    def _read(self) -> None:
        """Read one packet; if more are there the event loop calls again."""
        sock = self._icmp.sock
        try:
            sock.setblocking(False)
            data, extras, _, _ = sock.recvmsg(SHORTEST, 64, socket.MSG_PEEK)
            if len(data) < SHORTEST:
                sock.recv(SHORTEST)
                return
            reply = self._icmp.receive(None, 0.25)  # does not block: the packet is there
        except (OSError, ICMPLibError):
            return
        request, sent_at, future = self._in_flight.get(reply.sequence, (None, 0.0, None))
        if request is not None and future is not None and reply.id == request.id and not future.done():
            rtt_s = _received_at_s(extras, reply.time) - request.time
            elapsed_s = time.monotonic() - sent_at
            if not 0 <= rtt_s <= elapsed_s + 0.01:  # the wall clock was stepped in between
                rtt_s = elapsed_s
            if (matched := self._match(reply, round(rtt_s * 1000, 3))) is not None:
                future.set_result(matched)

    def _match(self, reply: Any, rtt_ms: float) -> PacketReply | None:
        echo_reply, unreachable, _ = self._types
        if reply.type == echo_reply:
            is_host = ip_address(reply.source.partition("%")[0]) == ip_address(self._address)
            return PacketReply(rtt_ms, reply.source, final=True) if is_host else None
        return PacketReply(rtt_ms, reply.source, _router_error(reply), final=reply.type == unreachable)


def _router_error(reply: Any) -> str:
    try:
        reply.raise_for_status()
    except ICMPLibError as error:
        return str(error)
    return "unreachable"


def _received_at_s(extras: Sequence[tuple[int, int, bytes]], default: float) -> float:
    for level, kind, content in extras:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = STAMP.unpack(content)
            return float(seconds + nanoseconds / 1e9)
    return default
