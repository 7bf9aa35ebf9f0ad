"""Which connections a process keeps open: so many of one client, so many in all, and none that is overdue."""

import asyncio
import contextlib
from collections import Counter, OrderedDict
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Protocol

from app.access.login_throttle import network_of

CHECK_S = 1.0


class Peer(Protocol):
    """A connection, as the table sees it. `client`: address and port, None for a Unix socket."""

    client: tuple[str, int] | None
    loop: asyncio.AbstractEventLoop

    def check(self, now: float) -> None:
        """Disconnect it if it is overdue."""

    def drop(self) -> None:
        """Disconnect it at once, and remove it from the table."""


class ConnectionTable:
    """The open connections of a process: how many one client holds, and which are overdue."""

    def __init__(self, *, max_open: int, max_per_client: int, proxies: Sequence[str] = ()) -> None:
        self.max_open, self.max_per_client = max_open, max_per_client
        self._proxies = [ip_network(word, strict=False) for word in proxies if _is_network(word)]
        self._open: dict[Peer, str] = {}  # with the network of its client; of a proxy's "", which is not counted
        self._waiting: OrderedDict[Peer, None] = OrderedDict()  # those without a complete header, the longest first
        self._per_client: Counter[str] = Counter()
        self._checking = False

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Peer) -> int:
        """Return 200, or the status that the connection is refused with. One that sends nothing yet makes room."""
        client = self._client_of(connection)
        if client and self._per_client[client] >= self.max_per_client:
            return 429
        if len(self._open) >= self.max_open:
            if not self._waiting:
                return 503
            next(iter(self._waiting)).drop()
        self._open[connection] = client
        self._per_client[client] += 1
        if not self._checking:
            self._checking = True
            connection.loop.call_later(CHECK_S, self._check, connection.loop)
        return 200

    def wait_for_header(self, connection: Peer) -> None:
        self._waiting[connection] = None

    def header_complete(self, connection: Peer) -> None:
        self._waiting.pop(connection, None)

    def remove(self, connection: Peer) -> None:
        self._waiting.pop(connection, None)
        client = self._open.pop(connection, None)
        if client is not None:
            self._per_client[client] -= 1
            if not self._per_client[client]:
                del self._per_client[client]

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in list(self._open):
            connection.check(now)
        self._checking = bool(self._open)
        if self._checking:
            loop.call_later(CHECK_S, self._check, loop)

    def _client_of(self, connection: Peer) -> str:
        if connection.client is None:
            return ""
        with contextlib.suppress(ValueError):
            address = ip_address(connection.client[0])
            if any(address in network for network in self._proxies):
                return ""
        return network_of(connection.client[0])


def _is_network(word: str) -> bool:
    try:
        ip_network(word, strict=False)
    except ValueError:
        return False
    return True
