"""Downloads one object for a limited time and size, to measure throughput. Never raises.

What may arrive is bounded three times: we request no more (`Range`), the kernel offers a smaller TCP window towards the
end, and we read no more. Redirects are not followed, proxies of the environment not used.
"""

import asyncio
import contextlib
import fcntl
import socket
import ssl
import struct
import termios
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import httpx

from probes import http
from probes.echo import Echo, EchoClosed, Ping
from probes.rate import SAMPLE_S, Sample, rate_of

ANSWER_S = 10.0  # until the response begins
STALL_S = 5.0  # without any byte
SLACK_BYTES = 65_536  # the most by which the limit may be exceeded
CHUNK_BYTES = 65_536  # the most that is read at once; this near to the limit the download ends
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
    """What a download measured and cost. `reason` says why there is no `mbps`; its bytes are spent all the same."""

    mbps: float | None = None
    bytes: int = 0  # received, warm-up included
    seconds: float = 0.0
    reason: str | None = None
    rtt_idle_ms: float | None = None
    rtt_loaded_ms: float | None = None


@dataclass(slots=True)
class DownloadProgress:
    """How much has been received, and when."""

    started_at: float = 0.0
    bytes: int = 0
    unread: int = 0  # left in the kernel at the end
    samples: list[Sample] = field(default_factory=list)
    on_bytes: Callable[[], None] = lambda: None

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.samples.append(Sample(0.0, 0))

    def add(self, size: int) -> None:
        self.bytes += size
        self.on_bytes()
        if self.elapsed_s - self.samples[-1].at_s >= SAMPLE_S:
            self.sample()

    def sample(self) -> None:
        self.samples.append(Sample(self.elapsed_s, self.bytes))

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started_at


class _Refused(Exception):
    """The response is none to measure."""


async def download(
    url: str,
    address: str,
    client: httpx.AsyncClient,
    limits: DownloadLimits,
    *,
    echo: Echo | None = None,
    ping: str | None = None,
    on_bytes: Callable[[], None] = lambda: None,
) -> DownloadResult:
    """Download `url` from `address`, already checked by the policy, with round trips to `ping` where there is ICMP.

    `on_bytes` is called whenever some arrived.
    """
    progress = DownloadProgress(on_bytes=on_bytes)
    idle_ms = await _idle_rtt_ms(echo, ping)
    pings: list[tuple[float, float]] = []
    pinging = asyncio.create_task(_ping_until_cancelled(echo, ping, pings))
    try:
        reason = await _receive(url, address, client, limits, progress)
    finally:
        pinging.cancel()
        await asyncio.gather(pinging, return_exceptions=True)
    result = DownloadResult(bytes=progress.bytes + progress.unread, reason=reason, rtt_idle_ms=idle_ms)
    if not progress.samples:
        return result
    rate = rate_of(progress.samples)
    warm_up_ends_at = progress.started_at + rate.warm_up_s
    loaded = [rtt_ms for sent_at, rtt_ms in pings if sent_at >= warm_up_ends_at]
    result = replace(result, seconds=progress.samples[-1].at_s, rtt_loaded_ms=median(loaded) if loaded else None)
    return replace(result, mbps=rate.mbps, reason=rate.reason) if reason is None else result


async def _receive(
    url: str, address: str, client: httpx.AsyncClient, limits: DownloadLimits, progress: DownloadProgress
) -> str | None:
    """Fill `progress`; return why there is nothing to measure, None if there is."""
    try:
        async with asyncio.timeout(limits.answer_s) as deadline:
            async with _open_response(url, address, client, limits) as response:
                _require_body(response)
                progress.start()
                deadline.reschedule(asyncio.get_running_loop().time() + limits.max_s)
                await _read_body(response, limits, progress)
    except TimeoutError:
        if not progress.samples:
            return "no_answer"
    except httpx.ReadTimeout:
        return "stalled"
    except _Refused as refused:
        return str(refused)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ssl.SSLError) as error:
        return "cut_off" if progress.samples else _reason(error)
    except Exception as error:
        return f"unexpected: {type(error).__name__}"
    finally:
        if progress.samples:
            progress.sample()
    return None


@contextlib.asynccontextmanager
async def _open_response(
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


async def _read_body(response: httpx.Response, limits: DownloadLimits, progress: DownloadProgress) -> None:
    sock, is_bounded = _socket(response), _is_bounded(response, limits)
    room = limits.max_bytes if sock is None else _limit_window(sock, limits.max_bytes, is_bounded=is_bounded)
    try:
        async for chunk in response.aiter_raw():
            progress.add(len(chunk))
            room = limits.max_bytes - progress.bytes
            if sock is not None:
                room = _limit_window(sock, room, is_bounded=is_bounded)
            if room <= CHUNK_BYTES or progress.elapsed_s >= limits.max_s:
                break
    finally:
        progress.sample()  # before anything else takes time
        if sock is not None:
            progress.unread = _unread_bytes(sock)
            _reset_on_close(sock)


def _socket(response: httpx.Response) -> Any:
    stream = response.extensions.get("network_stream")
    return stream.get_extra_info("socket") if stream is not None else None


def _is_bounded(response: httpx.Response, limits: DownloadLimits) -> bool:
    """Whether the server announces no more than we requested."""
    announced = response.headers.get("content-length", "")
    return announced.isdecimal() and int(announced[:18]) <= limits.max_bytes


def _limit_window(sock: Any, room: int, *, is_bounded: bool) -> int:
    """Shrink the TCP window to the room left once it may be larger; return the room left, unread bytes deducted.

    The window slides on with all that arrives between two calls, which may be far apart: for a peer that does not end
    by itself the receive buffer shrinks too, to half of the room.
    """
    room -= _unread_bytes(sock)
    with contextlib.suppress(OSError, AttributeError):
        if room < 2 * sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) + CHUNK_BYTES:  # the buffer may have grown
            sock.setsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP, max(1, room))
            if not is_bounded:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, max(1, room // 4))  # the kernel doubles it
    return room


def _reset_on_close(sock: Any) -> None:
    """Reset the connection when it is closed: a peer that waits for window would not notice before its next probe."""
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _unread_bytes(sock: Any) -> int:
    """Return how many received bytes were not read."""
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


async def _idle_rtt_ms(echo: Echo | None, address: str | None) -> float | None:
    if echo is None or address is None:
        return None
    try:
        (pong,) = await echo.ping([Ping(address, IDLE_PINGS, PING_EACH_S, PING_TIMEOUT_S)])
    except EchoClosed:
        return None
    return median(pong.rtts_ns) / 1e6 if pong.rtts_ns else None


async def _ping_until_cancelled(echo: Echo | None, address: str | None, rtts: list[tuple[float, float]]) -> None:
    """Add (sent at, RTT in ms) of each answered ping to `rtts`, until cancelled."""
    if echo is None or address is None:
        return

    async def ping_once() -> None:
        sent_at = time.monotonic()
        (pong,) = await echo.ping([Ping(address, 1, 0.0, PING_TIMEOUT_S)])
        rtts.extend((sent_at, rtt / 1e6) for rtt in pong.rtts_ns)

    with contextlib.suppress(EchoClosed):
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(ping_once())
                await asyncio.sleep(PING_EACH_S)
