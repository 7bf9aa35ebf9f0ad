"""Many targets of any kind, looked at together. It never raises: what goes wrong here is a fault's reason."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from socket import socket

import httpx

from probes import http, outcomes, tcp
from probes.contract import ProbeKind, Reading, Target
from probes.echo import PACKETS_PER_SECOND, Echo, EchoClosed, IcmpNotPermitted, Ping, Pong
from probes.policy import AddressPolicy, Forbidden, parse_address
from probes.resolve import Resolver, Unresolvable

CONNECTIONS = 200  # tcp and http looks under way at once
GRACE_S = 15.0
LONGEST_DEADLINE_S = 7200.0


@dataclass(slots=True)
class PendingReading:
    """A target, and its reading once there is one."""

    target: Target
    reading: Reading | None = None


@dataclass(frozen=True, slots=True)
class Prober:
    """All that a long-lived prober shares between its sweeps, of which many may be under way at once."""

    policy: AddressPolicy
    resolver: Resolver
    client: httpx.AsyncClient
    connections: asyncio.Semaphore
    echo: Echo | None
    icmp_problem: str | None = None  # why there is no echo: every icmp target is a fault then

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        policy: AddressPolicy,
        *,
        packets_per_second: float = PACKETS_PER_SECOND,
        connections: int = CONNECTIONS,
        sockets: Iterable[socket] | None = None,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> AsyncIterator["Prober"]:
        """`sockets` are ICMP sockets made elsewhere, closed at the end; `tls` says whom https looks trust."""
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(http.open_client(tls))
            echo, icmp_problem = None, None
            try:
                opening = Echo.open(packets_per_second=packets_per_second, sockets=sockets)
                echo = await stack.enter_async_context(opening)
            except (IcmpNotPermitted, OSError) as problem:
                icmp_problem = str(problem)
            limit = asyncio.Semaphore(connections)
            yield cls(policy, resolver or Resolver(), client, limit, echo, icmp_problem)

    async def sweep(self, targets: Sequence[Target], *, deadline_s: float | None = None) -> list[Reading]:
        """One reading a target, in order; whatever has none when the deadline comes is a fault."""
        looks = [PendingReading(target) for target in targets]
        kinds: dict[ProbeKind, list[PendingReading]] = {}
        for look in looks:
            kinds.setdefault(look.target.kind, []).append(look)
        reason = "no reading was taken"
        try:
            async with asyncio.timeout(deadline_s or _deadline_s(targets)):
                await asyncio.gather(*(self._guarded(kind, some) for kind, some in kinds.items()))
        except TimeoutError:
            reason = "the sweep's deadline came first"
        return [look.reading or outcomes.fault(look.target, reason) for look in looks]

    async def resolve_address(self, host: str) -> str:
        """The address to send to, checked; raises Forbidden or Unresolvable."""
        return self.cached_address(host) or self._first_allowed(await self.resolver.resolve(host))

    def cached_address(self, host: str) -> str | None:
        """The same without waiting; None if the name must be looked up first."""
        self.policy.check_host(host)
        if parse_address(host):
            return _unmapped(host)
        known = self.resolver.cached(host)
        return self._first_allowed(known) if known else None

    def _first_allowed(self, addresses: Sequence[str]) -> str:
        problem = Forbidden("the name has no address")
        for address in addresses:
            try:
                self.policy.check(address)
            except Forbidden as forbidden:
                problem = forbidden
            else:
                return _unmapped(address)
        raise problem

    async def _guarded(self, kind: ProbeKind, looks: Sequence[PendingReading]) -> None:
        probe = PROBES.get(kind)
        try:
            if probe is None:
                raise LookupError(f"{kind} targets are not probed from here")
            await probe(self, looks)
        except Exception as error:
            _settle(looks, _reason(error))


Probe = Callable[[Prober, Sequence[PendingReading]], Awaitable[None]]


async def probe_icmp(prober: Prober, looks: Sequence[PendingReading]) -> None:
    """All whose address is known in one call; a name still to be looked up keeps none of them waiting."""
    if prober.echo is None:
        return _settle(looks, prober.icmp_problem or "no ICMP here")
    ready: list[tuple[PendingReading, str]] = []
    unknown: list[PendingReading] = []
    for look in looks:
        try:
            address = prober.cached_address(look.target.host)
        except (Forbidden, Unresolvable) as problem:
            _settle([look], str(problem))
        else:
            if address:
                ready.append((look, address))
            else:
                unknown.append(look)
    await asyncio.gather(_ping(prober.echo, ready), _each(unknown, prober, _ping_named))
    return None


async def probe_tcp(prober: Prober, looks: Sequence[PendingReading]) -> None:
    async def one(prober: Prober, look: PendingReading) -> None:
        address = await prober.resolve_address(look.target.host)
        async with prober.connections:
            look.reading = await tcp.probe(look.target, address)

    await _each(looks, prober, one)


async def probe_http(prober: Prober, looks: Sequence[PendingReading]) -> None:
    async def one(prober: Prober, look: PendingReading) -> None:
        host = http.host_of(look.target)
        if host is None:
            raise Forbidden(f"{look.target.url!r} is not an http or https URL")
        address = await prober.resolve_address(host)
        async with prober.connections:
            look.reading = await http.probe(look.target, address, prober.client)

    await _each(looks, prober, one)


PROBES: dict[ProbeKind, Probe] = {ProbeKind.ICMP: probe_icmp, ProbeKind.TCP: probe_tcp, ProbeKind.HTTP: probe_http}


async def _each(
    looks: Sequence[PendingReading], prober: Prober, one: Callable[[Prober, PendingReading], Awaitable[None]]
) -> None:
    async def guarded(look: PendingReading) -> None:
        try:
            await one(prober, look)
        except Exception as error:
            _settle([look], _reason(error))

    await asyncio.gather(*map(guarded, looks))


async def _ping_named(prober: Prober, look: PendingReading) -> None:
    assert prober.echo is not None
    await _ping(prober.echo, [(look, await prober.resolve_address(look.target.host))])


async def _ping(echo: Echo, looks: Sequence[tuple[PendingReading, str]]) -> None:
    targets = [look.target for look, _ in looks]
    pings = [
        Ping(address, target.packets, target.spacing_s, target.timeout_s)
        for (_, address), target in zip(looks, targets, strict=True)
    ]
    for (look, _), pong in zip(looks, await echo.ping(pings), strict=True):
        look.reading = _echo_reading(look.target, pong)


def _echo_reading(target: Target, pong: Pong) -> Reading:
    if pong.rtts_ns:
        return outcomes.answered(target, pong.rtts_ns, sent=pong.sent)
    if pong.sent:
        return outcomes.unanswered(target, sent=pong.sent)
    return outcomes.fault(target, pong.reason or "no packet was sent")


def _settle(looks: Iterable[PendingReading], reason: str) -> None:
    for look in looks:
        if look.reading is None:
            look.reading = outcomes.fault(look.target, reason)


def _reason(error: Exception) -> str:
    if isinstance(error, (Forbidden, Unresolvable, LookupError)):
        return str(error)
    if isinstance(error, EchoClosed):
        return "the prober was stopped"
    return f"unexpected: {type(error).__name__}: {error}"


def _unmapped(address: str) -> str:
    mapped = getattr(parse_address(address), "ipv4_mapped", None)
    return str(mapped or address)


def _deadline_s(targets: Sequence[Target]) -> float:
    longest = max((target.packets * target.spacing_s + target.timeout_s for target in targets), default=0.0)
    packets = sum(target.packets for target in targets)
    return min(GRACE_S + longest + packets / 1000, LONGEST_DEADLINE_S)
