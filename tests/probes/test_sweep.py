import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from socket import AF_INET, IPPROTO_ICMP, SOCK_RAW

import pytest

from probes import icmp_socket, sweep, tcp
from probes.contract import Outcome, ProbeKind, Reading, Target
from probes.icmp_socket import IcmpNotPermitted
from probes.own_addresses import OwnAddresses
from probes.policy import AddressPolicy
from probes.resolve import Resolver
from probes.sweep import Prober
from simulator.namespace import Namespace
from tests.probes.conftest import Request, Responder

LOOPBACK = AddressPolicy(allow=["127.0.0.0/8", "::1"])


def icmp(host: str, *, key: int = 1, packets: int = 1, timeout_s: float = 0.5) -> Target:
    return Target(key, 100, ProbeKind.ICMP, host, packets=packets, spacing_s=0.01, timeout_s=timeout_s, valid_s=30)


def at(port: int, *, host: str = "127.0.0.1", key: int = 1) -> Target:
    return Target(key, 100, ProbeKind.TCP, host, port=port, timeout_s=0.5)


@asynccontextmanager
async def prober(
    namespace: Namespace, *, policy: AddressPolicy = LOOPBACK, resolver: Resolver | None = None, connections: int = 200
) -> AsyncIterator[Prober]:
    sockets = [namespace.socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)]
    async with Prober.open(policy, sockets=sockets, resolver=resolver, connections=connections) as opened:
        yield opened


async def read(prober: Prober, target: Target) -> Reading:
    (reading,) = await prober.sweep([target])
    return reading


async def test_targets_of_all_kinds_get_a_reading_each_in_their_order(answering: Namespace) -> None:
    async def hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hello, "127.0.0.1", 0) as server, prober(answering) as p:
        port = server.sockets[0].getsockname()[1]
        web = Target(3, 100, ProbeKind.HTTP, "", url=f"http://127.0.0.1:{port}/")
        push = Target(4, 100, ProbeKind.PUSH, "")
        targets = [at(port, key=0), icmp("127.0.0.1", key=1), icmp("10.0.0.1", key=2), web, push]
        readings = await p.sweep([*targets, icmp("127.3.3.3", key=5, packets=3)])
    assert [reading.key for reading in readings] == [0, 1, 2, 3, 4, 5]
    ok, fault = Outcome.OK, Outcome.FAULT
    assert [reading.outcome for reading in readings] == [ok, ok, fault, ok, fault, ok]
    assert len(readings[5].rtt_us) == readings[5].sent == 3
    assert readings[1].valid_s == 30


async def test_one_answer_of_three_is_ok_none_is_a_timeout(responder: Responder, silent: Namespace) -> None:
    seen: list[str] = []

    def last_only(request: Request) -> None:
        seen.append(request.to)
        if request.to == "127.0.0.1" and seen.count(request.to) == 3:
            responder.reply(request)

    responder.behave = last_only
    async with prober(silent) as p:
        some, none = await p.sweep([icmp(h, packets=3, timeout_s=0.1) for h in ("127.0.0.1", "127.0.0.2")])
    assert (some.outcome, some.sent, len(some.rtt_us)) == (Outcome.OK, 3, 1)
    assert (none.outcome, none.sent, none.rtt_us) == (Outcome.TIMEOUT, 3, ())


async def test_a_packet_that_cannot_leave_makes_a_fault(silent: Namespace) -> None:
    async with prober(silent) as p:
        reading = await read(p, icmp("192.0.2.1"))
    assert (reading.outcome, reading.sent) == (Outcome.FAULT, 0)
    assert reading.reason == "not sent: Network is unreachable"


@pytest.mark.parametrize("host", ["10.0.0.1", "::ffff:10.0.0.1", "2130706433", "0x7f.1", "", "no name"])
async def test_the_policy_is_checked_before_every_probe(answering: Namespace, host: str) -> None:
    targets = [icmp(host), at(80, host=host), Target(1, 1, ProbeKind.HTTP, "", url=f"http://{host}/")]
    async with prober(answering, policy=AddressPolicy()) as p:
        readings = await p.sweep(targets)
    assert all(reading.outcome is Outcome.FAULT and reading.reason for reading in readings)
    assert p.echo is not None
    assert p.echo.counters.sent == 0


async def test_a_refused_address_among_others_is_a_fault_in_its_place(answering: Namespace) -> None:
    hosts = ["127.0.0.1", "10.0.0.1", "::ffff:127.0.0.2", "198.51.100.7", "64:ff9b::10.0.0.9", "127.0.0.3"]
    own = OwnAddresses(interfaces=lambda: {ip_address("198.51.100.7")})
    policy = AddressPolicy(allow=["127.0.0.0/8"], own=own)
    async with prober(answering, policy=policy) as p:
        readings = await p.sweep([icmp(host, key=key) for key, host in enumerate(hosts)])
    assert [(reading.key, reading.outcome.value, reading.reason) for reading in readings] == [
        (0, "ok", None),
        (1, "fault", "10.0.0.1 is in 10.0.0.0/8, where probes may not go"),
        (2, "ok", None),
        (3, "fault", "198.51.100.7 is this machine's own address, where probes may not go"),
        (4, "fault", "64:ff9b::a00:9 (it carries 10.0.0.9) is in 10.0.0.0/8, where probes may not go"),
        (5, "ok", None),
    ]


async def test_a_name_is_judged_by_its_addresses_and_an_allowed_one_is_used(answering: Namespace) -> None:
    names = {"inside.id": ["10.0.0.1"], "mixed.id": ["10.0.0.1", "127.0.0.9"]}
    async with prober(answering, resolver=Resolver(lookup=lambda name: names[name])) as p:
        inside, mixed = await p.sweep([icmp("inside.id"), icmp("mixed.id")])
        cached = await read(p, icmp("mixed.id"))
    assert inside.outcome is Outcome.FAULT
    assert "10.0.0.0/8" in str(inside.reason)
    assert mixed.outcome is cached.outcome is Outcome.OK


async def test_a_mapped_address_is_pinged_as_the_ipv4_it_is(answering: Namespace) -> None:
    async with prober(answering) as p:
        assert (await read(p, icmp("::ffff:127.0.0.1"))).outcome is Outcome.OK


async def test_a_hung_resolver_faults_its_names_and_holds_up_nobody_elses_packets(
    responder: Responder, silent: Namespace
) -> None:
    started = time.monotonic()
    arrived: list[float] = []
    release = threading.Event()

    def note(request: Request) -> None:
        arrived.append(time.monotonic() - started)
        responder.reply(request)

    responder.behave = note
    resolver = Resolver(lookup=lambda name: [str(release.wait(5))], timeout_s=0.3)
    async with prober(silent, resolver=resolver) as p:
        named, literal = await p.sweep([icmp("hung.id"), icmp("127.0.0.1")])
    release.set()
    assert literal.outcome is Outcome.OK
    assert arrived[0] < 0.25
    assert (named.outcome, named.sent) == (Outcome.FAULT, 0)
    assert "no answer from the resolver" in str(named.reason)


async def test_whatever_goes_wrong_inside_is_a_fault(answering: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(prober: Prober, sweep: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setitem(sweep.PROBES, ProbeKind.TCP, broken)
    async with prober(answering) as p:
        bad, good = await p.sweep([at(80), icmp("127.0.0.1")])
    assert (bad.outcome, bad.reason) == (Outcome.FAULT, "unexpected: RuntimeError: boom")
    assert good.outcome is Outcome.OK


async def test_one_broken_probe_does_not_spoil_its_neighbours(
    answering: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = tcp.probe

    async def touchy(target: Target, address: str) -> Reading:
        if target.key == 2:
            raise RuntimeError("boom")
        return await probe(target, address)

    monkeypatch.setattr(tcp, "probe", touchy)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        async with prober(answering) as p:
            readings = await p.sweep([at(port, key=key) for key in (1, 2, 3)])
    assert [reading.outcome for reading in readings] == [Outcome.OK, Outcome.FAULT, Outcome.OK]


async def test_a_target_that_makes_no_sense_is_a_fault_alone(answering: Namespace) -> None:
    async with prober(answering) as p:
        readings = await p.sweep([icmp("127.0.0.1", packets=0), icmp("127.0.0.1")])
    assert [reading.outcome for reading in readings] == [Outcome.FAULT, Outcome.OK]


async def test_at_the_deadline_what_is_missing_is_a_fault(answering: Namespace) -> None:
    async with prober(answering) as p:
        slow = Target(1, 1, ProbeKind.ICMP, "127.0.0.1", packets=3, spacing_s=60)
        reading = (await p.sweep([slow], deadline_s=0.1))[0]
        assert (reading.outcome, reading.reason) == (Outcome.FAULT, "the sweep's deadline came first")
        assert p.echo is not None
        assert p.echo.in_flight == 0
        assert (await read(p, icmp("127.0.0.1"))).outcome is Outcome.OK


async def test_connections_stay_within_their_limit(answering: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once: list[int] = [0, 0]

    async def count(target: Target, address: str) -> Reading:
        at_once[0] += 1
        at_once[1] = max(at_once)
        await asyncio.sleep(0.01)
        at_once[0] -= 1
        return Reading(target.key, target.slot, Outcome.OK, 1, (1,), target.valid_s)

    monkeypatch.setattr(tcp, "probe", count)
    async with prober(answering, connections=3) as p:
        await p.sweep([at(80) for _ in range(20)])
    assert at_once[1] == 3


async def test_without_icmp_the_other_kinds_still_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden() -> list[socket.socket]:
        raise IcmpNotPermitted

    monkeypatch.setattr(icmp_socket, "open_icmp_sockets", forbidden)
    with socket.create_server(("127.0.0.1", 0)) as server:
        async with Prober.open(LOOPBACK) as p:
            ping, connect = await p.sweep([icmp("127.0.0.1"), at(server.getsockname()[1])])
    assert "CAP_NET_RAW" in str(p.icmp_problem)
    assert (ping.outcome, ping.reason) == (Outcome.FAULT, p.icmp_problem)
    assert connect.outcome is Outcome.OK


async def test_a_sweep_under_way_when_the_prober_stops_ends_in_faults(silent: Namespace) -> None:
    async with prober(silent) as p:
        under_way = asyncio.create_task(p.sweep([icmp("127.0.0.1", timeout_s=60)]))
        await asyncio.sleep(0.05)
    (reading,) = await under_way
    assert (reading.outcome, reading.reason) == (Outcome.FAULT, "the prober was stopped")


async def test_thousands_of_sites_in_one_sweep(answering: Namespace) -> None:
    hosts = [f"127.1.{n // 250}.{n % 250 + 1}" for n in range(5_000)]
    async with prober(answering) as p:
        readings = await p.sweep([icmp(host, key=n, packets=2) for n, host in enumerate(hosts)])
    assert [reading.key for reading in readings] == list(range(5_000))
    assert all(reading.outcome is Outcome.OK and reading.sent == 2 for reading in readings)
