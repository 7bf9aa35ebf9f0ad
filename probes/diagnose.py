"""One host on demand: ping and traceroute by icmplib, told step by step.

It never raises: what goes wrong is a `Problem`, the last fact. Names of hops are not looked up.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from icmplib import ICMPLibError, ICMPRequest, ICMPv4Socket, ICMPv6Socket
from icmplib.exceptions import SocketPermissionError
from icmplib.utils import unique_identifier

from probes.icmp_socket import SO_TIMESTAMPNS, IcmpNotPermitted, let_up
from probes.policy import Forbidden
from probes.resolve import Unresolvable
from probes.sweep import Prober

SPACING_S = 1.0
TIMEOUT_S = 2.0
HOP_SPACING_S = 0.05  # routers answer only so many a second
MOST_HOPS = 30
SILENT_HOPS = 6  # in a row, and nobody is expected beyond them
LONGEST_S = 60.0  # of a route

TYPES = {4: (0, 3, 11), 6: (129, 1, 3)}  # by IP version: echo reply, destination unreachable, time exceeded
SHORTEST = 56  # whatever is shorter answers none of ours
STAMP = struct.Struct("qq")


@dataclass(frozen=True, slots=True)
class Aim:
    """What is looked at: the address was resolved and judged at that moment, and no other is sent to."""

    host: str
    address: str


@dataclass(frozen=True, slots=True)
class Packet:
    """`source`: who answered, if that was not the host itself: a router that says why it gets no further."""

    number: int
    rtt_ms: float | None
    source: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    sent: int
    received: int
    loss_pct: float | None
    rtt_min_ms: float | None
    rtt_avg_ms: float | None
    rtt_max_ms: float | None


@dataclass(frozen=True, slots=True)
class Hop:
    number: int
    addresses: tuple[str, ...]  # more than one where routes part; none where nobody answered
    sent: int
    rtt_ms: tuple[float, ...]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    hops: int
    reached: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """Why it went no further: our side's doing."""

    reason: str


Fact = Aim | Packet | Summary | Hop | Route | Problem
Facts = AsyncGenerator[Fact, None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one packet; `problem`: what a router said of it, or why it was not sent."""

    rtt_ms: float | None = None
    source: str | None = None
    problem: str | None = None
    sent: bool = True
    final: bool = False  # from the host itself, or of whom nobody further will answer

    @property
    def arrived(self) -> bool:
        return self.final and self.problem is None


OpenSocket = Callable[[int, bool], Any]


def open_socket(version: int, raw_only: bool) -> Any:
    """icmplib's own, of IP version 4 or 6: raw where allowed, the kernel's unprivileged kind otherwise."""
    kind = ICMPv4Socket if version == 4 else ICMPv6Socket
    for privileged in (True,) if raw_only else (True, False):
        with contextlib.suppress(SocketPermissionError):
            return kind(privileged=privileged)
    raise IcmpNotPermitted


async def ping(
    prober: Prober, host: str, *, count: int, timeout_s: float = TIMEOUT_S, opened: OpenSocket = open_socket
) -> Facts:
    """A packet a second; an Aim, a Packet each in their order, a Summary."""
    async with contextlib.aclosing(_guarded(_ping(prober, host, count, timeout_s, opened))) as facts:
        async for fact in facts:
            yield fact


async def traceroute(
    prober: Prober, host: str, *, count: int, timeout_s: float = TIMEOUT_S, opened: OpenSocket = open_socket
) -> Facts:
    """`count` packets a hop; an Aim, a Hop each, and the Route. It needs raw sockets."""
    async with contextlib.aclosing(_guarded(_traceroute(prober, host, count, timeout_s, opened))) as facts:
        async for fact in facts:
            yield fact


async def _guarded(facts: Facts) -> Facts:
    try:
        async with contextlib.aclosing(facts):
            async for fact in facts:
                yield fact
    except (Forbidden, Unresolvable, IcmpNotPermitted) as problem:
        yield Problem(str(problem))
    except (ICMPLibError, OSError) as problem:
        yield Problem(f"no socket: {problem}")
    except Exception as error:
        yield Problem(f"unexpected: {type(error).__name__}: {error}")


async def _ping(prober: Prober, host: str, count: int, timeout_s: float, opened: OpenSocket) -> Facts:
    address = await prober.address_of(host)
    with Exchange(address, timeout_s, opened(ip_address(address).version, False)) as exchange:
        yield Aim(host, address)
        answers = []
        async with _at_once(exchange, count, spacing_s=SPACING_S) as asked:
            for number, task in enumerate(asked, 1):
                answers.append(answer := await task)
                yield (
                    Packet(number, answer.rtt_ms)
                    if answer.arrived
                    else Packet(number, None, answer.source, answer.problem)
                )
    rtts = [answer.rtt_ms for answer in answers if answer.arrived and answer.rtt_ms is not None]
    yield _summary(sum(answer.sent for answer in answers), rtts)


def _summary(sent: int, rtts: Sequence[float]) -> Summary:
    loss_pct = round(100 * (sent - len(rtts)) / sent, 1) if sent else None
    if not rtts:
        return Summary(sent, 0, loss_pct, None, None, None)
    return Summary(sent, len(rtts), loss_pct, min(rtts), round(sum(rtts) / len(rtts), 3), max(rtts))


async def _traceroute(prober: Prober, host: str, count: int, timeout_s: float, opened: OpenSocket) -> Facts:
    address = await prober.address_of(host)
    until, silent = time.monotonic() + LONGEST_S, 0
    with Exchange(address, timeout_s, opened(ip_address(address).version, True)) as exchange:
        yield Aim(host, address)
        for number in range(1, MOST_HOPS + 1):
            async with _at_once(exchange, count, spacing_s=HOP_SPACING_S, ttl=number) as asked:
                answers = [await task for task in asked]
            hop = _hop(number, answers)
            if not hop.sent:
                yield Problem(hop.problem or "nothing was sent")
                return
            yield hop
            silent = 0 if hop.addresses else silent + 1
            if any(answer.final for answer in answers):
                yield Route(number, reached=any(answer.arrived for answer in answers))
                return
            if silent == SILENT_HOPS or time.monotonic() >= until:
                break
        yield Route(number, reached=False)


def _hop(number: int, answers: Sequence[Answer]) -> Hop:
    sources = dict.fromkeys(answer.source for answer in answers if answer.source is not None)
    rtts = tuple(answer.rtt_ms for answer in answers if answer.rtt_ms is not None)
    problem = next((answer.problem for answer in answers if answer.problem and (answer.final or not answer.sent)), None)
    return Hop(number, tuple(sources), sum(answer.sent for answer in answers), rtts, problem)


@contextlib.asynccontextmanager
async def _at_once(
    exchange: "Exchange", count: int, *, spacing_s: float, ttl: int = 64
) -> AsyncIterator[list[asyncio.Task[Answer]]]:
    """Sent one after the other, whatever is answered meanwhile; none is left behind."""
    asked = [asyncio.create_task(exchange.ask(after_s=number * spacing_s, ttl=ttl)) for number in range(count)]
    try:
        yield asked
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


class Exchange:
    """Packets to one address over one socket of icmplib, and what comes back for them.

    Its receiving would block, or not tell who answered: here the event loop says when something is there, and the
    kernel when it came, so that a busy loop makes no round trip longer.
    """

    def __init__(self, address: str, timeout_s: float, icmp: Any) -> None:
        self._address, self._timeout_s, self._icmp = address, timeout_s, icmp
        self._types = TYPES[ip_address(address).version]
        self._id, self._sequence = unique_identifier(), 0
        self._open: dict[int, tuple[Any, float, asyncio.Future[Answer]]] = {}

    def __enter__(self) -> "Exchange":
        sock = self._icmp.sock
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if self._icmp.is_privileged:
            let_up(sock, self._types)
        asyncio.get_running_loop().add_reader(sock, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._icmp.sock)
        self._icmp.close()

    async def ask(self, *, after_s: float, ttl: int) -> Answer:
        await asyncio.sleep(after_s)
        self._sequence += 1
        sequence = self._sequence
        request = ICMPRequest(self._address, self._id, sequence, ttl=ttl)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open[sequence] = request, time.monotonic(), future
        try:
            self._icmp.send(request)
            async with asyncio.timeout(self._timeout_s):
                return await future
        except TimeoutError:
            return Answer()
        except ICMPLibError as error:
            return Answer(problem=f"not sent: {error}", sent=False)
        finally:
            del self._open[sequence]

    def _read(self) -> None:
        """One packet; whatever is left makes the loop call again."""
        sock = self._icmp.sock
        try:
            sock.setblocking(False)
            data, extras, _, _ = sock.recvmsg(SHORTEST, 64, socket.MSG_PEEK)
            if len(data) < SHORTEST:
                sock.recv(SHORTEST)
                return
            reply = self._icmp.receive(None, 0.25)  # it is there: nothing waits
        except (OSError, ICMPLibError):
            return
        request, sent_at, future = self._open.get(reply.sequence, (None, 0.0, None))
        if request is not None and future is not None and reply.id == request.id and not future.done():
            took_s = _stamp_s(extras, reply.time) - request.time
            elapsed_s = time.monotonic() - sent_at
            if not 0 <= took_s <= elapsed_s + 0.01:  # the wall clock was stepped in between
                took_s = elapsed_s
            if (answer := self._answer(reply, round(took_s * 1000, 3))) is not None:
                future.set_result(answer)

    def _answer(self, reply: Any, rtt_ms: float) -> Answer | None:
        answered, unreachable, _ = self._types
        if reply.type == answered:
            itself = ip_address(reply.source.partition("%")[0]) == ip_address(self._address)
            return Answer(rtt_ms, reply.source, final=True) if itself else None
        return Answer(rtt_ms, reply.source, _said(reply), final=reply.type == unreachable)


def _said(reply: Any) -> str:
    try:
        reply.raise_for_status()
    except ICMPLibError as error:
        return str(error)
    return "unreachable"


def _stamp_s(extras: Sequence[tuple[int, int, bytes]], otherwise: float) -> float:
    for level, kind, content in extras:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = STAMP.unpack(content)
            return float(seconds + nanoseconds / 1e9)
    return otherwise
