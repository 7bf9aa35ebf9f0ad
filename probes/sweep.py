"""Probes many targets of any kind together. Never raises: what goes wrong here is the reason of a fault."""

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
from probes.ping_block import PendingBlock, fault_block, in_order, ping_block
from probes.policy import AddressPolicy, Forbidden, parse_address
from probes.reading_block import ReadingBlock
from probes.resolve import Resolver, Unresolvable
from probes.target_block import TargetBlock

CONNECTIONS = 200  # tcp and http probes under way at once
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
        """`sockets`: ICMP sockets made elsewhere, closed at the end; `tls`: which certificates https probes trust."""
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(http.open_client(tls))
            echo, icmp_problem = None, None
            try:
                opening = Echo.open(packets_per_second=packets_per_second, sockets=sockets)
                echo = await stack.enter_async_context(opening)
            except (IcmpNotPermitted, OSError) as error:
                icmp_problem = str(error)
            semaphore = asyncio.Semaphore(connections)
            yield cls(policy, resolver or Resolver(), client, semaphore, echo, icmp_problem)

    async def sweep(self, targets: Sequence[Target], *, deadline_s: float | None = None) -> list[Reading]:
        """Return one reading per target, in order; a target without one at the deadline is a fault."""
        return (await self.sweep_block(TargetBlock.of(targets), deadline_s=deadline_s)).readings()

    async def sweep_block(self, targets: TargetBlock, *, deadline_s: float | None = None) -> ReadingBlock:
        """Return the same of a block of targets, as a block."""
        direct = PendingBlock(targets.direct())
        others = [PendingReading(target) for target in targets.others]
        by_kind: dict[ProbeKind, list[PendingReading]] = {}
        for pending in others:
            by_kind.setdefault(pending.target.kind, []).append(pending)
        reason = "no reading was taken"
        try:
            async with asyncio.timeout(deadline_s or _deadline_s(targets)):
                await asyncio.gather(self._ping(direct), *(self._probe_kind(*of_kind) for of_kind in by_kind.items()))
        except TimeoutError:
            reason = "the sweep's deadline came first"
        if not others:
            return direct.finished(reason)
        probed = ReadingBlock.of(pending.reading or outcomes.fault(pending.target, reason) for pending in others)
        return in_order(targets.has_address, direct.finished(reason), probed)

    async def resolve_address(self, host: str) -> str:
        """Return the address to send to, checked by the policy; raise Forbidden or Unresolvable."""
        return self.cached_address(host) or self._first_allowed(await self.resolver.resolve(host))

    def cached_address(self, host: str) -> str | None:
        """Return the same without waiting; None if the name must be looked up first."""
        self.policy.check_host(host)
        if parse_address(host):
            return _unmapped(host)
        addresses = self.resolver.cached(host)
        return self._first_allowed(addresses) if addresses else None

    def _first_allowed(self, addresses: Sequence[str]) -> str:
        refusal = Forbidden("the name has no address")
        for address in addresses:
            try:
                self.policy.check(address)
            except Forbidden as error:
                refusal = error
            else:
                return _unmapped(address)
        raise refusal

    async def _ping(self, direct: PendingBlock) -> None:
        try:
            if self.echo is None:
                direct.readings = fault_block(direct.targets, self.icmp_problem or "no ICMP here")
            elif len(direct.targets):
                direct.readings = await ping_block(self.echo, self.policy, direct.targets)
        except Exception as error:
            direct.readings = fault_block(direct.targets, _reason(error))

    async def _probe_kind(self, kind: ProbeKind, sweep: Sequence[PendingReading]) -> None:
        probe = PROBES.get(kind)
        try:
            if probe is None:
                raise LookupError(f"{kind} targets are not probed from here")
            await probe(self, sweep)
        except Exception as error:
            _set_faults(sweep, _reason(error))


Probe = Callable[[Prober, Sequence[PendingReading]], Awaitable[None]]


async def probe_icmp(prober: Prober, sweep: Sequence[PendingReading]) -> None:
    """Ping all targets whose name is resolved in one call; names still to be looked up delay none of them."""
    if prober.echo is None:
        return _set_faults(sweep, prober.icmp_problem or "no ICMP here")
    addressed: list[tuple[PendingReading, str]] = []
    named: list[PendingReading] = []
    for pending in sweep:
        try:
            address = prober.cached_address(pending.target.host)
        except (Forbidden, Unresolvable) as error:
            _set_faults([pending], str(error))
        else:
            if address:
                addressed.append((pending, address))
            else:
                named.append(pending)
    await asyncio.gather(_ping(prober.echo, addressed), _probe_each(named, prober, _resolve_and_ping))
    return None


async def probe_tcp(prober: Prober, sweep: Sequence[PendingReading]) -> None:
    async def connect(prober: Prober, pending: PendingReading) -> None:
        address = await prober.resolve_address(pending.target.host)
        async with prober.connections:
            pending.reading = await tcp.probe(pending.target, address)

    await _probe_each(sweep, prober, connect)


async def probe_http(prober: Prober, sweep: Sequence[PendingReading]) -> None:
    async def get(prober: Prober, pending: PendingReading) -> None:
        host = http.host_of(pending.target)
        if host is None:
            raise Forbidden(f"{pending.target.url!r} is not an http or https URL")
        address = await prober.resolve_address(host)
        async with prober.connections:
            pending.reading = await http.probe(pending.target, address, prober.client)

    await _probe_each(sweep, prober, get)


PROBES: dict[ProbeKind, Probe] = {
    ProbeKind.ICMP: probe_icmp,
    ProbeKind.TCP: probe_tcp,
    ProbeKind.HTTP: probe_http,
}


async def _probe_each(
    sweep: Sequence[PendingReading], prober: Prober, probe: Callable[[Prober, PendingReading], Awaitable[None]]
) -> None:
    async def guarded(pending: PendingReading) -> None:
        try:
            await probe(prober, pending)
        except Exception as error:
            _set_faults([pending], _reason(error))

    await asyncio.gather(*map(guarded, sweep))


async def _resolve_and_ping(prober: Prober, pending: PendingReading) -> None:
    assert prober.echo is not None
    await _ping(prober.echo, [(pending, await prober.resolve_address(pending.target.host))])


async def _ping(echo: Echo, addressed: Sequence[tuple[PendingReading, str]]) -> None:
    targets = [pending.target for pending, _ in addressed]
    pings = [
        Ping(address, target.packets, target.spacing_s, target.timeout_s)
        for (_, address), target in zip(addressed, targets, strict=True)
    ]
    for (pending, _), pong in zip(addressed, await echo.ping(pings), strict=True):
        pending.reading = _echo_reading(pending.target, pong)


def _echo_reading(target: Target, pong: Pong) -> Reading:
    if pong.rtts_ns:
        return outcomes.answered(target, pong.rtts_ns, sent=pong.sent)
    if pong.sent:
        return outcomes.unanswered(target, sent=pong.sent)
    return outcomes.fault(target, pong.reason or "no packet was sent")


def _set_faults(sweep: Iterable[PendingReading], reason: str) -> None:
    for pending in sweep:
        if pending.reading is None:
            pending.reading = outcomes.fault(pending.target, reason)


def _reason(error: Exception) -> str:
    if isinstance(error, (Forbidden, Unresolvable, LookupError)):
        return str(error)
    if isinstance(error, EchoClosed):
        return "the prober was stopped"
    return f"unexpected: {type(error).__name__}: {error}"


def _unmapped(address: str) -> str:
    """Return the IPv4 address inside a mapped IPv6 one."""
    mapped = getattr(parse_address(address), "ipv4_mapped", None)
    return str(mapped or address)


def _deadline_s(targets: TargetBlock) -> float:
    packets = int(targets.pings.count.sum())
    return min(GRACE_S + targets.longest_s() + packets / 1000, LONGEST_DEADLINE_S)
