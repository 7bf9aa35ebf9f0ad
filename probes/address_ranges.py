"""Sets of IPv4 addresses as ranges, asked about many addresses at once."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

import numpy as np
from numpy.typing import NDArray


class IPv4Ranges:
    """The IPv4 networks among `networks`."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network]) -> None:
        merged = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
        edges = [edge for network in merged for edge in (int(network[0]), int(network[-1]) + 1)]
        self._edges = np.array(edges, np.int64)  # ascending: where ranges begin and end, by turns

    def contain(self, addresses: NDArray[np.uint32]) -> NDArray[np.bool_]:
        within: NDArray[np.bool_] = np.searchsorted(self._edges, addresses, side="right") % 2 == 1
        return within
