"""Measured throughput against known links: four rates over two paths, all at once.

The servers run in a process of their own and count acknowledged bytes, so neither event loop distorts the result.
"""

import asyncio
import itertools
import multiprocessing
import struct
import sys
from multiprocessing.connection import Connection
from socket import IPPROTO_TCP, TCP_INFO

from probes import http
from probes.throughput import SLACK_BYTES, DownloadLimits, DownloadResult, download
from simulator.shaped_server import Shape, send

RATES_MBPS, PATHS_MS = (2, 20, 50, 200), (30, 600)
SECONDS = {30: 5.0, 600: 10.0}  # at 200 Mbps over 600 ms the rate rises for 6 s: a shorter test has no result
LIMIT_PCT, ROUNDS = 10.0, 3
BUDGETS_MB = (1, 12, 25, 100)
ACKED = 120  # tcpi_bytes_acked of struct tcp_info


def main() -> None:
    asyncio.run(_main())


async def _main() -> None:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    ports: dict[Shape, int] = await asyncio.to_thread(ours.recv)
    try:
        worst = 0.0
        print("link                  measured Mbps (error) in each round")
        rounds = [await asyncio.gather(*(_measure(shape, ports[shape]) for shape in ports)) for _ in range(ROUNDS)]
        for shape, results in zip(ports, zip(*rounds, strict=True), strict=True):
            errors = [_error_pct(shape, result) for result in results]
            worst = max([worst, *errors])
            line = ", ".join(
                f"{result.mbps or 0:.2f} ({error:.1f}%)" for result, error in zip(results, errors, strict=True)
            )
            print(f"{shape.mbps:>3} Mbps over {shape.rtt_ms:>3.0f} ms  {line}")
        print(f"worst error: {worst:.1f}% (limit {LIMIT_PCT:g}%)")
        over = await _spent(ports[Shape(200, 30)], ours)
        if worst > LIMIT_PCT or over > SLACK_BYTES:
            sys.exit("FAILED")
    finally:
        process.terminate()


def _error_pct(shape: Shape, result: DownloadResult) -> float:
    return 100.0 if result.mbps is None else abs(result.mbps / shape.mbps - 1) * 100


async def _measure(shape: Shape, port: int) -> DownloadResult:
    return await _pull(port, DownloadLimits(max_bytes=2_000_000_000, max_s=SECONDS[int(shape.rtt_ms)]))


async def _pull(port: int, limits: DownloadLimits) -> DownloadResult:
    async with http.open_client() as client:
        return await download(f"http://127.0.0.1:{port}/", "127.0.0.1", client, limits)


async def _spent(port: int, counted: Connection) -> int:
    """Return the most bytes beyond a limit, by the sender's kernel."""
    most = -SLACK_BYTES
    for budget_mb in BUDGETS_MB:
        await asyncio.sleep(0.5)  # until the servers have reported earlier tests
        while counted.poll():
            counted.recv()
        result = await _pull(port, DownloadLimits(max_bytes=budget_mb * 1_000_000, max_s=10))
        acked = await asyncio.to_thread(counted.recv)
        most = max(most, acked - budget_mb * 1_000_000)
        print(f"{budget_mb} MB allowed: {acked:,} bytes sent and acknowledged, {result.bytes:,} counted")
    print(f"most beyond a limit: {max(0, most):,} bytes (limit {SLACK_BYTES:,})")
    return most


def _serve(pipe: Connection) -> None:
    asyncio.run(_served(pipe))


async def _served(pipe: Connection) -> None:
    ports = {}
    for mbps, rtt_ms in itertools.product(RATES_MBPS, PATHS_MS):
        shape = Shape(mbps, rtt_ms)
        server = await asyncio.start_server(_serving(shape, pipe), "127.0.0.1", 0)
        ports[shape] = server.sockets[0].getsockname()[1]
    pipe.send(ports)
    await asyncio.Event().wait()


def _serving(shape: Shape, pipe: Connection) -> "asyncio.streams._ClientConnectedCallback":
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket").dup()
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000000\r\n\r\n")
            await send(writer, shape)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            pipe.send(struct.unpack_from("Q", sock.getsockopt(IPPROTO_TCP, TCP_INFO, 232), ACKED)[0])
            sock.close()
            writer.close()

    return serve
