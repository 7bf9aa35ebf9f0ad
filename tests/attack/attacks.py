"""The requests that once stopped the service, thirty at once, from an address of their own.

python -m tests.attack.attacks NAME    options as JSON on stdin, what was answered as JSON on stdout
"""

import asyncio
import contextlib
import gzip
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx

from tests.importing.bombs import SWELLING

ADDRESS = "127.0.0.66"
AT_ONCE, PATIENCE_S = 30, 30.0
MARKS = "a" + "\u0316\u0301" * 20_000  # sorted by combining class: quadratic where it is normalised unbounded
LONG = "\u0301" * 80_000  # 160 kB
API = "/api/v1"


@dataclass
class Target:
    """The service under attack. `token` is a district admin's, `device_token` a site's."""

    port: int
    push_port: int
    token: str
    device_token: str
    seconds: float
    answers: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.until = time.monotonic() + self.seconds
        self.numbers = itertools.count(1)
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}",
            transport=httpx.AsyncHTTPTransport(local_address=ADDRESS, limits=httpx.Limits(max_connections=AT_ONCE)),
            timeout=20,
            trust_env=False,
        )

    @property
    def signed_in(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def request(self, method: str, path: str, **options: Any) -> None:
        try:
            self.answers[str((await self.client.request(method, path, **options)).status_code)] += 1
        except httpx.HTTPError as error:
            self.answers[type(error).__name__] += 1

    async def push(self, **options: Any) -> None:
        await self.request("POST", f"http://127.0.0.1:{self.push_port}{API}/push", **options)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the API and to ingest in turn."""
        port = (self.port, self.push_port)[next(self.numbers) % 2]
        return await asyncio.open_connection("127.0.0.1", port, local_addr=(ADDRESS, 0))


Attack = Callable[[Target], Awaitable[None]]


async def sign_in_marks(target: Target) -> None:
    """12: a password that takes quadratic time to normalise."""
    await target.request("POST", f"{API}/session", json={"username": "ana", "password": MARKS})


async def sign_in_many(target: Target) -> None:
    """12: sign-ins of as many names as there are requests: each costs an argon2 hash."""
    await target.request("POST", f"{API}/session", json={"username": f"no{next(target.numbers)}", "password": "x" * 60})


async def account_marks(target: Target) -> None:
    """12: the same password for a new account, and a long text in every place that takes one."""
    body = {"username": LONG, "name": LONG, "password": MARKS, "role": "viewer", "region_code": LONG}
    await target.request("POST", f"{API}/accounts", json=body, headers=target.signed_in)
    await target.request("GET", f"{API}/sites", params={"q": LONG[:8_000]}, headers=target.signed_in)


async def deep_json(target: Target) -> None:
    """12: a body of nested lists."""
    body = b'{"username":' + b"[" * 400_000
    await target.request("POST", f"{API}/session", content=body, headers={"Content-Type": "application/json"})


async def import_bombs(target: Target) -> None:
    """13: spreadsheets that unpack to gigabytes."""
    await _import(target, _bombs()[next(target.numbers) % len(SWELLING)], "sites.xlsx")


async def import_line(target: Target) -> None:
    """13: a CSV file of one line."""
    await _import(target, b'village_code,technology,provider,probe\n"' + b"x" * 19_000_000, "sites.csv")


async def _import(target: Target, content: bytes, name: str) -> None:
    path = f"{API}/sites/import?dry_run=true"
    await target.request("POST", path, files={"file": (name, content)}, headers=target.signed_in)


async def unknown_keys(target: Target) -> None:
    """14: a body of 66,000 unknown keys."""
    body = {f"k{number}": 1 for number in range(66_000)}
    await target.request("POST", f"{API}/sites", json=body, headers=target.signed_in)


async def lone_surrogates(target: Target) -> None:
    """15: text that is no Unicode, in a body, a query and a push."""
    body = b'{"username": "ana", "password": "geheim\\ud800"}'
    await target.request("POST", f"{API}/session", content=body, headers={"Content-Type": "application/json"})
    await target.request("GET", f"{API}/sites?q=%ed%a0%80&region=%00", headers=target.signed_in)
    row = b'{"boot": "b\\ud800", "seq": 1, "sent": 3, "rtt_ms": [20], "agent": "\\udfff\\u0000"}'
    await target.push(content=row, headers={"Authorization": f"Bearer {target.device_token}"})


async def made_up_tokens(target: Target) -> None:
    """16: a new bearer with each request, and a good one with blanks around it."""
    number = next(target.numbers)
    await target.request("GET", f"{API}/status", headers={"Authorization": f"Bearer made-up-{number}"})
    padded = f"Bearer {' ' * (number % 50)}{target.token}"
    await target.request("GET", f"{API}/status/summary", headers={"Authorization": padded})
    await target.push(json={}, headers={"Authorization": f"Bearer sd-{number}"})


async def silent_connections(target: Target) -> None:
    """17: connections that say nothing, or a header byte now and then."""
    opened = []
    for number in range(40):
        with contextlib.suppress(OSError):
            reader, writer = await target.connect()
            if number % 2:
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ")
            opened.append((reader, writer))
    while time.monotonic() < target.until and opened:
        await asyncio.sleep(1)
        for reader, writer in list(opened):
            if reader.at_eof() or writer.is_closing():
                target.answers["cut"] += 1
                opened.remove((reader, writer))
            else:
                writer.write(b"a")
    target.answers["held to the end"] += len(opened)
    for _, writer in opened:
        writer.close()


async def slow_body(target: Target) -> None:
    """17: a body of a megabyte, a byte a second."""
    reader, writer = await target.connect()
    writer.write(b"POST /api/v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
    while time.monotonic() < target.until and not (reader.at_eof() or writer.is_closing()):
        writer.write(b"{")
        await asyncio.sleep(1)
    target.answers["cut" if reader.at_eof() or writer.is_closing() else "held to the end"] += 1
    writer.close()


async def long_request_line(target: Target) -> None:
    """17: a request line of up to 180 MB."""
    reader, writer = await target.connect()
    piece, sent = b"a" * 65_536, 0
    writer.write(b"GET /")
    with contextlib.suppress(OSError):
        while sent < 180_000_000 and not reader.at_eof() and not writer.is_closing():
            writer.write(piece)
            sent += len(piece)
            await writer.drain()
    target.answers["cut within 1 MB" if sent < 1_000_000 else f"read {sent // 1_000_000} MB"] += 1
    writer.close()


async def many_streams(target: Target) -> None:
    """17: one caller opens 1,000 streams, and holds them."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(34):
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port, local_addr=(ADDRESS, 0))
            stack.callback(writer.close)
            head = f"GET {API}/status/stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {target.token}\r\n\r\n"
            writer.write(head.encode())
            status = (await reader.readline()).split()
            target.answers[status[1].decode() if len(status) > 1 else "cut"] += 1
        await asyncio.sleep(max(0.0, target.until - time.monotonic()))


async def push_bomb(target: Target) -> None:
    """A push that unpacks to a gigabyte."""
    headers = {"Authorization": f"Bearer {target.device_token}", "Content-Encoding": "gzip"}
    await target.push(content=_zeros(), headers=headers)


@cache
def _bombs() -> list[bytes]:
    return [make() for make in SWELLING.values()]


@cache
def _zeros() -> bytes:
    return gzip.compress(b" " * 500_000_000, 9)


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        sign_in_marks,
        sign_in_many,
        account_marks,
        deep_json,
        import_bombs,
        import_line,
        unknown_keys,
        lone_surrogates,
        made_up_tokens,
        silent_connections,
        slow_body,
        long_request_line,
        many_streams,
        push_bomb,
    )
}


async def run(attack: Attack, target: Target) -> Counter[str]:
    """Let thirty attackers repeat the attack until the time is over; return what they were answered."""

    async def attacker() -> None:
        while time.monotonic() < target.until:
            try:
                await attack(target)
            except OSError as error:
                target.answers[type(error).__name__] += 1
                await asyncio.sleep(0.2)

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*(attacker() for _ in range(AT_ONCE))), target.seconds + PATIENCE_S)
    await target.client.aclose()
    return target.answers


def main() -> None:
    os.nice(5)
    if sys.argv[1] == "import_bombs":
        _bombs()
    if sys.argv[1] == "push_bomb":
        _zeros()
    print("ready", flush=True)
    options = json.loads(sys.stdin.readline())
    print(json.dumps(asyncio.run(run(ATTACKS[sys.argv[1]], Target(**options)))))


if __name__ == "__main__":
    main()
