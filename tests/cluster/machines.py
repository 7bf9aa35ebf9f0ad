"""The machines of the cluster: a network namespace each at one bridge where root may, else a loopback address each."""

import ipaddress
import os
import secrets
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from simulator.namespace import Namespace

BRIDGE, NETWORK = "br0", ipaddress.ip_network("10.64.0.0/24")
PORTS = (2379, 2380, 5432, 6432, 8000, 8008)  # a loopback network in which one of them is taken is not ours


@dataclass
class Machine:
    """Its programs run in its namespace, and its link to all others can be cut. On the loopback neither is true."""

    name: str
    address: str
    namespace: Namespace | None = None
    link: str = ""  # this end of its cable, at the bridge
    is_cut_off: bool = field(default=False, init=False)

    def command(self, argv: Sequence[str]) -> list[str]:
        return list(argv) if self.namespace is None else self.namespace.command(argv)

    def cut_off(self) -> None:
        _ip("link", "set", self.link, "down")
        self.is_cut_off = True

    def connect(self) -> None:
        _ip("link", "set", self.link, "up")
        self.is_cut_off = False


class Machines:
    """All machines by name, made in the order of `names`. `with` ends them; what runs in them is ended before."""

    def __init__(self, names: Sequence[str], *, separate: bool) -> None:
        self.separate = separate
        self._open = ExitStack()
        hosts = iter(list(NETWORK.hosts()))
        if separate:
            self.gateway = str(next(hosts))
            _make_bridge(self.gateway)
            self._by_name = {name: self._connected(name, str(next(hosts))) for name in names}
        else:
            network = _free_loopback(len(names))
            self.gateway = "127.0.0.1"
            self._by_name = {name: Machine(name, f"{network}.{n + 1}") for n, name in enumerate(names)}

    def __getitem__(self, name: str) -> Machine:
        return self._by_name[name]

    def all(self) -> list[Machine]:
        return list(self._by_name.values())

    def _connected(self, name: str, address: str) -> Machine:
        namespace = self._open.enter_context(Namespace.open())
        link, inner = f"v-{name}", f"e-{name}"
        _ip("link", "add", link, "type", "veth", "peer", "name", inner, "netns", str(namespace.pid))
        _ip("link", "set", link, "master", BRIDGE, "up")
        for arguments in (
            ("link", "set", inner, "name", "eth0"),
            ("addr", "add", f"{address}/{NETWORK.prefixlen}", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            _run(namespace.command(["ip", *arguments]))
        return Machine(name, address, namespace, link)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()


def may_separate() -> bool:
    """Whether namespaces with links between them can be made here: cutting one off is a partition."""
    return os.geteuid() == 0


def _make_bridge(address: str) -> None:
    """Connect this process's own namespace, which is not the machine's (`__main__` left that)."""
    _ip("link", "set", "lo", "up")
    _ip("link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
    _ip("addr", "add", f"{address}/{NETWORK.prefixlen}", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")


def _free_loopback(machines: int) -> str:
    """Return the first three bytes of a loopback network on whose first addresses nothing listens."""
    while True:
        network = f"127.{1 + secrets.randbelow(90)}.{secrets.randbelow(256)}"  # the simulated villages begin at 127.96
        if all(_is_free(f"{network}.{n + 1}", port) for n in range(machines) for port in PORTS):
            return network


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except OSError:
            return False
    return True


def _ip(*arguments: str) -> None:
    _run(["ip", *arguments])


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(argv)}: {done.stderr.strip()}")
