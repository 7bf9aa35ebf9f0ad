import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from probes import tcp
from probes.contract import Outcome, ProbeKind, Target


def target(port: int | None, *, timeout_s: float = 1.0) -> Target:
    return Target(7, 100, ProbeKind.TCP, "127.0.0.1", port=port, timeout_s=timeout_s)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        yield server


async def test_an_open_port_answers_with_its_connect_time(listener: socket.socket) -> None:
    reading = await tcp.probe(target(listener.getsockname()[1]), "127.0.0.1")
    assert (reading.key, reading.slot, reading.outcome, reading.sent) == (7, 100, Outcome.OK, 1)
    assert 0 < reading.rtt_us[0] < 20_000


async def test_a_busy_event_loop_does_not_inflate_the_connect_time(listener: socket.socket) -> None:
    look = asyncio.create_task(tcp.probe(target(listener.getsockname()[1]), "127.0.0.1"))
    await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251 (being busy is the point)
    assert (await look).rtt_us[0] < 150_000


async def test_ipv6_is_connected_to_as_well() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        reading = await tcp.probe(target(server.getsockname()[1]), "::1")
    assert reading.outcome is Outcome.OK


async def test_a_refused_connect_is_not_ok_and_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    reading = await tcp.probe(target(port), "127.0.0.1")
    assert (reading.outcome, reading.sent, reading.rtt_us, reading.reason) == (Outcome.TIMEOUT, 1, (), "refused")


async def test_a_port_that_never_answers_times_out() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # they fill the backlog: later ones get no answer
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        reading = await tcp.probe(target(server.getsockname()[1], timeout_s=0.1), "127.0.0.1")
        for client in waiting:
            client.close()
    assert (reading.outcome, reading.sent, reading.reason) == (Outcome.TIMEOUT, 1, "no answer")


async def test_a_connect_that_cannot_even_start_is_our_fault() -> None:
    reading = await tcp.probe(target(80), "255.255.255.255")
    assert (reading.outcome, reading.sent) == (Outcome.FAULT, 0)
    assert "cannot connect" in str(reading.reason)


async def test_a_target_without_a_port_is_a_fault() -> None:
    assert (await tcp.probe(target(None), "127.0.0.1")).outcome is Outcome.FAULT


async def test_a_cancelled_connect_leaves_the_event_loop_clean() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        looks = [asyncio.create_task(tcp.probe(target(server.getsockname()[1]), "127.0.0.1")) for _ in range(9)]
        await asyncio.sleep(0.02)
        for look in looks:
            look.cancel()
        ended = await asyncio.gather(*looks, return_exceptions=True)
    assert any(isinstance(look, asyncio.CancelledError) for look in ended)
