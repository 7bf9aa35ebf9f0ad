import asyncio
import errno
import itertools
import socket
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import uvloop
from numpy.typing import NDArray

from probes import packet_io
from probes.echo import Echo, EchoClosed, Ping, PingBatch, prepare_addresses
from simulator.namespace import Namespace
from tests.probes.conftest import OpenEcho, Request, Responder, answer_to, with_checksum

LOOPBACKS = [f"127.{1 + i // 62_500}.{i // 250 % 250}.{i % 250 + 1}" for i in range(100_000)]
MS = 1_000_000


@pytest.fixture(autouse=True, params=["libc", "socket module"])
def calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test here runs with both ways to send and receive."""
    if request.param == "socket module":
        monkeypatch.setattr(packet_io, "find_libc", lambda: None)
    else:
        assert packet_io.find_libc()


async def until(true: Callable[[], bool], *, within_s: float = 2.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 (what is waited for is a counter)
            await asyncio.sleep(0.005)


async def test_every_packet_to_every_host_is_answered_in_order(answering: Namespace, open_echo: OpenEcho) -> None:
    async with open_echo(answering) as echo:
        pongs = await echo.ping([Ping(address, 3, 0.01, 1.0) for address in LOOPBACKS[:100]])
    assert [pong.address for pong in pongs] == LOOPBACKS[:100]
    assert all(pong.sent == 3 and len(pong.rtts_ns) == 3 and not pong.faults for pong in pongs)
    assert echo.counters.sent == echo.counters.received == 300


@pytest.mark.parametrize("kind", [socket.SOCK_RAW, socket.SOCK_DGRAM])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_raw_and_unprivileged_sockets_of_both_families_measure(
    answering: Namespace, open_echo: OpenEcho, kind: int, address: str
) -> None:
    async with open_echo(answering, kind=kind) as echo:
        (pong,) = await echo.ping([Ping(address, 3, 0.01, 1.0)])
    assert pong.sent == len(pong.rtts_ns) == 3
    assert all(0 < rtt < 200 * MS for rtt in pong.rtts_ns)


async def test_addresses_match_in_any_spelling(answering: Namespace, open_echo: OpenEcho) -> None:
    async with open_echo(answering) as echo:
        (pong,) = await echo.ping([Ping("0:0:0:0:0:0:0:1", 1)])
    assert pong.address == "::1"
    assert len(pong.rtts_ns) == 1


async def test_where_a_sandbox_refuses_to_receive_a_batch_packets_are_received_one_by_one(
    answering: Namespace, open_echo: OpenEcho, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(io: packet_io.PacketIO) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(packet_io.LibcPacketIO, "receive", refuse)
    async with open_echo(answering) as echo:
        (pong,) = await echo.ping([Ping("127.0.0.1", 1)])
    assert (len(pong.rtts_ns), echo.counters.receive_errors) == (1, 0)


async def test_it_runs_under_uvloop(answering: Namespace, open_echo: OpenEcho) -> None:
    async def measure() -> int:
        async with open_echo(answering) as echo:
            return sum(len(pong.rtts_ns) for pong in await echo.ping([Ping(a, 2, 0.01) for a in LOOPBACKS[:50]]))

    assert await asyncio.to_thread(uvloop.run, measure()) == 100


async def test_a_busy_event_loop_does_not_inflate_the_round_trip(
    responder: Responder, silent: Namespace, open_echo: OpenEcho
) -> None:
    def reply_and_be_busy(request: Request) -> None:
        responder.reply(request)
        time.sleep(0.2)

    responder.behave = reply_and_be_busy
    async with open_echo(silent) as echo:
        (pong,) = await echo.ping([Ping("127.0.0.1", 1)])
    assert pong.rtts_ns[0] < 150 * MS


async def test_an_answer_that_waited_in_the_buffer_past_its_timeout_counts(
    responder: Responder, silent: Namespace, open_echo: OpenEcho
) -> None:
    def reply_and_oversleep(request: Request) -> None:
        responder.reply(request)
        time.sleep(0.3)

    responder.behave = reply_and_oversleep
    async with open_echo(silent) as echo:
        (pong,) = await echo.ping([Ping("127.0.0.1", 1, timeout_s=0.1)])
    assert len(pong.rtts_ns) == 1


async def test_however_many_answers_waited_in_the_buffer_all_of_them_count(
    responder: Responder, silent: Namespace, open_echo: OpenEcho
) -> None:
    held: list[Request] = []

    def reply_to_all_and_oversleep(request: Request) -> None:
        held.append(request)
        if len(held) == 400:
            for each in held:
                responder.reply(each)
            time.sleep(1.2)

    responder.behave = reply_to_all_and_oversleep
    async with open_echo(silent) as echo:
        pongs = await echo.ping([Ping(address, 1, timeout_s=1) for address in LOOPBACKS[:400]])
    assert sum(len(pong.rtts_ns) for pong in pongs) == 400


async def test_an_answer_after_the_timeout_is_late_even_if_we_were_later_still(
    responder: Responder, silent: Namespace, open_echo: OpenEcho
) -> None:
    def oversleep_and_reply(request: Request) -> None:
        time.sleep(0.1)
        responder.reply(request)

    responder.behave = oversleep_and_reply
    async with open_echo(silent) as echo:
        (pong,) = await echo.ping([Ping("127.0.0.1", 1, timeout_s=0.05)])
    assert (pong.sent, pong.rtts_ns, pong.faults) == (1, [], 0)
    assert echo.counters.late == 1


async def test_a_slow_host_is_measured_as_slow(responder: Responder, silent: Namespace, open_echo: OpenEcho) -> None:
    loop = asyncio.get_running_loop()
    responder.behave = lambda request: loop.call_later(0.04, responder.reply, request)
    async with open_echo(silent) as echo:
        (pong,) = await echo.ping([Ping("127.0.0.1", 1)])
    assert 40 * MS <= pong.rtts_ns[0] < 400 * MS


async def test_a_sweep_ends_with_its_last_answer_not_with_its_timeout(
    answering: Namespace, open_echo: OpenEcho
) -> None:
    started = time.monotonic()
    async with open_echo(answering) as echo:
        await echo.ping([Ping("127.0.0.1", 1, timeout_s=30)])
    assert time.monotonic() - started < 1


async def test_a_silent_host_is_lost_after_its_own_timeout(
    responder: Responder, silent: Namespace, open_echo: OpenEcho
) -> None:
    def half_dead(request: Request) -> None:
        if request.to == "127.0.0.1":
            responder.reply(request)

    responder.behave = half_dead
    started = time.monotonic()
    async with open_echo(silent) as echo:
        alive, dead = await echo.ping([Ping("127.0.0.1", 1, timeout_s=9), Ping("127.0.0.2", 2, 0.05, 0.1)])
    assert 0.15 <= time.monotonic() - started < 5
    assert (alive.sent, len(alive.rtts_ns), alive.faults) == (1, 1, 0)
    assert (dead.sent, dead.rtts_ns, dead.faults) == (2, [], 0)


async def test_answers_keep_the_order_of_sending(responder: Responder, silent: Namespace, open_echo: OpenEcho) -> None:
    loop = asyncio.get_running_loop()
    delays = iter([0.15, 0.0])
    responder.behave = lambda request: loop.call_later(next(delays), responder.reply, request)
    async with open_echo(silent) as echo:
        (pong,) = await echo.ping([Ping("127.0.0.1", 2, spacing_s=0.01)])
    assert pong.rtts_ns[0] > 100 * MS > pong.rtts_ns[1]


async def test_a_duplicate_is_counted_once_as_an_answer(
    responder: Responder, silent: Namespace, open_echo: OpenEcho
) -> None:
    def twice(request: Request) -> None:
        responder.reply(request)
        responder.reply(request)

    responder.behave = twice
    async with open_echo(silent) as echo:
        (pong,) = await echo.ping([Ping("127.0.0.1", 2, 0.01)])
        await until(lambda: echo.counters.duplicates == 2)
    assert len(pong.rtts_ns) == 2
    assert echo.counters.received == 2


async def test_a_late_answer_stays_lost(responder: Responder, silent: Namespace, open_echo: OpenEcho) -> None:
    loop = asyncio.get_running_loop()
    responder.behave = lambda request: loop.call_later(0.1, responder.reply, request)
    async with open_echo(silent) as echo:
        (pong,) = await echo.ping([Ping("127.0.0.1", 1, timeout_s=0.05)])
        await until(lambda: echo.counters.late == 1)
    assert (pong.sent, pong.rtts_ns, pong.faults) == (1, [], 0)
    assert echo.counters.received == 0


async def test_an_answer_from_another_source_is_foreign_and_the_true_one_still_counts(
    responder: Responder, silent: Namespace, open_echo: OpenEcho
) -> None:
    def spoof(request: Request) -> None:
        responder.reply(request, source="127.9.9.9")
        if request.to == "127.0.0.2":
            responder.reply(request)

    responder.behave = spoof
    async with open_echo(silent) as echo:
        fooled, true = await echo.ping([Ping("127.0.0.1", 1, 0, 0.1), Ping("127.0.0.2", 1, 0, 0.1)])
    assert (fooled.rtts_ns, len(true.rtts_ns)) == ([], 1)
    assert echo.counters.foreign == 2


async def test_damaged_and_foreign_answers_are_counted_and_never_matched(
    responder: Responder, silent: Namespace, open_echo: OpenEcho
) -> None:
    def noise(request: Request) -> None:
        answer = answer_to(request.icmp)
        responder.reply(request, icmp=answer[:-1] + b"\xff")  # the checksum no longer fits
        responder.reply(request, icmp=with_checksum(b"\0\0\0\0\1\1" + answer[6:]))  # another identifier
        responder.reply(request, icmp=with_checksum(answer[:12] + bytes(8) + answer[20:]))  # another nonce
        responder.reply(request, icmp=with_checksum(b"\0\1" + answer[2:]))  # a reply with a code

    responder.behave = noise
    async with open_echo(silent) as echo:
        (pong,) = await echo.ping([Ping("127.0.0.1", 1, timeout_s=0.1)])
    assert (pong.sent, pong.rtts_ns) == (1, [])
    assert (echo.counters.malformed, echo.counters.foreign) == (2, 2)


async def test_what_the_kernel_dropped_is_our_fault_never_their_loss(answering: Namespace) -> None:
    sock = answering.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    async with Echo.open(packets_per_second=0, sockets=[sock]) as echo:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        pongs = await echo.ping([Ping(address, 1, timeout_s=0.1) for address in LOOPBACKS[:500]])
    unanswered = [pong for pong in pongs if not pong.rtts_ns]
    assert unanswered
    assert echo.counters.drops >= len(unanswered)
    assert all(pong.sent == 0 and pong.faults == 1 for pong in unanswered)
    assert all("overflow" in str(pong.reason) for pong in unanswered)


async def test_a_sweep_without_drops_is_not_blamed_for_an_earlier_one(responder: Responder, silent: Namespace) -> None:
    sock = silent.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    async with Echo.open(packets_per_second=0, sockets=[sock]) as echo:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        await echo.ping([Ping(address, 1, timeout_s=0.1) for address in LOOPBACKS[:500]])
        assert echo.counters.drops
        responder.behave = lambda request: None
        (pong,) = await echo.ping([Ping("127.0.0.1", 1, timeout_s=0.1)])
    assert (pong.sent, pong.rtts_ns, pong.faults) == (1, [], 0)


async def test_a_packet_that_is_refused_for_a_moment_is_sent_again(
    answering: Namespace, open_echo: OpenEcho, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = iter([{1}, {0}, {0}])  # which packets of each batch

    def send_but(io: packet_io.PacketIO, count: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        now = next(refused, set())
        real = io.to[:count].copy()
        io.to[list(now)] = prepare_addresses(["127.77.0.1"])[0]  # elsewhere: its answer is foreign
        errnos, sent_at = send(io, count)
        io.to[:count] = real
        errnos[list(now)] = errno.ENOBUFS
        return errnos, sent_at

    sender: Any = packet_io.LibcPacketIO if packet_io.find_libc() else packet_io.PacketIO
    send = sender.send
    monkeypatch.setattr(sender, "send", send_but)
    async with open_echo(answering) as echo:
        pongs = await echo.ping([Ping(address, 1, timeout_s=1) for address in LOOPBACKS[:3]])
    assert [(pong.sent, len(pong.rtts_ns), pong.faults) for pong in pongs] == [(1, 1, 0)] * 3
    assert (echo.counters.send_errors, echo.counters.sent, echo.counters.received) == (3, 3, 3)


async def test_a_packet_that_is_refused_again_and_again_is_a_fault(
    answering: Namespace, open_echo: OpenEcho, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(io: packet_io.PacketIO, count: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        return np.full(count, errno.EPERM, np.int32), np.zeros(count, np.int64)

    monkeypatch.setattr(packet_io.LibcPacketIO, "send", refuse)
    monkeypatch.setattr(packet_io.PacketIO, "send", refuse)
    async with open_echo(answering) as echo:
        (pong,) = await echo.ping([Ping("127.0.0.1", 2, 0.01)])
    assert (pong.sent, pong.faults, pong.reason) == (0, 2, "not sent: Operation not permitted")
    assert echo.counters.send_errors == 12


async def test_a_packet_that_cannot_leave_is_a_fault_with_its_reason(silent: Namespace, open_echo: OpenEcho) -> None:
    async with open_echo(silent) as echo:
        (pong,) = await echo.ping([Ping("192.0.2.1", 3, 0.01, 0.1)])  # the namespace has no route
    assert (pong.sent, pong.faults, pong.rtts_ns) == (0, 3, [])
    assert pong.reason == "not sent: Network is unreachable"
    assert echo.counters.send_errors == 3


async def test_a_ping_that_makes_no_sense_is_a_fault_and_the_rest_goes_on(answering: Namespace) -> None:
    sock = answering.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    pings = [Ping("127.0.0.1", 1), Ping("::1", 1), Ping("localhost"), Ping("127.0.0.1", count=0)]
    pings += [Ping("127.0.0.1", 1, spacing_s=float("nan")), Ping("127.0.0.1", 1, timeout_s=float("inf"))]
    async with Echo.open(sockets=[sock]) as echo:
        good, *bad = await echo.ping(pings)
    assert len(good.rtts_ns) == 1
    assert all(pong.sent == 0 and pong.reason for pong in bad)


async def test_the_rows_of_a_batch_are_hosts_of_any_kind(silent: Namespace, open_echo: OpenEcho) -> None:
    to = prepare_addresses(["192.0.2.1", "localhost", "127.0.0.1", "127.0.0.1", "192.0.2.1"])
    count, spacing, timeout = np.array([2, 1, 3, 0, 1], np.int32), np.full(5, 10 * MS), np.arange(1, 6) * 10 * MS
    async with open_echo(silent) as echo:
        pongs = await echo.sweep(PingBatch(to, count, spacing, timeout))
    assert (pongs.sent.tolist(), pongs.faults.tolist()) == ([0, 0, 3, 0, 0], [2, 1, 0, 0, 1])
    assert pongs.rtts_ns.tolist() == [[-1] * 3] * 5
    assert pongs.answers() == [[]] * 5
    assert sorted(pongs.reasons) == [0, 1, 3, 4]
    assert pongs.reasons[1] == "not an address"
    assert pongs.take(slice(1, 4)).reasons == {0: "not an address", 2: pongs.reasons[3]}


async def test_hosts_of_both_families_and_any_timing_share_a_sweep(answering: Namespace, open_echo: OpenEcho) -> None:
    pings = [Ping(("::1", "127.0.0.1")[n % 2], 1 + n % 3, 0.01 * (n % 4), 1 + n % 5) for n in range(120)]
    async with open_echo(answering) as echo:
        pongs = await echo.ping(pings)
    assert [(pong.address, pong.sent, len(pong.rtts_ns)) for pong in pongs] == [
        (ping.address, ping.count, ping.count) for ping in pings
    ]


async def test_answers_that_gather_unread_all_count(
    responder: Responder, silent: Namespace, open_echo: OpenEcho
) -> None:
    loop = asyncio.get_running_loop()
    delays = itertools.count()
    responder.behave = lambda request: loop.call_later(next(delays) / 1000, responder.reply, request)
    async with open_echo(silent) as echo:
        pongs = await echo.ping([Ping(address, 1, timeout_s=2) for address in LOOPBACKS[:100]])
        late = asyncio.create_task(echo.ping([Ping("127.0.0.1", 1, timeout_s=0.05)]))
        await late
        await until(lambda: echo.counters.late == 1)  # read although no sweep is under way
    assert all(len(pong.rtts_ns) == 1 for pong in pongs)


async def test_tens_of_thousands_in_flight_at_once_lose_none(
    responder: Responder, silent: Namespace, open_echo: OpenEcho
) -> None:
    hosts = LOOPBACKS[:25_000]
    held: list[Request] = []
    most = 0

    def hold(request: Request) -> None:
        nonlocal most
        held.append(request)
        if len(held) == len(hosts):
            most = echo.in_flight
            release()

    def release() -> None:
        for request in held[:100]:
            responder.reply(request)
        del held[:100]
        if held:
            asyncio.get_running_loop().call_soon(release)

    responder.behave = hold
    async with open_echo(silent) as echo:
        pongs = await echo.ping([Ping(address, 1, timeout_s=20) for address in hosts])
        assert echo.in_flight == 0
    assert most == len(hosts)
    assert sum(len(pong.rtts_ns) for pong in pongs) == len(hosts)


async def test_more_hosts_than_there_are_sequence_numbers(answering: Namespace, open_echo: OpenEcho) -> None:
    async with open_echo(answering, packets_per_second=0) as echo:
        pongs = await echo.ping([Ping(address, 1, timeout_s=10) for address in LOOPBACKS])
    assert sum(len(pong.rtts_ns) for pong in pongs) == len(LOOPBACKS)
    assert echo.counters.drops == 0


async def test_many_sweeps_share_one_socket(answering: Namespace, open_echo: OpenEcho) -> None:
    async with open_echo(answering) as echo:
        sweeps = [echo.ping([Ping(a, 2, 0.01) for a in LOOPBACKS[n * 50 : n * 50 + 50]]) for n in range(20)]
        answers = await asyncio.gather(*sweeps)
    for n, pongs in enumerate(answers):
        assert [pong.address for pong in pongs] == LOOPBACKS[n * 50 : n * 50 + 50]
        assert all(len(pong.rtts_ns) == 2 for pong in pongs)


async def test_sweeps_that_begin_together_leave_together(
    answering: Namespace, open_echo: OpenEcho, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    for kind in (packet_io.PacketIO, packet_io.LibcPacketIO):

        def send(io: packet_io.PacketIO, count: int, *, original: Any = kind.send) -> Any:
            sizes.append(count)
            return original(io, count)

        monkeypatch.setattr(kind, "send", send)
    async with open_echo(answering) as echo:
        pings = [
            [Ping(address, 2, 0.02, timeout_s)] for address, timeout_s in zip(LOOPBACKS, (1, 1, 2, 3), strict=False)
        ]
        pongs = await asyncio.gather(*(echo.ping(of_sweep) for of_sweep in pings))
    assert all(len(pong.rtts_ns) == 2 for [pong] in pongs)
    assert sizes == [4, 4]


async def test_sending_keeps_to_its_pace(answering: Namespace, open_echo: OpenEcho) -> None:
    async with open_echo(answering, packets_per_second=1_000) as echo:
        started = time.monotonic()
        await echo.ping([Ping(address, 1) for address in LOOPBACKS[:400]])
        assert 0.38 <= time.monotonic() - started < 3


async def test_packets_to_one_host_keep_their_spacing(
    responder: Responder, silent: Namespace, open_echo: OpenEcho
) -> None:
    times: list[float] = []

    def note(request: Request) -> None:
        times.append(time.monotonic())
        responder.reply(request)

    responder.behave = note
    async with open_echo(silent) as echo:
        await echo.ping([Ping("127.0.0.1", 4, spacing_s=0.05)])
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(0.045 <= gap < 0.5 for gap in gaps)


async def test_a_cancelled_sweep_leaves_nothing_and_the_others_go_on(
    responder: Responder, silent: Namespace, open_echo: OpenEcho
) -> None:
    loop = asyncio.get_running_loop()
    responder.behave = lambda request: loop.call_later(0.15, responder.reply, request)
    async with open_echo(silent) as echo:
        doomed = asyncio.create_task(echo.ping([Ping(a, 9, 0.01, 5) for a in LOOPBACKS[:100]]))
        other = asyncio.create_task(echo.ping([Ping("127.0.0.1", 1)]))
        await asyncio.sleep(0.05)
        doomed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doomed
        assert echo.in_flight == 1
        (pong,) = await other
        assert len(pong.rtts_ns) == 1
        assert echo.in_flight == 0
        sent = echo.counters.sent
        await until(lambda: echo.counters.late > 0)
        assert echo.counters.sent == sent


async def test_a_sweep_cancelled_while_answers_gather_leaves_no_socket_unheard(
    answering: Namespace, open_echo: OpenEcho
) -> None:
    async with open_echo(answering, packets_per_second=1_000) as echo:  # while more are to leave, answers gather
        sockets = echo._engine.sockets.values()
        sweep = asyncio.create_task(echo.ping([Ping(address, 3, 1.0) for address in LOOPBACKS[:500]]))
        await until(lambda: any(each.gathering for each in sockets))
        sweep.cancel()
        await asyncio.gather(sweep, return_exceptions=True)
        assert not any(each.gathering for each in sockets)


async def test_closing_ends_what_is_under_way(silent: Namespace, open_echo: OpenEcho) -> None:
    async with open_echo(silent) as echo:
        under_way = asyncio.create_task(echo.ping([Ping("127.0.0.1", 3, timeout_s=60)]))
        await asyncio.sleep(0.02)
    with pytest.raises(EchoClosed):
        await under_way
    with pytest.raises(EchoClosed):
        await echo.ping([Ping("127.0.0.1")])


async def test_a_sweep_of_no_hosts_ends_at_once(silent: Namespace, open_echo: OpenEcho) -> None:
    async with open_echo(silent) as echo:
        assert await echo.ping([]) == []
