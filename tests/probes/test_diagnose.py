"""Pings and traceroutes of one host, over icmplib's sockets inside a network namespace of the tests."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from socket import AF_INET, IPPROTO_ICMP, SOCK_DGRAM, SOCK_RAW, has_ipv6, inet_aton
from typing import Any

import pytest
from icmplib.exceptions import SocketPermissionError

from probes import diagnose, exchange
from probes.contract import Outcome, ProbeKind, Target
from probes.diagnose import DiagnosisProblem, Fact, Hop, PacketResult, PingSummary, ResolvedHost, RouteEnd
from probes.exchange import IcmpExchange
from probes.policy import AddressPolicy
from probes.resolve import Resolver
from probes.sweep import Prober
from simulator.namespace import Namespace
from tests.probes.conftest import Request, Responder, with_checksum
from tests.support.namespace_sockets import sockets_inside

HOST = "127.30.0.1"


@pytest.fixture
async def prober(silent: Namespace) -> AsyncIterator[Prober]:
    raw = silent.socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)
    async with Prober.open(AddressPolicy(allow=["127.30.0.0/16"]), sockets=[raw]) as prober:
        yield prober


async def collect(facts: AsyncIterator[Fact]) -> list[Fact]:
    return [fact async for fact in facts]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnose, "SPACING_S", 0.05)


@pytest.mark.parametrize("kind", [SOCK_RAW, SOCK_DGRAM])
async def test_a_ping_yields_each_packet_in_order_and_then_a_summary(
    silent: Namespace, responder: Responder, prober: Prober, kind: int
) -> None:
    facts = await collect(diagnose.ping(prober, HOST, count=4, open_icmp=sockets_inside(silent, kind=kind)))
    aim, *packets, summary = facts
    assert aim == ResolvedHost(HOST, HOST)
    assert [packet.number for packet in packets if isinstance(packet, PacketResult)] == [1, 2, 3, 4]
    rtts = [packet.rtt_ms for packet in packets if isinstance(packet, PacketResult) and packet.rtt_ms]
    assert len(rtts) == 4
    assert all(0 < rtt < 500 for rtt in rtts)
    assert isinstance(summary, PingSummary)
    assert (summary.sent, summary.received, summary.loss_pct) == (4, 4, 0)
    assert (summary.rtt_min_ms, summary.rtt_max_ms) == (min(rtts), max(rtts))


async def test_a_lost_packet_is_reported_as_lost_in_its_place(
    silent: Namespace, responder: Responder, prober: Prober
) -> None:
    lost = iter([True, False, True, False])
    responder.behave = lambda request: None if next(lost) else responder.reply(request)
    facts = await collect(diagnose.ping(prober, HOST, count=4, timeout_s=0.3, open_icmp=sockets_inside(silent)))
    assert [fact.rtt_ms is None for fact in facts if isinstance(fact, PacketResult)] == [True, False, True, False]
    assert isinstance(facts[-1], PingSummary)
    assert (facts[-1].received, facts[-1].loss_pct) == (2, 50)


async def test_a_silent_host_differs_from_a_router_that_returns_an_error(
    silent: Namespace, responder: Responder, prober: Prober
) -> None:
    responder.behave = lambda request: None
    facts = await collect(diagnose.ping(prober, HOST, count=2, timeout_s=0.1, open_icmp=sockets_inside(silent)))
    assert facts[1:] == [PacketResult(1, None), PacketResult(2, None), PingSummary(2, 0, 100, None, None, None)]
    responder.behave = lambda request: refuse(responder, request, kind=3, code=1)
    facts = await collect(diagnose.ping(prober, HOST, count=1, open_icmp=sockets_inside(silent)))
    assert facts[1] == PacketResult(1, None, "127.30.9.9", "Destination host unreachable")


async def test_answers_of_another_host_or_truncated_ones_do_not_count(
    silent: Namespace, responder: Responder, prober: Prober
) -> None:
    def misbehave(request: Request) -> None:
        responder.reply(request, source="127.30.0.2")
        responder.reply(request, icmp=with_checksum(b"\0\0\0\0" + request.icmp[4:8]))

    responder.behave = misbehave
    facts = await collect(diagnose.ping(prober, HOST, count=1, timeout_s=0.2, open_icmp=sockets_inside(silent)))
    assert facts[1] == PacketResult(1, None)


def refuse(responder: Responder, request: Request, *, kind: int, code: int = 0, source: str = "127.30.9.9") -> None:
    """As a router between would: an ICMP error around what was sent."""
    header = b"\x45\0\0\x54\0\0\0\0\x40\x01\0\0" + inet_aton(request.source) + inet_aton(request.to)
    responder.reply(request, source=source, icmp=with_checksum(bytes([kind, code]) + bytes(6) + header + request.icmp))


async def test_a_traceroute_yields_hop_by_hop_until_the_host_answers(
    silent: Namespace, responder: Responder, prober: Prober
) -> None:
    seen: list[Request] = []

    def behave(request: Request) -> None:
        seen.append(request)
        hop = (len(seen) + 1) // 2
        if hop == 1:
            refuse(responder, request, kind=11, source="127.30.9.1")
        elif hop == 3:
            refuse(responder, request, kind=11, source=f"127.30.9.{len(seen)}")
        elif hop == 4:
            responder.reply(request)

    responder.behave = behave
    facts = await collect(diagnose.traceroute(prober, HOST, count=2, timeout_s=0.2, open_icmp=sockets_inside(silent)))
    hops = [fact for fact in facts if isinstance(fact, Hop)]
    assert [hop.addresses for hop in hops] == [("127.30.9.1",), (), ("127.30.9.5", "127.30.9.6"), (HOST,)]
    assert [(hop.sent, len(hop.rtt_ms)) for hop in hops] == [(2, 2), (2, 0), (2, 2), (2, 2)]
    assert facts[-1] == RouteEnd(4, reached=True)


@pytest.mark.parametrize("host", [HOST, "::1"])
async def test_the_loopback_itself_is_one_hop_away(answering: Namespace, host: str) -> None:
    if ":" in host and not has_ipv6:
        pytest.skip("this kernel has no IPv6")
    async with Prober.open(AddressPolicy(allow=["127.30.0.0/16", "::1/128"]), sockets=[]) as prober:
        facts = await collect(diagnose.traceroute(prober, host, count=3, open_icmp=sockets_inside(answering)))
        (_, packet, _) = await collect(diagnose.ping(prober, host, count=1, open_icmp=sockets_inside(answering)))
    aim, hop, route = facts
    assert isinstance(hop, Hop)
    assert (aim, hop.addresses, len(hop.rtt_ms), route) == (
        ResolvedHost(host, host),
        (host,),
        3,
        RouteEnd(1, reached=True),
    )
    assert isinstance(packet, PacketResult)
    assert packet.rtt_ms is not None


async def test_after_a_few_silent_hops_the_route_is_given_up(
    silent: Namespace, responder: Responder, prober: Prober
) -> None:
    responder.behave = lambda request: None
    facts = await collect(diagnose.traceroute(prober, HOST, count=1, timeout_s=0.05, open_icmp=sockets_inside(silent)))
    assert facts[-1] == RouteEnd(diagnose.SILENT_HOPS, reached=False)


class Book(Resolver):
    """Names of the tests' own."""

    async def resolve(self, name: str) -> list[str]:
        return {"inside.example.id": ["10.1.1.1"], "village.example.id": ["192.168.7.7", HOST]}[name]


@pytest.mark.parametrize("diagnosis", [diagnose.ping, diagnose.traceroute])
async def test_a_diagnosis_goes_nowhere_that_a_probe_may_not_go(
    silent: Namespace, responder: Responder, diagnosis: Any
) -> None:
    seen: list[Request] = []
    responder.behave = seen.append
    async with Prober.open(AddressPolicy(allow=["127.30.0.0/16"]), sockets=[], resolver=Book()) as prober:
        for host in ("127.31.0.1", "192.168.1.1", "::ffff:10.0.0.1", "localhost", "inside.example.id"):
            (problem,) = await collect(diagnosis(prober, host, count=1, open_icmp=sockets_inside(silent)))
            assert isinstance(problem, DiagnosisProblem), host
            assert host != "inside.example.id" or "10.1.1.1" in problem.reason
        facts = await collect(
            diagnose.ping(prober, "village.example.id", count=1, timeout_s=0.1, open_icmp=sockets_inside(silent))
        )
    assert facts[0] == ResolvedHost("village.example.id", HOST)
    await asyncio.sleep(0.05)
    assert {request.to for request in seen} == {HOST}, "nobody else was sent a packet"


async def test_where_no_icmp_is_allowed_it_says_what_to_set(prober: Prober, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(privileged: bool) -> None:
        raise SocketPermissionError(privileged)

    monkeypatch.setattr(exchange, "ICMPv4Socket", refused)
    (problem,) = await collect(diagnose.ping(prober, HOST, count=1))
    assert isinstance(problem, DiagnosisProblem)
    assert "ping_group_range" in problem.reason
    (problem,) = await collect(diagnose.traceroute(prober, HOST, count=1))
    assert isinstance(problem, DiagnosisProblem)
    assert "CAP_NET_RAW" in problem.reason


async def test_a_cancelled_diagnosis_leaves_nothing_behind(
    silent: Namespace, responder: Responder, prober: Prober
) -> None:
    responder.behave = lambda request: None
    sockets = []

    def opened(version: int, raw_only: bool) -> Any:
        sockets.append(sockets_inside(silent)(version, raw_only))
        return sockets[-1]

    begun, before = asyncio.Event(), asyncio.all_tasks()

    async def watch() -> None:
        async with contextlib.aclosing(diagnose.ping(prober, HOST, count=20, open_icmp=opened)) as facts:
            async for _ in facts:
                begun.set()

    watching = asyncio.create_task(watch())
    await begun.wait()
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert sockets[0].is_closed
    assert asyncio.all_tasks() == before


async def test_a_diagnosis_is_not_woken_by_the_answers_to_a_sweep_beside_it(
    silent: Namespace, responder: Responder, prober: Prober
) -> None:
    icmp = sockets_inside(silent)(4, True)
    with IcmpExchange(HOST, 1, icmp) as exchange:
        asyncio.get_running_loop().remove_reader(icmp.sock)
        targets = [Target(n, 0, ProbeKind.ICMP, f"127.30.1.{n}", packets=1, timeout_s=1) for n in range(1, 100)]
        assert {reading.outcome for reading in await prober.sweep(targets)} == {Outcome.OK}
        with pytest.raises(BlockingIOError):
            icmp.sock.recv(1)
        await asyncio.wait([asyncio.create_task(exchange.send(after_s=0, ttl=64))])
        assert icmp.sock.recv(64), "its own"


async def test_a_sweep_beside_a_diagnosis_reads_what_it_would_read_alone(
    silent: Namespace, responder: Responder, prober: Prober
) -> None:
    draw = random.Random(1)
    lossy: dict[str, list[bool]] = {f"127.30.1.{n}": [draw.random() < 0.3 for _ in range(3)] for n in range(1, 200)}
    left = {host: iter(losses) for host, losses in lossy.items()}
    diagnosed = 0

    def behave(request: Request) -> None:
        nonlocal diagnosed
        diagnosed += request.to == HOST
        if request.to == HOST or not next(left[request.to]):
            responder.reply(request)

    responder.behave = behave
    targets = [Target(n, 0, ProbeKind.ICMP, host, spacing_s=0.2, timeout_s=1) for n, host in enumerate(lossy)]
    facts, readings = await asyncio.gather(
        collect(diagnose.ping(prober, HOST, count=10, open_icmp=sockets_inside(silent))), prober.sweep(targets)
    )
    assert isinstance(facts[-1], PingSummary)
    assert (facts[-1].received, diagnosed) == (10, 10)
    for reading, losses in zip(readings, lossy.values(), strict=True):
        answered = losses.count(False)
        assert (reading.sent, len(reading.rtt_us)) == (3, answered)
        assert reading.outcome is (Outcome.OK if answered else Outcome.TIMEOUT)
