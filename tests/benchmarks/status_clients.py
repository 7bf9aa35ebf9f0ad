"""Those who watch, in a process of their own; what they saw goes to standard output as JSON.

python -m tests.benchmarks.status_clients streams|polls PORT SECONDS TOKEN...
python -m tests.benchmarks.status_clients pings - SECONDS         inside the simulator's network: when packets are sent
"""

import asyncio
import json
import socket
import sys
import time
from collections import Counter
from typing import Any

from tests.support.sse import Sse

STREAMS, POLLS_A_SECOND = 500, 200
ECHO_REQUEST = 8


def token_of(number: int, tokens: int) -> int:
    """The first for every other stream."""
    return number // 2 % tokens if number % 2 else 0


async def streams(port: int, seconds: float, tokens: list[str]) -> dict[str, Any]:
    """When each stream got which event; and for each event and token the sites in it."""
    until = time.time() + seconds
    told: dict[str, list[str]] = {}
    arrivals = await asyncio.gather(*(_watch(port, tokens, n, until, told) for n in range(STREAMS)))
    return {"told": told, "arrivals": arrivals}


async def _watch(
    port: int, tokens: list[str], number: int, until: float, told: dict[str, list[str]]
) -> dict[str, float]:
    which = token_of(number, len(tokens))
    await asyncio.sleep(number / 100)
    stream = await Sse.open(port, "/api/v1/status/stream", {"Authorization": f"Bearer {tokens[which]}"})
    assert stream.status == 200, stream.status
    arrived: dict[str, float] = {}
    while (left := until - time.time()) > 0:
        try:
            event = await stream.event(left)
        except TimeoutError:
            break
        key = f"{which} {event.kind} {event.id}"
        arrived[key] = time.time()
        if key not in told:
            data = event.data
            told[key] = [site["code"] for site in data.get("sites", data.get("changed", []))]
    stream.close()
    return arrived


async def polls(port: int, seconds: float, tokens: list[str]) -> dict[str, Any]:
    """Each asks once a second, with the ETag that it has."""
    until = time.monotonic() + seconds
    took: list[float] = []
    statuses: Counter[str] = Counter()
    pollers = (
        _poll(port, tokens[n % len(tokens)], n / POLLS_A_SECOND, until, took, statuses) for n in range(POLLS_A_SECOND)
    )
    await asyncio.gather(*pollers)
    return {"took": took, "statuses": statuses}


async def _poll(port: int, token: str, phase: float, until: float, took: list[float], statuses: Counter[str]) -> None:
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
        took.append(time.monotonic() - started)
        statuses[first.split()[1]] += 1
        etag = headers.get("etag", etag)
        due = max(due + 1, time.monotonic())
    writer.close()


async def pings(_: int, seconds: float, __: list[str]) -> dict[str, Any]:
    """How many ms after the whole second at which it was due each echo request was on its way."""
    late: list[float] = []

    def take() -> None:
        packet = raw.recv(2048)
        if packet[4 * (packet[0] & 15)] == ECHO_REQUEST:
            late.append(time.time() % 1 * 1000)

    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        asyncio.get_running_loop().add_reader(raw, take)
        await asyncio.sleep(seconds)
        asyncio.get_running_loop().remove_reader(raw)
    return {"late": late}


PARTS = {"streams": streams, "polls": polls, "pings": pings}


if __name__ == "__main__":
    part, port, seconds, *tokens = sys.argv[1:]
    print(json.dumps(asyncio.run(PARTS[part](int(port), float(seconds), tokens))))
