"""The addresses of this machine, which no probe may reach: its interfaces', and those its public name resolves to."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Container, Set
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Address = IPv4Address | IPv6Address

REFRESH_S = 60.0
LOCAL_IPV4 = re.compile(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL")  # in the kernel's table of routes
NET = Path("/proc/net")


class OwnAddresses(Container[Address]):
    """Refreshed in a thread once they are a minute old: whoever asks never waits, but for the first time."""

    def __init__(
        self,
        public_host: str | None = None,
        *,
        interfaces: Callable[[], set[Address]] = lambda: interface_addresses(),
        lookup: Callable[[str], set[Address]] = lambda host: resolved_addresses(host),
    ) -> None:
        self._public_host, self._interfaces, self._lookup = public_host, interfaces, lookup
        self._known: Set[Address] | None = None
        self._of_name: set[Address] = set()
        self._stale_at = 0.0

    def __contains__(self, address: object) -> bool:
        return address in self._current()

    def ipv4(self) -> NDArray[np.uint32]:
        """Return the IPv4 addresses among them."""
        numbers = [int(address) for address in self._current() if isinstance(address, IPv4Address)]
        return np.array(numbers, np.uint32)

    def _current(self) -> Set[Address]:
        if self._known is None:
            self._known = self._interfaces()
        if time.monotonic() > self._stale_at:
            self._stale_at = time.monotonic() + REFRESH_S
            threading.Thread(target=self._refresh, name="own addresses", daemon=True).start()
        return self._known

    def _refresh(self) -> None:
        interfaces = self._interfaces()
        self._known = interfaces | self._of_name
        if self._public_host is not None:
            with contextlib.suppress(OSError, UnicodeError):  # a name keeps its addresses while it is not resolved
                self._of_name = self._lookup(self._public_host)
                self._known = interfaces | self._of_name


def interface_addresses() -> set[Address]:
    """Return the addresses of all interfaces, as the kernel lists them for this process's network."""
    found: set[Address] = set()
    with contextlib.suppress(OSError):
        found |= {IPv4Address(text) for text in LOCAL_IPV4.findall((NET / "fib_trie").read_text())}
    with contextlib.suppress(OSError):
        for line in (NET / "if_inet6").read_text().splitlines():
            found.add(IPv6Address(bytes.fromhex(line.split()[0])))
    return found


def resolved_addresses(host: str) -> set[Address]:
    return {ip_address(str(entry[4][0]).partition("%")[0]) for entry in socket.getaddrinfo(host, None)}
