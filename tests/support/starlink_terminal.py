"""A Starlink terminal on loopback: gRPC's own server, which answers `get_status` with a recorded shape."""

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from probes.starlink_terminal import PATH

GET_STATUS = bytes.fromhex("e23e00")
LATITUDE = struct.pack("<d", -0.361700)  # in fields that a terminal may fill, and that are not read


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: bytes | int | float) -> bytes:
    """Encode one field: text and messages by their length, numbers as varints, floats as such."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def status_message(
    *,
    drop: float = 0.0,
    uptime_s: int = 86_400,
    outage: int | None = None,
    alerts: tuple[int, ...] = (),
    more: bytes = b"",
) -> bytes:
    """A `Response` with the fields that terminals send; `outage`: its cause, `alerts`: their field numbers."""
    info = field(1, b"ut01000000-00000000-006d6312") + field(2, b"rev4_prod2") + field(3, b"2026.10.20.mr44742")
    status = field(1, info) + field(2, field(1, uptime_s))
    status += field(1003, drop) if drop else b""
    status += field(1004, field(1, 0.0125) + field(4, 86_000.0)) + field(1007, 4_200_000.0) + field(1009, 41.5)
    status += field(1005, b"".join(field(number, 1) for number in alerts)) if alerts else b""
    if outage is not None:
        status += field(1014, field(1, outage) + field(2, 1_400_000_000_000_000_000) + field(3, 90_000_000_000))
    return field(1, 7) + field(3, 43) + field(2004, status + more)


def framed(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


class Terminal:
    def __init__(self) -> None:
        self.message = status_message()
        self.requests: list[bytes] = []
        self.port = 0

    def handle(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.requests.append(request)
        return self.message


@contextmanager
def open_terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    service, method = PATH.removeprefix("/").split("/")
    handler = grpc.unary_unary_rpc_method_handler(terminal.handle)  # bytes in, bytes out
    server = grpc.server(
        ThreadPoolExecutor(1), handlers=[grpc.method_handlers_generic_handler(service, {method: handler})]
    )
    terminal.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield terminal
    finally:
        server.stop(None).wait()
