"""When echo requests really leave this machine, seen from outside the service: the kernel's times on the loopback."""

import ctypes
import select
import socket
import struct
import threading
from ipaddress import IPv4Address
from types import TracebackType

ETH_P_IP, SO_ATTACH_FILTER, SO_TIMESTAMPNS = 0x0800, 26, 35
LOAD_BYTE, LOAD_WORD, AND, JUMP_IF_EQUAL, RETURN = 0x30, 0x20, 0x54, 0x15, 0x06
PROTOCOL, DESTINATION, ICMP_TYPE = 9, 16, 20  # offsets from the IPv4 header
QUIET_S = 4.0  # packets of one look follow each other after a second


class PacketTimes(threading.Thread):
    """Notes the first packet of each look at the addresses that equal `value` under `mask`. Needs CAP_NET_RAW."""

    def __init__(self, *, mask: int, value: int) -> None:
        super().__init__(daemon=True)
        self.looks: dict[str, list[float]] = {}  # by address: seconds since 1970
        self._last: dict[str, float] = {}
        self._ends = threading.Event()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        _attach_filter(self._socket, mask, value)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("lo", ETH_P_IP))

    def run(self) -> None:
        while not self._ends.is_set():
            if select.select([self._socket], [], [], 0.5)[0]:
                packet, ancillary, *_ = self._socket.recvmsg(64, 64)
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
                self._note(str(IPv4Address(packet[DESTINATION : DESTINATION + 4])), seconds + nanoseconds / 1e9)

    def _note(self, address: str, at: float) -> None:
        if at - self._last.get(address, 0.0) > QUIET_S:
            self.looks.setdefault(address, []).append(at)
        self._last[address] = at

    def __enter__(self) -> "PacketTimes":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ends.set()
        self.join()
        self._socket.close()


def _attach_filter(target: socket.socket, mask: int, value: int) -> None:
    """Have the kernel drop all but echo requests to the chosen addresses: the rest costs no copy."""
    program = [
        (LOAD_BYTE, 0, 0, PROTOCOL),
        (JUMP_IF_EQUAL, 0, 6, socket.IPPROTO_ICMP),
        (LOAD_BYTE, 0, 0, ICMP_TYPE),
        (JUMP_IF_EQUAL, 0, 4, 8),
        (LOAD_WORD, 0, 0, DESTINATION),
        (AND, 0, 0, mask),
        (JUMP_IF_EQUAL, 0, 1, value),
        (RETURN, 0, 0, 64),
        (RETURN, 0, 0, 0),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    target.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    )
