"""Answer echo requests to 127.0.0.0/8 with the delays of the simulated network: raw ICMP sockets on the loopback.

One blocking loop. An answer is due at the kernel's receive timestamp plus the scripted delay, so a busy loop or a long
queue adds nothing to a round trip, unless the answer is overdue by then.
"""

import contextlib
import heapq
import logging
import select
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Callable

from simulator.clock import Clock
from simulator.host_plan import HostPlan
from simulator.scripted_network import EventChange, ScriptedNetwork

_SPIN_NS = 80_000  # the kernel wakes a sleeper about this late, so the last stretch is a busy wait
_BATCH = 64
_IDLE_S = 60.0
_ECHO_REQUEST = 8
_SOL_RAW, _ICMP_FILTER, _SO_TIMESTAMPNS, _SO_RCVBUFFORCE = 255, 1, 35, 33  # constants that Python lacks
_SO_MEMINFO, _MEMINFO_DROPS = 55, struct.Struct("32xI")
_RECEIVE_BYTES = 32 << 20
_STAMP = struct.Struct("qq")
_HEADER = struct.Struct("!BBHHHBBH4s4s")
_TTL = 64

logger = logging.getLogger(__name__)


class Responder:
    """`run()` answers until `stop()`; `set_plan(plan)` and `stop()` may be called from any thread.

    The clock starts with the first plan; until then the canaries alone answer.
    """

    def __init__(
        self,
        network: ScriptedNetwork,
        clock: Clock,
        on_change: Callable[[EventChange], None],
        *,
        on_start: Callable[[int], None],
    ) -> None:
        self._network = network
        self._clock = clock
        self._on_change = on_change
        self._on_start = on_start
        self._requests = _request_socket()
        self._answers = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._plans: deque[HostPlan] = deque(maxlen=1)
        self._stopping = False
        self._request_counts: Counter[bytes] = Counter()
        self._due: list[tuple[int, int, bytes, str]] = []  # (monotonic ns, order, packet, destination)
        self._order = 0
        self._dropped = 0

    def fileno(self) -> int:
        """Return the descriptor that a signal's wake-up byte is written to."""
        return self._waker.fileno()

    def set_plan(self, plan: HostPlan) -> None:
        self._plans.append(plan)
        self._wake()

    def stop(self) -> None:
        self._stopping = True
        self._wake()

    def run(self) -> None:
        while not self._stopping:
            now_ns = self._clock.refresh()
            self._advance(self._clock.since_start(now_ns))
            wait_s = self._send_due()
            readable, _, _ = select.select([self._requests, self._woken], [], [], wait_s)
            if self._woken in readable:
                self._apply_plans()
            if self._requests in readable:
                self._receive()

    def close(self) -> None:
        for handle in (self._requests, self._answers, self._woken, self._waker):
            handle.close()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: the loop wakes up anyhow
            self._waker.send(b"!")

    def _apply_plans(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        while self._plans:
            self._network.set_plan(self._plans.popleft())
            if not self._clock.started:
                self._on_start(self._clock.start())

    def _advance(self, now_s: float) -> None:
        if now_s >= self._network.next_change_s:
            for change in self._network.advance(now_s):
                self._on_change(change)

    def _receive(self) -> None:
        now_ns = self._clock.refresh()
        for _ in range(_BATCH):
            try:
                packet, extras, _, sender = self._requests.recvmsg(65_535, 64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            stamp_ns = _stamp_ns(extras)
            arrived_ns = now_ns if stamp_ns is None else self._clock.arrived(stamp_ns, now_ns)
            self._schedule_reply(packet, sender[0], arrived_ns)
        self._report_drops()

    def _report_drops(self) -> None:
        """Log requests that the kernel dropped before we read them: a loss that no script asked for."""
        meminfo = self._requests.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO_DROPS.size)
        (dropped,) = _MEMINFO_DROPS.unpack(meminfo)
        if dropped > self._dropped:
            logger.warning("%d echo requests came too fast and were dropped", dropped - self._dropped)
            self._dropped = dropped

    def _schedule_reply(self, packet: bytes, sender: str, arrived_ns: int) -> None:
        now_s = self._clock.since_start(arrived_ns)
        self._advance(now_s)
        address = packet[16:20]
        link = self._network.plan.links.get(address)
        if link is None or not link.answers:
            return
        self._request_counts[address] += 1
        delay_s = self._network.answer_delay_s(address, now_s, self._request_counts[address])
        if delay_s is not None:
            self._order += 1
            due_ns = arrived_ns + round(delay_s * 1e9)
            heapq.heappush(self._due, (due_ns, self._order, reply(packet), sender))

    def _send_due(self) -> float:
        """Send what is due, busy-waiting where sleeping is too coarse; return how long to sleep."""
        while self._due:
            left_ns = self._due[0][0] - time.monotonic_ns()
            if left_ns > _SPIN_NS:
                return min((left_ns - _SPIN_NS) / 1e9, self._until_change_s())
            if left_ns <= 0:
                _, _, packet, destination = heapq.heappop(self._due)
                self._send(packet, destination)
        return self._until_change_s()

    def _send(self, packet: bytes, destination: str) -> None:
        try:
            self._answers.sendto(packet, (destination, 0))
        except OSError as problem:
            logger.warning("an answer to %s could not be sent: %s", destination, problem)

    def _until_change_s(self) -> float:
        if not self._clock.started:
            return _IDLE_S
        now_s = self._clock.since_start(time.monotonic_ns())
        return min(max(self._network.next_change_s - now_s, 0.0), _IDLE_S)


def _request_socket() -> socket.socket:
    """Open a raw socket that receives echo requests alone, timestamped by the kernel, with room for a burst."""
    handle = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    handle.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("I", ~(1 << _ECHO_REQUEST) & 0xFFFFFFFF))
    handle.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    try:
        handle.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
    except PermissionError:  # in a user namespace: as much as net.core.rmem_max allows
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    return handle


def reply(request: bytes) -> bytes:
    """Return the echo reply to a received IP packet, its addresses swapped; the kernel fills in the IP checksum."""
    options = (request[0] & 0x0F) * 4
    body = request[options + 4 :]
    (checksum,) = struct.unpack_from("!H", request, options + 2)
    checksum += _ECHO_REQUEST << 8  # the type falls from 8 to 0, so the one's complement sum rises by as much
    checksum = (checksum & 0xFFFF) + (checksum >> 16)
    header = _HEADER.pack(0x45, 0, 24 + len(body), 0, 0, _TTL, socket.IPPROTO_ICMP, 0, request[16:20], request[12:16])
    return header + struct.pack("!BBH", 0, 0, checksum) + body


def _stamp_ns(extras: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, content in extras:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _STAMP.unpack(content)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return None
