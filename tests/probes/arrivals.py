"""Runs inside a network of its own, where every address there is is this machine's: whatever a probe sends, arrives.

`python -m tests.probes.arrivals` prints, step by step, what was read of the forbidden targets and what arrived where.
"""

import asyncio
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable, Sequence
from socket import AF_INET, AF_INET6, IPPROTO_ICMP, IPPROTO_ICMPV6, SOCK_RAW
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from probes.contract import ProbeKind, Target
from probes.policy import AddressPolicy, parse_address
from probes.resolve import Resolver
from probes.sweep import Prober
from tests.probes import forbidden

ALL_IS_HERE = "ip link set lo up; ip route add local 0.0.0.0/0 dev lo; ip -6 route add local ::/0 dev lo"
OUR_NAMES = "mount --bind {folder}/resolv.conf /etc/resolv.conf"
TTL_S = 0.2
ECHO_REQUESTS = {8, 128}


class Listeners:
    """TCP and HTTP on one port, echo requests of both families, and a DNS server: what comes, and for which address."""

    def __init__(self) -> None:
        self.arrived: list[tuple[str, str]] = []
        self.port = 0
        self._questions: dict[tuple[str, int], int] = {}

    async def open(self) -> None:
        everywhere = await asyncio.start_server(self._serve, "0.0.0.0")
        self.port = everywhere.sockets[0].getsockname()[1]
        self._kept = [everywhere, await asyncio.start_server(self._serve, "::", self.port)]
        loop = asyncio.get_running_loop()
        for family, protocol in ((AF_INET, IPPROTO_ICMP), (AF_INET6, IPPROTO_ICMPV6)):
            raw = socket.socket(family, SOCK_RAW, protocol)
            if family == AF_INET6:
                raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            raw.setblocking(False)
            loop.add_reader(raw, self._echo, raw)
        dns = socket.socket(AF_INET, socket.SOCK_DGRAM)
        dns.bind(("127.0.0.53", 53))
        dns.setblocking(False)
        loop.add_reader(dns, self._name, dns)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.arrived.append(("tcp", writer.get_extra_info("sockname")[0]))
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            query = parse_qs(urlsplit(head.split()[1]).query)
            to = f"Location: {query['to'][0]}\r\n" if "to" in query else ""
            writer.write(f"HTTP/1.1 {query.get('status', ['200'])[0]} .\r\n{to}Content-Length: 0\r\n\r\n".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    def _echo(self, raw: socket.socket) -> None:
        data, ancillary, _, _ = raw.recvmsg(2048, 256)
        if raw.family == AF_INET:
            kind, to = data[20], socket.inet_ntoa(data[16:20])
        else:
            kind, to = data[0], socket.inet_ntop(AF_INET6, ancillary[0][2][:16])
        if kind in ECHO_REQUESTS:
            self.arrived.append(("icmp", to))

    def _name(self, dns: socket.socket) -> None:
        """Answers A and AAAA; a name that is rebound gives another address from the second question on."""
        query, sender = dns.recvfrom(512)
        name, at = [], 12
        while length := query[at]:
            name.append(query[at + 1 : at + 1 + length].decode())
            at += 1 + length
        kind = struct.unpack_from("!H", query, at + 1)[0]
        addresses = [a for a in self._addresses(".".join(name), kind) if (":" in a) == (kind == 28)]
        answers = b"".join(
            struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(packed)) + packed
            for packed in (socket.inet_pton(AF_INET6 if ":" in a else AF_INET, a) for a in addresses)
        )
        head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(addresses), 0, 0)
        dns.sendto(head + query[12 : at + 5] + answers, sender)

    def _addresses(self, name: str, kind: int) -> Sequence[str]:
        if name not in forbidden.REBOUND:
            return forbidden.NAMES.get(name, [])
        time = self._questions[name, kind] = self._questions.get((name, kind), -1) + 1
        return forbidden.REBOUND[name][min(time, 1)]


def of_hosts(hosts: Iterable[str], port: int) -> list[tuple[str, Target]]:
    """Each host by each kind of probe."""
    targets = []
    for host in hosts:
        name = f"[{host}]" if isinstance(parse_address(host), type(parse_address("::"))) else host
        url = f"http://{name}:{port}/"
        for kind in (ProbeKind.ICMP, ProbeKind.TCP, ProbeKind.HTTP):
            target = Target(0, 1, kind, host, port=port, url=url, packets=1, timeout_s=0.5)
            targets.append((f"{kind} {host}", target))
    return targets


def of_urls(urls: Iterable[str], port: int) -> list[tuple[str, Target]]:
    return [
        (url, Target(0, 1, ProbeKind.HTTP, "", url=url.replace("{port}", str(port)), timeout_s=0.5)) for url in urls
    ]


def redirects(port: int) -> list[str]:
    return [
        f"http://{forbidden.OUTSIDE}:{port}/?status={status}&to={quote(to.replace('{port}', str(port)), safe='')}"
        for status, to in forbidden.REDIRECTS
    ]


async def run() -> dict[str, Any]:
    listeners = Listeners()
    await listeners.open()
    port, steps = listeners.port, {}

    async def sweep(step: str, prober: Prober, targets: Sequence[tuple[str, Target]]) -> None:
        listeners.arrived.clear()
        readings = await prober.sweep([target for _, target in targets])
        await asyncio.sleep(0.3)  # what is under way arrives
        steps[step] = {
            "readings": [(label, r.outcome, r.reason) for (label, _), r in zip(targets, readings, strict=True)],
            "arrived": sorted(set(listeners.arrived)),
        }

    spelled = [*forbidden.ADDRESSES, *(form for form, _ in forbidden.DISGUISED), *forbidden.ODD]
    async with Prober.open(AddressPolicy(), resolver=Resolver(ttl_s=TTL_S)) as prober:
        assert prober.icmp_problem is None, prober.icmp_problem
        await sweep("hosts", prober, of_hosts(spelled, port))
        await sweep("urls", prober, of_urls(forbidden.URLS, port))
        await sweep("names", prober, of_hosts(forbidden.NAMES, port))
        await sweep("names before", prober, of_hosts(forbidden.REBOUND, port))
        await asyncio.sleep(TTL_S)
        await sweep("names rebound", prober, of_hosts(forbidden.REBOUND, port))
        await sweep("redirects", prober, of_urls(redirects(port), port))
    async with Prober.open(AddressPolicy(deny=[]), resolver=Resolver(ttl_s=TTL_S)) as prober:
        await sweep("allowed hosts", prober, of_hosts(forbidden.ADDRESSES, port))
        await sweep("allowed names", prober, of_hosts(forbidden.NAMES, port))
    return steps


if __name__ == "__main__":
    subprocess.run(ALL_IS_HERE, shell=True, check=True)
    subprocess.run(OUR_NAMES.format(folder=sys.argv[1]), shell=True, check=True)
    json.dump(asyncio.run(run()), sys.stdout)
