"""TCP probe: measures how long a connect takes. One connect per reading, whatever `packets` says."""

import asyncio
import errno
import os
import socket
import struct
import time
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SO_ERROR, SOCK_STREAM, SOL_SOCKET

from probes import outcomes
from probes.contract import Reading, Target

_RTT_US, _RESENT = 68, 100  # offsets in Linux's struct tcp_info


async def probe(target: Target, address: str) -> Reading:
    """Connect to `address`, already checked by the policy.

    A refused connect is a timeout with the reason "refused", as in other monitors: the machine answers, but the
    service that is probed does not. An error at the very start is this machine's own (no route, no port left): a
    fault. A later one came from the network.
    """
    if not target.port:
        return outcomes.fault(target, "a tcp target needs a port")
    with socket.socket(AF_INET6 if ":" in address else AF_INET, SOCK_STREAM) as sock:
        sock.setblocking(False)
        started = time.monotonic_ns()
        code = sock.connect_ex((address, target.port))
        if code not in (0, errno.EINPROGRESS, errno.ECONNREFUSED):
            return outcomes.fault(target, f"cannot connect: {os.strerror(code)}")
        if code == errno.EINPROGRESS:
            try:
                async with asyncio.timeout(target.timeout_s):
                    await _connected(sock)
            except TimeoutError:
                return outcomes.timed_out(target, started)
            code = sock.getsockopt(SOL_SOCKET, SO_ERROR)
        if code:
            return outcomes.unanswered(target, reason=_describe(code))
        return outcomes.answered(target, [_connect_ns(sock, started)])


async def _connected(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    writable = asyncio.Event()
    loop.add_writer(sock, writable.set)
    try:
        await writable.wait()
    finally:
        loop.remove_writer(sock)


def _connect_ns(sock: socket.socket, started: int) -> int:
    """Return the kernel's own measurement, free of our event loop's delay, unless it had to resend the SYN."""
    elapsed = time.monotonic_ns() - started
    info = sock.getsockopt(IPPROTO_TCP, socket.TCP_INFO, _RESENT + 4)
    if len(info) < _RESENT + 4:
        return elapsed
    rtt_us, resent = struct.unpack_from("=I", info, _RTT_US)[0], struct.unpack_from("=I", info, _RESENT)[0]
    return int(rtt_us) * 1000 if rtt_us and not resent else elapsed


def _describe(code: int) -> str:
    return {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset"}.get(code, os.strerror(code).lower())
