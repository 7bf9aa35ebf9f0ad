"""Which connections a process keeps open: so many of one client, so many in all, and none that is overdue."""

import asyncio
import contextlib
from collections import Counter, OrderedDict
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Protocol

from app.core.networks import limit_key

CHECK_S = 1.0


class Peer(Protocol):
    """A connection, as the table sees it. `client`: address and port, None for a Unix socket."""

    client: tuple[str, int] | None
    loop: asyncio.AbstractEventLoop

    def check(self, now: float) -> None:
        """Disconnect it if it is overdue."""

    def drop(self) -> None:
        """Disconnect it at once, and remove it from the table."""


class Waiting:
    """Connections that we wait for, the longest first, in all and of each client."""

    def __init__(self) -> None:
        self._clients: OrderedDict[Peer, str] = OrderedDict()
        self._of_client: dict[str, OrderedDict[Peer, None]] = {}

    def add(self, connection: Peer, client: str) -> None:
        if connection not in self._clients:
            self._clients[connection] = client
            self._of_client.setdefault(client, OrderedDict())[connection] = None

    def discard(self, connection: Peer) -> None:
        client = self._clients.pop(connection, None)
        if client is not None:
            del self._of_client[client][connection]
            if not self._of_client[client]:
                del self._of_client[client]

    def longest(self, client: str | None) -> Peer | None:
        """Return the one that has waited longest, of all (None) or of one client; None if there is none."""
        return next(iter(self._clients if client is None else self._of_client.get(client, ())), None)


class ConnectionTable:
    """The open connections of a process: how many one client holds, and which are overdue."""

    def __init__(self, *, max_open: int, max_per_client: int, proxies: Sequence[str] = ()) -> None:
        self.max_open, self.max_per_client = max_open, max_per_client
        self._proxies = [ip_network(word, strict=False) for word in proxies if _is_network(word)]
        self._open: dict[Peer, str] = {}  # with the network of its client; of a proxy's "", which is not counted
        self._silent, self._sending = Waiting(), Waiting()  # without a complete header; with one, but not all its body
        self._per_client: Counter[str] = Counter()
        self._checking = False

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Peer) -> int:
        """Return 200, or the status that the connection is refused with.

        One whose request is not complete makes room, within a client's share as within all: whoever shares an address
        with others cannot lock them out by silence.
        """
        client = self._client_of(connection)
        if client and self._per_client[client] >= self.max_per_client and not self._make_room(client):
            return 429
        if len(self._open) >= self.max_open and not self._make_room(None):
            return 503
        self._open[connection] = client
        self._per_client[client] += 1
        if not self._checking:
            self._checking = True
            connection.loop.call_later(CHECK_S, self._check, connection.loop)
        return 200

    def wait_for_header(self, connection: Peer) -> None:
        self._sending.discard(connection)
        self._wait(self._silent, connection)

    def wait_for_body(self, connection: Peer) -> None:
        self._silent.discard(connection)
        self._wait(self._sending, connection)

    def request_complete(self, connection: Peer) -> None:
        self._silent.discard(connection)
        self._sending.discard(connection)

    def remove(self, connection: Peer) -> None:
        self.request_complete(connection)
        client = self._open.pop(connection, None)
        if client is not None:
            self._per_client[client] -= 1
            if not self._per_client[client]:
                del self._per_client[client]

    def _wait(self, waiting: Waiting, connection: Peer) -> None:
        client = self._open.get(connection)
        if client is not None:  # else it is being refused
            waiting.add(connection, client)

    def _make_room(self, client: str | None) -> bool:
        """Disconnect the one that has been silent longest, else the one that has sent its body longest."""
        for waiting in (self._silent, self._sending):
            if (peer := waiting.longest(client)) is not None:
                peer.drop()
                return True
        return False

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
        return limit_key(connection.client[0])


def _is_network(word: str) -> bool:
    try:
        ip_network(word, strict=False)
    except ValueError:
        return False
    return True
