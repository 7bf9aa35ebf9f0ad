"""ICMP sockets inside a network namespace, for the diagnosis."""

from socket import AF_INET, AF_INET6, IPPROTO_ICMP, IPPROTO_ICMPV6, SOCK_RAW
from typing import Any

from icmplib import ICMPv4Socket, ICMPv6Socket

from probes import exchange
from simulator.namespace import Namespace


def sockets_inside(namespace: Namespace, *, kind: int = SOCK_RAW) -> exchange.OpenSocket:
    """Sockets of that network, of the kind that is allowed there."""

    class Inside(ICMPv4Socket):  # type: ignore[misc]
        def _create_socket(self, type: int) -> Any:
            return namespace.socket(AF_INET, type, IPPROTO_ICMP)

    class Inside6(ICMPv6Socket):  # type: ignore[misc]
        def _create_socket(self, type: int) -> Any:
            return namespace.socket(AF_INET6, type, IPPROTO_ICMPV6)

    def opened(version: int, raw_only: bool) -> Any:
        return (Inside if version == 4 else Inside6)(privileged=kind == SOCK_RAW)

    return opened
