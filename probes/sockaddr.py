"""Socket addresses as rows of an array, laid out as the kernel reads them."""

from collections.abc import Iterable
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

import numpy as np
from numpy.typing import NDArray

NO_ADDRESS = 0  # the family of a text that is no address

# `struct sockaddr_in` or `sockaddr_in6`, padded to 32 bytes.
SOCKADDR = np.dtype(
    [("family", "=u2"), ("port", ">u2"), ("ipv4", "=u4"), ("ipv6", "=u8", (2,)), ("scope", "=u4"), ("", "=u4")]
)
SOCKADDR_LENGTH: dict[int, int] = {AF_INET: 16, AF_INET6: 28}
HOST_FIELD: dict[int, str] = {AF_INET: "ipv4", AF_INET6: "ipv6"}

Addresses = NDArray[np.void]  # of SOCKADDR

_NONE = bytes(SOCKADDR.itemsize)
_IPV4_START, _IPV4_END = np.array([AF_INET, 0], np.uint16).tobytes(), bytes(24)
_IPV6_START, _IPV6_END = np.array([AF_INET6, 0, 0, 0], np.uint16).tobytes(), bytes(8)


def prepare_addresses(texts: Iterable[str]) -> Addresses:
    """Return the socket address of each literal IPv4 or IPv6 address; family NO_ADDRESS for any other text."""
    return np.frombuffer(bytearray(b"".join(map(_sockaddr, texts))), SOCKADDR)


def address_text(to: np.void) -> str:
    """Return how the kernel spells an address."""
    family = int(to["family"])
    return inet_ntop(family, to[HOST_FIELD[family]].tobytes())


def _sockaddr(text: str) -> bytes:
    try:
        if ":" in text:
            return _IPV6_START + inet_pton(AF_INET6, text) + _IPV6_END
        return _IPV4_START + inet_pton(AF_INET, text) + _IPV4_END
    except (OSError, ValueError):
        return _NONE
