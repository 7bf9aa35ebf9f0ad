"""Many devices that push over HTTP, in a process of their own: asks of stdin, in JSON, and tells in JSON what was
acknowledged. Each sends one row or batch after the other; what is under way at the end is waited for."""

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


class Line(asyncio.Protocol):
    """One connection, for devices that take turns on it."""

    def __init__(self, asked: dict[str, Any], tokens: list[str]) -> None:
        self.asked, self.tokens = asked, tokens
        self.sent = [0] * len(tokens)  # requests acknowledged, by device
        self.turn, self.began, self.until = 0, 0.0, 0.0
        self.took: list[float] = []
        self.bad: list[str] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def start(self, until: float) -> None:
        self.until = until
        self.send()

    def send(self) -> None:
        self.turn = (self.turn + 1) % len(self.tokens)
        body, packed = self.body(self.sent[self.turn])
        head = (
            f"POST /api/v1/push HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self.tokens[self.turn]}\r\n"
            f"Content-Type: application/json\r\n{packed}Content-Length: {len(body)}\r\n\r\n"
        )
        self.began = time.perf_counter()
        self.transport.write(head.encode() + body)

    def body(self, number: int) -> tuple[bytes, str]:
        rows = self.asked["rows"]
        if not rows:
            return (BEAT % (number, number + 1)).encode(), ""
        now = (number + 1) * rows
        body = (BATCH % (now, ",".join([ROW % (seq, seq) for seq in range(now - rows, now)]))).encode()
        return (gzip.compress(body, 1), "Content-Encoding: gzip\r\n") if self.asked["gzip"] else (body, "")

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        self.received = b""
        self.took.append(time.perf_counter() - self.began)
        if b'"accepted":%d,"duplicates":0,"rejected":[]' % (self.asked["rows"] or 1) in body:
            self.sent[self.turn] += 1
        else:
            self.bad.append(body.decode())
        if time.perf_counter() < self.until and not self.bad:
            self.send()
        else:
            self.over.set_result(None)
            self.transport.close()


def _itself(line: Line) -> Line:
    return line


async def main() -> None:
    asked = json.load(sys.stdin)
    loop, connections = asyncio.get_running_loop(), asked["connections"]
    lines = []
    for number in range(connections):
        line = Line(asked, asked["tokens"][number::connections])
        await loop.create_connection(partial(_itself, line), "127.0.0.1", asked["port"])
        lines.append(line)
    began = time.perf_counter()
    for line in lines:
        line.start(began + asked["seconds"])
    await asyncio.gather(*(line.over for line in lines))
    took = sorted(one for line in lines for one in line.took)
    used = resource.getrusage(resource.RUSAGE_SELF)
    json.dump(
        {
            "seconds": time.perf_counter() - began,
            "requests": sum(sum(line.sent) for line in lines),
            "by_token": {token: sent for line in lines for token, sent in zip(line.tokens, line.sent, strict=True)},
            "bad": [bad for line in lines for bad in line.bad][:3],
            "p50_ms": took[len(took) // 2] * 1000,
            "p99_ms": took[len(took) * 99 // 100] * 1000,
            "cpu_s": used.ru_utime + used.ru_stime,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    asyncio.run(main())
