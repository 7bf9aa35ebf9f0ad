"""One host on demand: ping and traceroute by icmplib, told step by step.

It never raises: what goes wrong is a `Problem`, the last fact. Names of hops are not looked up.
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
HOP_SPACING_S = 0.05  # routers answer only so many a second
MOST_HOPS = 30
SILENT_HOPS = 6  # in a row, and nobody is expected beyond them
LONGEST_S = 60.0  # of a route


@dataclass(frozen=True, slots=True)
class ResolvedHost:
    """What is looked at: the address was resolved and judged at that moment, and no other is sent to."""

    host: str
    address: str


@dataclass(frozen=True, slots=True)
class PacketResult:
    """`source`: who answered, if that was not the host itself: a router that says why it gets no further."""

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
    addresses: tuple[str, ...]  # more than one where routes part; none where nobody answered
    sent: int
    rtt_ms: tuple[float, ...]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class RouteEnd:
    hops: int
    reached: bool


@dataclass(frozen=True, slots=True)
class DiagnosisProblem:
    """Why it went no further: our side's doing."""

    reason: str


Fact = ResolvedHost | PacketResult | PingSummary | Hop | RouteEnd | DiagnosisProblem
Facts = AsyncGenerator[Fact, None]


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
    except (Forbidden, Unresolvable, IcmpNotPermitted, RawNotPermitted) as problem:
        yield DiagnosisProblem(str(problem))
    except (ICMPLibError, OSError) as problem:
        yield DiagnosisProblem(f"no socket: {problem}")
    except Exception as error:
        yield DiagnosisProblem(f"unexpected: {type(error).__name__}: {error}")


async def _ping(prober: Prober, host: str, count: int, timeout_s: float, opened: OpenSocket) -> Facts:
    address = await prober.resolve_address(host)
    with IcmpExchange(address, timeout_s, opened(ip_address(address).version, False)) as exchange:
        yield ResolvedHost(host, address)
        answers = []
        async with _at_once(exchange, count, spacing_s=SPACING_S) as asked:
            for number, task in enumerate(asked, 1):
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


async def _traceroute(prober: Prober, host: str, count: int, timeout_s: float, opened: OpenSocket) -> Facts:
    address = await prober.resolve_address(host)
    until, silent = time.monotonic() + LONGEST_S, 0
    with IcmpExchange(address, timeout_s, opened(ip_address(address).version, True)) as exchange:
        yield ResolvedHost(host, address)
        for number in range(1, MOST_HOPS + 1):
            async with _at_once(exchange, count, spacing_s=HOP_SPACING_S, ttl=number) as asked:
                answers = [await task for task in asked]
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
async def _at_once(
    exchange: IcmpExchange, count: int, *, spacing_s: float, ttl: int = 64
) -> AsyncIterator[list[asyncio.Task[PacketReply]]]:
    """Sent one after the other, whatever is answered meanwhile; none is left behind."""
    asked = [asyncio.create_task(exchange.ask(after_s=number * spacing_s, ttl=ttl)) for number in range(count)]
    try:
        yield asked
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
