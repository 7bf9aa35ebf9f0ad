"""Chromium in a network namespace, behind a link of a given rate. Needs root, iproute2 and the tbf qdisc."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser

from simulator.namespace import Namespace
from tests.support.browser import ARGUMENTS, chromium

OURS, THEIRS = "10.213.77.1", "10.213.77.2"


@dataclass
class ShapedLink:
    """A pair of interfaces: `near` here, `far` in the namespace."""

    namespace: Namespace
    near: str
    far: str

    def shape(self, mbps: float) -> None:
        """Limit both directions; no more than 300 ms of it wait in line."""
        limit = ["root", "tbf", "rate", f"{mbps}mbit", "burst", "32kb", "latency", "300ms"]
        run("tc", "qdisc", "replace", "dev", self.near, *limit)
        run(*self.namespace.command(["tc", "qdisc", "replace", "dev", self.far, *limit]))

    def switch(self, *, on: bool) -> None:
        run("ip", "link", "set", self.near, "up" if on else "down")

    def bytes(self) -> int:
        """Return what passed in both directions, with all headers."""
        folder = Path(f"/sys/class/net/{self.near}/statistics")
        return sum(int((folder / name).read_text()) for name in ("rx_bytes", "tx_bytes"))


@contextmanager
def shaped_link() -> Iterator[ShapedLink]:
    with Namespace.open() as namespace:
        link = ShapedLink(namespace, f"sdn{namespace.pid}"[:15], f"sdf{namespace.pid}"[:15])
        run("ip", "link", "add", link.near, "type", "veth", "peer", "name", link.far, "netns", str(namespace.pid))
        try:
            for name, inside in ((link.near, list), (link.far, namespace.command)):  # IPv6 chatters: none of our bytes
                quiet = inside(["sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1"])
                subprocess.run(quiet, check=False, capture_output=True)
            run("ip", "addr", "add", f"{OURS}/30", "dev", link.near)
            run("ip", "link", "set", link.near, "up")
            run(*namespace.command(["ip", "addr", "add", f"{THEIRS}/30", "dev", link.far]))
            run(*namespace.command(["ip", "link", "set", link.far, "up"]))
            yield link
        finally:
            subprocess.run(["ip", "link", "del", link.near], check=False)


@asynccontextmanager
async def chromium_behind(link: ShapedLink, folder: Path, *arguments: str) -> AsyncIterator[Browser]:
    """`folder`: for a script that starts Chromium inside the namespace."""
    wrapper = folder / "chromium"
    command = " ".join(link.namespace.command([shutil.which("chromium") or "chromium"]))
    wrapper.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    wrapper.chmod(0o755)
    async with chromium((*ARGUMENTS, *arguments), executable=str(wrapper)) as browser:
        yield browser


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
