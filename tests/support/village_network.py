"""A village's network in namespaces of its own: a box, the gateway, the terminal, and what lies beyond.

    box 192.168.N.2 ── 192.168.N.1 gateway ── 192.168.100.1 terminal ── 10.9.N.1 beyond, with the anchors

Each part can fail by itself, as seen from the box: the cable loses its signal, a device answers and forwards nothing
any more, the link beyond the terminal carries nothing.
"""

import contextlib
import subprocess
from enum import StrEnum

from simulator.namespace import Namespace

TERMINAL = "192.168.100.1"
ANCHORS = ("198.18.0.1", "198.18.0.2")
SERVER = "198.18.0.3"


class Cut(StrEnum):
    CABLE = "cable"
    GATEWAY = "gateway"
    TERMINAL = "terminal"
    LINK = "link"


def run(namespace: Namespace, script: str) -> None:
    subprocess.run(namespace.command(["sh", "-ec", script]), check=True, timeout=60)


def settings(*, forwards: bool, answers: bool) -> str:
    ipv4 = "/proc/sys/net/ipv4"
    return f"echo {forwards:d} > {ipv4}/ip_forward; echo {not answers:d} > {ipv4}/icmp_echo_ignore_all"


def open_beyond() -> Namespace:
    """Open what all villages share: the anchors, and the address of the server."""
    beyond = Namespace.open()
    run(beyond, "; ".join(f"ip address add {address}/32 dev lo" for address in (*ANCHORS, SERVER)))
    run(beyond, settings(forwards=False, answers=True))
    return beyond


class VillageNetwork:
    def __init__(self, beyond: Namespace, number: int) -> None:
        self._stack = contextlib.ExitStack()
        self.box = self._stack.enter_context(Namespace.open())
        self.gateway = self._stack.enter_context(Namespace.open())
        self.terminal = self._stack.enter_context(Namespace.open())
        self.box_address = f"192.168.{number}.2"
        lan, uplink = f"192.168.{number}", f"10.9.{number}"
        run(self.box, f"ip link add eth0 type veth peer name lan0 netns {self.gateway.pid}")
        run(self.gateway, f"ip link add wan0 type veth peer name lan0 netns {self.terminal.pid}")
        run(self.terminal, f"ip link add sky0 type veth peer name v{number} netns {beyond.pid}")
        run(self.box, _address("eth0", f"{lan}.2/24"))
        run(self.gateway, _address("lan0", f"{lan}.1/24") + _address("wan0", "192.168.100.2/24"))
        run(self.terminal, _address("lan0", f"{TERMINAL}/24") + _address("sky0", f"{uplink}.2/30"))
        run(beyond, _address(f"v{number}", f"{uplink}.1/30") + f"ip route add {lan}.0/24 via {uplink}.2")
        run(self.box, f"ip route add default via {lan}.1")
        run(self.gateway, f"ip route add default via {TERMINAL}")
        run(self.terminal, f"ip route add default via {uplink}.1; ip route add {lan}.0/24 via 192.168.100.2")
        self.restore()

    def cut(self, cut: Cut) -> None:
        dead = settings(forwards=False, answers=False)
        if cut is Cut.CABLE:
            run(self.gateway, "ip link set lan0 down")
        elif cut is Cut.GATEWAY:
            run(self.gateway, dead)
        elif cut is Cut.TERMINAL:
            run(self.terminal, dead)
        else:
            run(self.terminal, settings(forwards=False, answers=True))

    def restore(self) -> None:
        alive = settings(forwards=True, answers=True)
        run(self.gateway, f"ip link set lan0 up; {alive}")
        run(self.terminal, alive)

    def close(self) -> None:
        self._stack.close()


def _address(interface: str, address: str) -> str:
    return f"ip address add {address} dev {interface}; ip link set {interface} up; "
