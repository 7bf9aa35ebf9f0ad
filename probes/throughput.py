"""Throughput: one object, streamed for so long or until so much came. Facts only, and it never raises.

What may come is bounded three times: we ask for no more (`Range`), the kernel invites no more towards the end (the
window it offers), and we read no more. Redirects are not followed; proxies of the environment are not asked.
"""

import asyncio
import contextlib
import fcntl
import socket
import ssl
import struct
import termios
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import httpx

from probes import http
from probes.echo import Echo, EchoClosed, Ping
from probes.rate import SAMPLE_S, Sample, rate_of

ANSWER_S = 10.0  # until the answer begins
STALL_S = 5.0  # nothing came for so long
SLACK_BYTES = 65_536  # by so much at most the limit may be passed
PIECE_BYTES = 65_536  # the most that is read at once; so near to the limit we hang up
TCP_WINDOW_CLAMP = 10
IDLE_PINGS, PING_EACH_S, PING_TIMEOUT_S = 5, 0.25, 3.0


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    max_bytes: int
    max_s: float
    stall_s: float = STALL_S
    answer_s: float = ANSWER_S


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """What a test found and cost. Without `mbps` the reason says why: what it cost is spent all the same."""

    mbps: float | None = None
    bytes: int = 0  # that came, warm-up included
    seconds: float = 0.0
    reason: str | None = None
    rtt_idle_ms: float | None = None
    rtt_loaded_ms: float | None = None


@dataclass(slots=True)
class DownloadProgress:
    """How much has come."""

    began: float = 0.0
    bytes: int = 0
    left: int = 0  # in the kernel, when we hung up
    samples: list[Sample] = field(default_factory=list)

    def begin(self) -> None:
        self.began = time.monotonic()
        self.samples.append(Sample(0.0, 0))

    def take(self, size: int) -> None:
        self.bytes += size
        if self.elapsed_s - self.samples[-1].at_s >= SAMPLE_S:
            self.sample()

    def sample(self) -> None:
        self.samples.append(Sample(self.elapsed_s, self.bytes))

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began


class _Refused(Exception):
    """The answer is none to measure."""


async def download(
    url: str,
    address: str,
    client: httpx.AsyncClient,
    limits: DownloadLimits,
    *,
    echo: Echo | None = None,
    ping: str | None = None,
) -> DownloadResult:
    """Downloads `url` from `address`, already judged by the policy; round trips to `ping`, where there is ICMP."""
    taken = DownloadProgress()
    idle = await _idle(echo, ping)
    pings: list[tuple[float, float]] = []
    pinging = asyncio.create_task(_ping_on(echo, ping, pings))
    try:
        reason = await _take_all(url, address, client, limits, taken)
    finally:
        pinging.cancel()
        await asyncio.gather(pinging, return_exceptions=True)
    found = DownloadResult(bytes=taken.bytes + taken.left, reason=reason, rtt_idle_ms=idle)
    if not taken.samples:
        return found
    rate = rate_of(taken.samples)
    warm_at = taken.began + rate.warm_up_s
    loaded = [rtt for at, rtt in pings if at >= warm_at]
    found = replace(found, seconds=taken.samples[-1].at_s, rtt_loaded_ms=median(loaded) if loaded else None)
    return replace(found, mbps=rate.mbps, reason=rate.reason) if reason is None else found


async def _take_all(
    url: str, address: str, client: httpx.AsyncClient, limits: DownloadLimits, taken: DownloadProgress
) -> str | None:
    """Why there is nothing to measure."""
    try:
        async with asyncio.timeout(limits.answer_s) as deadline:
            async with _asked(url, address, client, limits) as response:
                _require_body(response)
                taken.begin()
                deadline.reschedule(asyncio.get_running_loop().time() + limits.max_s)
                await _take(response, limits, taken)
    except TimeoutError:
        if not taken.samples:
            return "no_answer"
    except httpx.ReadTimeout:
        return "stalled"
    except _Refused as refused:
        return str(refused)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ssl.SSLError) as error:
        return "cut_off" if taken.samples else _reason(error)
    except Exception as error:
        return f"unexpected: {type(error).__name__}"
    finally:
        if taken.samples:
            taken.sample()
    return None


@contextlib.asynccontextmanager
async def _asked(
    url: str, address: str, client: httpx.AsyncClient, limits: DownloadLimits
) -> AsyncIterator[httpx.Response]:
    request = http.request_to(address, url, client, Range=f"bytes=0-{limits.max_bytes - 1}")
    request.extensions["timeout"] = {"connect": limits.answer_s, "write": limits.answer_s, "read": limits.stall_s}
    response = await client.send(request, stream=True)
    try:
        yield response
    finally:
        await response.aclose()


def _require_body(response: httpx.Response) -> None:
    if response.is_redirect or 300 <= response.status_code < 400:
        raise _Refused("redirected")
    if response.status_code not in {200, 206}:
        raise _Refused(f"status {response.status_code}")


async def _take(response: httpx.Response, limits: DownloadLimits, taken: DownloadProgress) -> None:
    sock, ends = _socket(response), _ends(response, limits)
    room = limits.max_bytes if sock is None else _offer(sock, limits.max_bytes, ends=ends)
    try:
        async for chunk in response.aiter_raw():
            taken.take(len(chunk))
            room = limits.max_bytes - taken.bytes
            if sock is not None:
                room = _offer(sock, room, ends=ends)
            if room <= PIECE_BYTES or taken.elapsed_s >= limits.max_s:
                break
    finally:
        taken.sample()  # before anything else takes time
        if sock is not None:
            taken.left = _waiting(sock)
            _hang_up(sock)


def _socket(response: httpx.Response) -> Any:
    stream = response.extensions.get("network_stream")
    return stream.get_extra_info("socket") if stream is not None else None


def _ends(response: httpx.Response, limits: DownloadLimits) -> bool:
    """Whether the server says that it sends no more than we asked for."""
    announced = response.headers.get("content-length", "")
    return announced.isdecimal() and int(announced[:18]) <= limits.max_bytes


def _offer(sock: Any, room: int, *, ends: bool) -> int:
    """Lets the peer send no more than there is room for, once its window may be larger. What room is left.

    A window slides on with all that comes between two of our turns, which may be far apart: a peer that does not end by
    itself is left a buffer of half the room, too.
    """
    room -= _waiting(sock)
    with contextlib.suppress(OSError, AttributeError):
        if room < 2 * sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) + PIECE_BYTES:  # it may have grown since
            sock.setsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP, max(1, room))
            if not ends:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, max(1, room // 4))  # the kernel doubles it
    return room


def _hang_up(sock: Any) -> None:
    """At once, when it is closed: a peer that waits for room would not notice before it asks again."""
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _waiting(sock: Any) -> int:
    """Bytes that came and were not read."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4))[0])
    except (OSError, ValueError):
        return 0


def _reason(error: BaseException) -> str:
    for cause in http.cause_chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate: {cause.verify_message}"
        if isinstance(cause, ConnectionRefusedError):
            return "refused"
    if isinstance(error, httpx.TimeoutException):
        return "no_answer"
    return "no_http" if isinstance(error, (httpx.ProtocolError, httpx.InvalidURL)) else "unreachable"


async def _idle(echo: Echo | None, address: str | None) -> float | None:
    if echo is None or address is None:
        return None
    try:
        (pong,) = await echo.ping([Ping(address, IDLE_PINGS, PING_EACH_S, PING_TIMEOUT_S)])
    except EchoClosed:
        return None
    return median(pong.rtts_ns) / 1e6 if pong.rtts_ns else None


async def _ping_on(echo: Echo | None, address: str | None, found: list[tuple[float, float]]) -> None:
    """(when it was sent, ms) of each that was answered, until it is cancelled."""
    if echo is None or address is None:
        return

    async def one() -> None:
        sent = time.monotonic()
        (pong,) = await echo.ping([Ping(address, 1, 0.0, PING_TIMEOUT_S)])
        found.extend((sent, rtt / 1e6) for rtt in pong.rtts_ns)

    with contextlib.suppress(EchoClosed):
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(one())
                await asyncio.sleep(PING_EACH_S)
