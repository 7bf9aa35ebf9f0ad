"""Clients of the status, as a process of its own; results as JSON on standard output.

python -m tests.benchmarks.status_clients streams|polls PORT SECONDS TOKEN...
python -m tests.benchmarks.status_clients pings - SECONDS         in the simulator's namespace: when packets leave
"""

import asyncio
import json
import socket
import sys
import time
from collections import Counter
from typing import Any

from tests.support.sse import Sse

STREAMS, POLLS_PER_SECOND = 500, 200
ECHO_REQUEST = 8


def token_of(number: int, tokens: int) -> int:
    """Return the index of a stream's token: the first one for every other stream."""
    return number // 2 % tokens if number % 2 else 0


async def streams(port: int, seconds: float, tokens: list[str]) -> dict[str, Any]:
    """Return when each stream got which event, and the sites in each event by token."""
    until = time.time() + seconds
    sites_by_event: dict[str, list[str]] = {}
    arrivals = await asyncio.gather(*(_watch(port, tokens, n, until, sites_by_event) for n in range(STREAMS)))
    return {"sites_by_event": sites_by_event, "arrivals": arrivals}


async def _watch(
    port: int, tokens: list[str], number: int, until: float, sites_by_event: dict[str, list[str]]
) -> dict[str, float]:
    token_index = token_of(number, len(tokens))
    await asyncio.sleep(number / 100)
    stream = await Sse.open(port, "/api/v1/status/stream", {"Authorization": f"Bearer {tokens[token_index]}"})
    assert stream.status == 200, stream.status
    arrived: dict[str, float] = {}
    while (left := until - time.time()) > 0:
        try:
            event = await stream.event(left)
        except TimeoutError:
            break
        key = f"{token_index} {event.kind} {event.id}"
        arrived[key] = time.time()
        if key not in sites_by_event:
            data = event.data
            sites_by_event[key] = [site["code"] for site in data.get("sites", data.get("changed", []))]
    stream.close()
    return arrived


async def polls(port: int, seconds: float, tokens: list[str]) -> dict[str, Any]:
    """Poll once a second from each client, with its last ETag."""
    until = time.monotonic() + seconds
    durations_s: list[float] = []
    statuses: Counter[str] = Counter()
    pollers = (
        _poll(port, tokens[n % len(tokens)], n / POLLS_PER_SECOND, until, durations_s, statuses)
        for n in range(POLLS_PER_SECOND)
    )
    await asyncio.gather(*pollers)
    return {"durations_s": durations_s, "statuses": statuses}


async def _poll(
    port: int, token: str, phase: float, until: float, durations_s: list[float], statuses: Counter[str]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    etag = ""
    due = time.monotonic() + phase
    while due < until:
        await asyncio.sleep(due - time.monotonic())
        started = time.monotonic()
        writer.write(
            f"GET /api/v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nAccept-Encoding: gzip\r\n"
            f"If-None-Match: {etag}\r\n\r\n".encode()
        )
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        await reader.readexactly(int(headers.get("content-length", 0)))
        durations_s.append(time.monotonic() - started)
        statuses[first.split()[1]] += 1
        etag = headers.get("etag", etag)
        due = max(due + 1, time.monotonic())
    writer.close()


async def pings(_: int, seconds: float, __: list[str]) -> dict[str, Any]:
    """Return how many ms after its due whole second each echo request was sent."""
    late: list[float] = []

    def receive() -> None:
        packet = raw.recv(2048)
        if packet[4 * (packet[0] & 15)] == ECHO_REQUEST:
            late.append(time.time() % 1 * 1000)

    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        asyncio.get_running_loop().add_reader(raw, receive)
        await asyncio.sleep(seconds)
        asyncio.get_running_loop().remove_reader(raw)
    return {"late": late}


PARTS = {"streams": streams, "polls": polls, "pings": pings}


if __name__ == "__main__":
    part, port, seconds, *tokens = sys.argv[1:]
    print(json.dumps(asyncio.run(PARTS[part](int(port), float(seconds), tokens))))
