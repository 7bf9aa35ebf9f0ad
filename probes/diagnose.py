"""Pings or traceroutes one host on demand, by icmplib, and yields each result as it arrives.

Never raises: what goes wrong is a `Problem`, the last fact. Names of hops are not looked up.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from icmplib import ICMPLibError

from probes.exchange import IcmpExchange, OpenSocket, PacketReply, RawNotPermitted, open_socket
from probes.icmp_socket import IcmpNotPermitted
from probes.policy import Forbidden
from probes.resolve import Unresolvable
from probes.sweep import Prober

SPACING_S = 1.0
TIMEOUT_S = 2.0
HOP_SPACING_S = 0.05  # routers limit how many errors they return a second
MOST_HOPS = 30
SILENT_HOPS = 6  # in a row: the route is given up
LONGEST_S = 60.0  # of a traceroute


@dataclass(frozen=True, slots=True)
class ResolvedHost:
    """The host, and the address it resolved to, which the policy allowed: no other is sent to."""

    host: str
    address: str


@dataclass(frozen=True, slots=True)
class PacketResult:
    """`source`: the router that returned `problem` instead of an answer of the host."""

    number: int
    rtt_ms: float | None
    source: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class PingSummary:
    sent: int
    received: int
    loss_pct: float | None
    rtt_min_ms: float | None
    rtt_avg_ms: float | None
    rtt_max_ms: float | None


@dataclass(frozen=True, slots=True)
class Hop:
    number: int
    addresses: tuple[str, ...]  # several where routes diverge, none where nothing answered
    sent: int
    rtt_ms: tuple[float, ...]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class RouteEnd:
    hops: int
    reached: bool


@dataclass(frozen=True, slots=True)
class DiagnosisProblem:
    """Why the diagnosis ended early: a fault on our side."""

    reason: str


Fact = ResolvedHost | PacketResult | PingSummary | Hop | RouteEnd | DiagnosisProblem
Facts = AsyncGenerator[Fact, None]


async def ping(
    prober: Prober, host: str, *, count: int, timeout_s: float = TIMEOUT_S, open_icmp: OpenSocket = open_socket
) -> Facts:
    """Send a packet a second; yield a ResolvedHost, a PacketResult for each in order, and a PingSummary."""
    async with contextlib.aclosing(_guarded(_ping(prober, host, count, timeout_s, open_icmp))) as facts:
        async for fact in facts:
            yield fact


async def traceroute(
    prober: Prober, host: str, *, count: int, timeout_s: float = TIMEOUT_S, open_icmp: OpenSocket = open_socket
) -> Facts:
    """Send `count` packets per hop; yield a ResolvedHost, a Hop for each, and a RouteEnd. Needs raw sockets."""
    async with contextlib.aclosing(_guarded(_traceroute(prober, host, count, timeout_s, open_icmp))) as facts:
        async for fact in facts:
            yield fact


async def _guarded(facts: Facts) -> Facts:
    try:
        async with contextlib.aclosing(facts):
            async for fact in facts:
                yield fact
    except (Forbidden, Unresolvable, IcmpNotPermitted, RawNotPermitted) as error:
        yield DiagnosisProblem(str(error))
    except (ICMPLibError, OSError) as error:
        yield DiagnosisProblem(f"no socket: {error}")
    except Exception as error:
        yield DiagnosisProblem(f"unexpected: {type(error).__name__}: {error}")


async def _ping(prober: Prober, host: str, count: int, timeout_s: float, open_icmp: OpenSocket) -> Facts:
    address = await prober.resolve_address(host)
    with IcmpExchange(address, timeout_s, open_icmp(ip_address(address).version, False)) as exchange:
        yield ResolvedHost(host, address)
        answers = []
        async with _send_all(exchange, count, spacing_s=SPACING_S) as replies:
            for number, task in enumerate(replies, 1):
                answers.append(answer := await task)
                yield (
                    PacketResult(number, answer.rtt_ms)
                    if answer.arrived
                    else PacketResult(number, None, answer.source, answer.problem)
                )
    rtts = [answer.rtt_ms for answer in answers if answer.arrived and answer.rtt_ms is not None]
    yield _summary(sum(answer.sent for answer in answers), rtts)


def _summary(sent: int, rtts: Sequence[float]) -> PingSummary:
    loss_pct = round(100 * (sent - len(rtts)) / sent, 1) if sent else None
    if not rtts:
        return PingSummary(sent, 0, loss_pct, None, None, None)
    return PingSummary(sent, len(rtts), loss_pct, min(rtts), round(sum(rtts) / len(rtts), 3), max(rtts))


async def _traceroute(prober: Prober, host: str, count: int, timeout_s: float, open_icmp: OpenSocket) -> Facts:
    address = await prober.resolve_address(host)
    until, silent = time.monotonic() + LONGEST_S, 0
    with IcmpExchange(address, timeout_s, open_icmp(ip_address(address).version, True)) as exchange:
        yield ResolvedHost(host, address)
        for number in range(1, MOST_HOPS + 1):
            async with _send_all(exchange, count, spacing_s=HOP_SPACING_S, ttl=number) as replies:
                answers = [await task for task in replies]
            hop = _hop(number, answers)
            if not hop.sent:
                yield DiagnosisProblem(hop.problem or "nothing was sent")
                return
            yield hop
            silent = 0 if hop.addresses else silent + 1
            if any(answer.final for answer in answers):
                yield RouteEnd(number, reached=any(answer.arrived for answer in answers))
                return
            if silent == SILENT_HOPS or time.monotonic() >= until:
                break
        yield RouteEnd(number, reached=False)


def _hop(number: int, answers: Sequence[PacketReply]) -> Hop:
    sources = dict.fromkeys(answer.source for answer in answers if answer.source is not None)
    rtts = tuple(answer.rtt_ms for answer in answers if answer.rtt_ms is not None)
    problem = next((answer.problem for answer in answers if answer.problem and (answer.final or not answer.sent)), None)
    return Hop(number, tuple(sources), sum(answer.sent for answer in answers), rtts, problem)


@contextlib.asynccontextmanager
async def _send_all(
    exchange: IcmpExchange, count: int, *, spacing_s: float, ttl: int = 64
) -> AsyncIterator[list[asyncio.Task[PacketReply]]]:
    """Send packets at this spacing whatever is answered meanwhile; cancel what is left at the end."""
    tasks = [asyncio.create_task(exchange.send(after_s=number * spacing_s, ttl=ttl)) for number in range(count)]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
