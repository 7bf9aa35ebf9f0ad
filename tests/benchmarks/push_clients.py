"""Many devices that push over HTTP, as a process of its own: options as JSON on stdin, results as JSON on stdout.

Each connection sends one row or batch after the other; the last response is waited for.
"""

import asyncio
import gzip
import json
import resource
import sys
import time
from functools import partial
from typing import Any

ROW = '{"seq":%d,"uptime_s":%d,"sent":3,"rtt_ms":[21.3,22.0,21.8]}'
BEAT = '{"boot":"bench","seq":%d,"uptime_s":%d,"sent":3,"rtt_ms":[21.3,22.0,21.8],"clients":14,"agent":"openwrt/1"}'
BATCH = '{"boot":"bench","uptime_s":%d,"agent":"openwrt/1","waiting":0,"batch":[%s]}'


class PushConnection(asyncio.Protocol):
    """One connection, on which several devices push in turn."""

    def __init__(self, options: dict[str, Any], tokens: list[str]) -> None:
        self.options, self.tokens = options, tokens
        self.sent = [0] * len(tokens)  # requests acknowledged, by device
        self.device, self.began, self.until = 0, 0.0, 0.0
        self.durations_s: list[float] = []
        self.errors: list[str] = []
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def start(self, until: float) -> None:
        self.until = until
        self.send()

    def send(self) -> None:
        self.device = (self.device + 1) % len(self.tokens)
        body, packed = self.body(self.sent[self.device])
        head = (
            f"POST /api/v1/push HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self.tokens[self.device]}\r\n"
            f"Content-Type: application/json\r\n{packed}Content-Length: {len(body)}\r\n\r\n"
        )
        self.began = time.perf_counter()
        self.transport.write(head.encode() + body)

    def body(self, number: int) -> tuple[bytes, str]:
        rows = self.options["rows"]
        if not rows:
            return (BEAT % (number, number + 1)).encode(), ""
        now = (number + 1) * rows
        body = (BATCH % (now, ",".join([ROW % (seq, seq) for seq in range(now - rows, now)]))).encode()
        return (gzip.compress(body, 1), "Content-Encoding: gzip\r\n") if self.options["gzip"] else (body, "")

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        self.received = b""
        self.durations_s.append(time.perf_counter() - self.began)
        if b'"accepted":%d,"duplicates":0,"rejected":[]' % (self.options["rows"] or 1) in body:
            self.sent[self.device] += 1
        else:
            self.errors.append(body.decode())
        if time.perf_counter() < self.until and not self.errors:
            self.send()
        else:
            self.finished.set_result(None)
            self.transport.close()


def _same(connection: PushConnection) -> PushConnection:
    return connection


async def main() -> None:
    options = json.load(sys.stdin)
    loop, count = asyncio.get_running_loop(), options["connections"]
    opened = []
    for number in range(count):
        connection = PushConnection(options, options["tokens"][number::count])
        await loop.create_connection(partial(_same, connection), "127.0.0.1", options["port"])
        opened.append(connection)
    began = time.perf_counter()
    for connection in opened:
        connection.start(began + options["seconds"])
    await asyncio.gather(*(connection.finished for connection in opened))
    durations_s = sorted(duration_s for connection in opened for duration_s in connection.durations_s)
    used = resource.getrusage(resource.RUSAGE_SELF)
    json.dump(
        {
            "seconds": time.perf_counter() - began,
            "requests": sum(sum(connection.sent) for connection in opened),
            "by_token": {
                token: sent
                for connection in opened
                for token, sent in zip(connection.tokens, connection.sent, strict=True)
            },
            "errors": [error for connection in opened for error in connection.errors][:3],
            "p50_ms": durations_s[len(durations_s) // 2] * 1000,
            "p99_ms": durations_s[len(durations_s) * 99 // 100] * 1000,
            "cpu_s": used.ru_utime + used.ru_stime,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    asyncio.run(main())
