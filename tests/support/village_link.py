"""A device's network behind a link that breaks: a namespace each for the device, the link and the service (as root)."""

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path

from simulator.namespace import Namespace

ETHERNET_BYTES = 14


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


class ServiceNetwork:
    """Where the service and the anchor are: 10.77.0.1. `link` adds a village."""

    ADDRESS = "10.77.0.1"

    def __init__(self, stack: ExitStack) -> None:
        self._stack, self._links = stack, 0
        self.namespace = stack.enter_context(Namespace.open())
        self.inside("sh", "-c", "echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_all")
        self.inside("ip", "address", "add", f"{self.ADDRESS}/32", "dev", "lo")

    def inside(self, *argv: str) -> str:
        return run(*self.namespace.command(argv))

    def link(self) -> "VillageLink":
        self._links += 1
        return VillageLink(self._stack, self, self._links)


class VillageLink:
    """The device's namespace, and one between it and the service's, which forwards or, without a word, does not."""

    def __init__(self, stack: ExitStack, service: ServiceNetwork, number: int) -> None:
        self.device = stack.enter_context(Namespace.open())
        self._middle = stack.enter_context(Namespace.open())
        here, there = f"10.{100 + number}.1", f"10.{100 + number}.2"
        _join(self.device, "wan", f"{here}.2/24", self._middle, "lan", f"{here}.1/24")
        _join(self._middle, "far", f"{there}.2/24", service.namespace, f"v{number}", f"{there}.1/24")
        run(*self.device.command(["ip", "route", "add", "default", "via", f"{here}.1"]))
        run(*self._middle.command(["ip", "route", "add", "default", "via", f"{there}.1"]))
        service.inside("ip", "route", "add", f"{here}.0/24", "via", f"{there}.2")
        self.forward(allowed=True)

    def forward(self, *, allowed: bool) -> None:
        target = "/proc/sys/net/ipv4/ip_forward"
        run(*self._middle.command(["sh", "-c", f"echo {int(allowed)} > {target}"]))

    def wire_bytes(self) -> int:
        """Bytes of IP packets that crossed the device's interface so far, both ways."""
        (shown,) = json.loads(run(*self.device.command(["ip", "-s", "-j", "link", "show", "wan"])))
        ways = shown["stats64"]["rx"], shown["stats64"]["tx"]
        return sum(int(way["bytes"]) - ETHERNET_BYTES * int(way["packets"]) for way in ways)


def _join(one: Namespace, name: str, address: str, other: Namespace, other_name: str, other_address: str) -> None:
    argv = ["ip", "link", "add", "name", name, "type", "veth", "peer", "name", other_name, "netns", str(other.pid)]
    run(*one.command(argv))
    ends = (one, name, address, other_address), (other, other_name, other_address, address)
    for namespace, device, own, _ in ends:
        script = f"echo 1 > /proc/sys/net/ipv6/conf/{device}/disable_ipv6; ip address add {own} dev {device}"
        run(*namespace.command(["sh", "-c", f"{script}; ip link set {device} up"]))
    macs = [_mac(namespace, device) for namespace, device, _, _ in ends]
    for (namespace, device, _, peer), mac in zip(ends, reversed(macs), strict=True):  # no ARP is counted
        peer = peer.partition("/")[0]
        run(*namespace.command(["ip", "neigh", "replace", peer, "lladdr", mac, "dev", device, "nud", "permanent"]))


def _mac(namespace: Namespace, device: str) -> str:
    (shown,) = json.loads(run(*namespace.command(["ip", "-j", "link", "show", device])))
    return str(shown["address"])


def self_signed(folder: Path, address: str) -> tuple[Path, Path]:
    """Return a certificate and its key, of the size that public ones have."""
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    subject = ["-subj", "/CN=sinyal", "-addext", f"subjectAltName=IP:{address}"]
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    run("openssl", "req", *options, "-keyout", str(key), "-out", str(certificate), *subject)
    return certificate, key
