"""HTTP connections with limits in time and size, over uvicorn's own, which has none."""

import asyncio
import math
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from enum import Enum, auto
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.runtime.connection_table import ConnectionTable
from app.settings import Settings
from app.web.held_requests import HOLD

HEADER_S = 10.0  # from the connection, or a request's first byte, to the end of its header
BODY_S, BODY_BYTES_PER_S = 60.0, 4_000  # a body may take so long, and a second more for so many bytes of it
LINGER_S, LINGER_BYTES = 30.0, 32_000_000  # for the rest of a body that was answered before it was complete
IDLE_S = 65.0  # longer than nginx keeps an unused connection, or it would send a push into one that is being closed
UNREAD_MS = 20_000  # a peer that acknowledges nothing for so long is disconnected
UNSENT_BYTES = 131_072  # as much waits in the kernel for a slow peer; the rest is rendered once there is room
MAX_HEADER_BYTES, MAX_HEADERS = 32_768, 100  # request line included
REFUSED = "\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 5\r\n\r\n"
RESERVED_FILES = 200  # for the database, files, and whatever else is no client's connection


class Phase(Enum):
    """What the peer has yet to send."""

    HEADER = auto()
    BODY = auto()
    NOTHING = auto()  # its request is complete, and being answered
    REST = auto()  # of a body that was answered already
    REQUEST = auto()  # idle: the next one, if it likes


class LingeringTransport:
    """The transport, as responses see it: one that ends the connection leaves what the peer still sends to be read.

    Closed with unread bytes, the kernel would reset the connection, and most clients would never see the response.
    """

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection.transport, name)

    def close(self) -> None:
        self._connection.close_after_body()


class Connection(HttpToolsProtocol):
    """Disconnects peers that are slow or silent, send too large a header, or read nothing."""

    def __init__(self, *args: Any, table: ConnectionTable, **options: Any) -> None:
        super().__init__(*args, **options)
        self._table = table
        self._phase, self._since = Phase.HEADER, self.loop.time()
        self._header_bytes = 0  # of the request line and all header fields of a message
        self._parts = 0  # that the parser has found
        self._unparsed_bytes = 0  # in which it found none
        self._body_bytes = 0
        self._rest_bytes = 0
        self._is_last = False  # it is closed once the rest of this body came
        self._refusal = 400  # what it answers to bytes that it cannot parse

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn declares it so
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        status = self._table.admit(self)
        if status == 200:
            self._table.wait_for_header(self)
        else:
            self.refuse(status)

    def connection_lost(self, exc: Exception | None) -> None:
        self._table.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        parts = self._parts
        super().data_received(data)
        if self._parts != parts:
            self._unparsed_bytes = 0
            return
        self._unparsed_bytes += len(data)
        if self._unparsed_bytes > MAX_HEADER_BYTES:
            self.refuse(431)

    def on_message_begin(self) -> None:
        self._header_bytes = 0
        self._parts += 1
        if self._phase is not Phase.HEADER:  # at first it counts from the connection on
            self._enter(Phase.HEADER)
            self._table.wait_for_header(self)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count_header(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Also for the trailers of a body in chunks."""
        super().on_header(name, value)
        self._count_header(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._table.wait_for_body(self)
        self._enter(Phase.BODY)
        self._body_bytes = 0
        drain = self.app_state.get("drain")
        self.server_state.default_headers = _headers_at(int(time.time()), bool(drain and drain.is_draining))
        self.scope["extensions"] = {HOLD: self._hold}  # type: ignore[dict-item]  # ASGI's has dicts alone
        super().on_headers_complete()
        self.cycle.transport = LingeringTransport(self)  # type: ignore[assignment]

    def close_after_body(self) -> None:
        """Close it now, or send nothing more and close it once the request's body came, or was waited for."""
        if self._phase is Phase.BODY and not self.transport.is_closing():
            self._is_last = True
            self.transport.write_eof()
        else:
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        self._parts += 1
        self._body_bytes += len(body)
        if self._phase is Phase.REST:
            self._rest_bytes += len(body)
            if self._rest_bytes > LINGER_BYTES:
                self.drop()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._parts += 1
        if self._is_last:
            self.transport.close()
        elif self._phase is Phase.REST:
            self._wait_for_request()
        else:
            self._enter(Phase.NOTHING)
            self._table.request_complete(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        if self._phase is Phase.BODY:
            self._rest_bytes = 0
            self._enter(Phase.REST)
        elif self._phase is Phase.NOTHING and is_last:
            self._wait_for_request()

    def send_400_response(self, msg: str) -> None:
        self.refuse(self._refusal)

    def check(self, now: float) -> None:
        """Disconnect a peer that is overdue."""
        if self.flow.read_paused and self._phase is not Phase.REST:  # it waits for us
            self._since = now
        if now - self._since <= self._allowed_s():
            return
        if self._phase is Phase.REQUEST:
            self.transport.close()
        elif self._phase is Phase.REST:
            self.drop()
        else:
            self.refuse(408)

    def _allowed_s(self) -> float:
        """Return how long the peer may take for what it has yet to send."""
        if self._phase is Phase.BODY:
            return BODY_S + self._body_bytes / BODY_BYTES_PER_S
        limits = {Phase.HEADER: HEADER_S, Phase.REST: LINGER_S, Phase.REQUEST: IDLE_S}
        return limits.get(self._phase, math.inf)

    def refuse(self, status: int) -> None:
        """Disconnect the peer with a response that has this status, unless another one is under way."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            reason = HTTPStatus(status).phrase
            self.transport.write(f"HTTP/1.1 {status} {reason}{REFUSED}".encode())
        self.transport.close()

    def drop(self) -> None:
        """Disconnect the peer at once."""
        self._table.remove(self)
        self.transport.abort()

    def shutdown(self) -> None:
        for streams in self.app_state.get("streams", ()):
            streams.end()  # uvicorn would wait for them without end
        super().shutdown()

    def _hold(self) -> None:
        """What takes this request in has limits of its own for it."""
        self._enter(Phase.NOTHING)
        self._table.request_complete(self)

    def _enter(self, phase: Phase) -> None:
        self._phase, self._since = phase, self.loop.time()

    def _wait_for_request(self) -> None:
        self._enter(Phase.REQUEST)
        self._table.wait_for_header(self)

    def _count_header(self, size: int) -> None:
        """Raises ValueError, on which the parser stops, and the connection is refused."""
        self._parts += 1
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES or len(self.headers) > MAX_HEADERS:
            self._refusal = 431
            raise ValueError


@lru_cache(maxsize=1)
def _headers_at(second: int, is_draining: bool) -> list[tuple[bytes, bytes]]:
    """Return what every response has: the last ones of a process also end their connections."""
    date = (b"date", formatdate(second, usegmt=True).encode())
    return [date, (b"connection", b"close")] if is_draining else [date]


def connections(settings: Settings, *, max_files: int) -> Callable[..., Connection]:
    """Return the factory of a process's connections, all in one table. `max_files`: that it may have open."""
    limits = settings.limits
    table = ConnectionTable(
        max_open=min(limits.connections, max(max_files - RESERVED_FILES, 1)),
        max_per_client=limits.connections_per_address,
        proxies=settings.trusted_proxies,
    )
    return partial(Connection, table=table)
