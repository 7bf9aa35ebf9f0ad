"""Checks of our reach: ICMP, the canaries, the port, the outside watcher."""

import time
from pathlib import Path
from socket import SOCK_RAW

import httpx

from app.cli.doctor.finding import Finding, Level, in_thread
from app.runtime import data_dir
from app.runtime.up import require_port
from app.settings import Settings, SettingsError
from probes.contract import Outcome, ProbeKind, Target
from probes.echo import Echo, IcmpNotPermitted, Ping
from probes.icmp_socket import open_icmp_sockets
from probes.sweep import Prober

GOOD_BUFFER = 4 << 20
ANSWER_BYTES = 768  # what one echo reply takes of a socket's buffer


async def check_icmp(settings: Settings) -> Finding:
    try:
        sockets = open_icmp_sockets()
    except IcmpNotPermitted as refusal:
        what, _, mend = str(refusal).partition(": ")
        return Finding(Level.FAIL, f"ICMP: {what}", mend[0].upper() + mend[1:])
    kind = "raw socket" if sockets[0].type == SOCK_RAW else "unprivileged socket"
    reach = f"{kind}, {'IPv4 and IPv6' if len(sockets) > 1 else 'IPv4 alone'}"
    async with Echo.open(sockets=sockets) as echo:
        [pong] = await echo.ping([Ping("127.0.0.1", 3, 0.05, 1.0)])
    if pong.rtts_ns:
        return Finding(Level.OK, f"ICMP: {reach}; 127.0.0.1 answers in {min(pong.rtts_ns) / 1e6:.3f} ms")
    if pings_ignored():
        return Finding(Level.WARN, f"ICMP: {reach}; not tried, since this machine answers no pings itself")
    mend = "Let ICMP echo pass this machine's own firewall"
    return Finding(Level.FAIL, f"ICMP: {reach}, but 127.0.0.1 does not answer ({pong.reason or 'silence'})", mend)


def pings_ignored() -> bool:
    return Path("/proc/sys/net/ipv4/icmp_echo_ignore_all").read_text().strip() == "1"


def check_receive_buffer(settings: Settings) -> Finding:
    try:
        size = int(Path("/proc/sys/net/core/rmem_max").read_text())
    except FileNotFoundError:
        return Finding(Level.WARN, "receive buffer: net.core.rmem_max cannot be seen here", "Look on the host")
    what = f"receive buffer: net.core.rmem_max = {size}, room for {2 * size // ANSWER_BYTES:,} answers at once"
    if size >= GOOD_BUFFER:
        return Finding(Level.OK, what)
    return Finding(
        Level.WARN, what, f"For more, so that a burst is not lost: sysctl -w net.core.rmem_max={GOOD_BUFFER}"
    )


async def check_canaries(settings: Settings) -> Finding:
    if await in_thread(lambda: data_dir.purpose_of(settings.data_dir)) == data_dir.DEMO and not settings.canaries:
        return Finding(Level.OK, "canaries: the demo simulates its own")
    mend = "Set SINYAL_CANARIES to at least two addresses beyond our own uplink"
    if not settings.canaries:
        return Finding(Level.WARN, "canaries: none set, so a dead uplink of ours would look like their outage", mend)
    async with Prober.open(settings.probe.policy) as prober:
        if prober.icmp_problem:
            return Finding(Level.WARN, "canaries: not asked, without ICMP")
        readings = await prober.sweep(
            [
                Target(number, int(time.time()), ProbeKind.ICMP, host, packets=3, spacing_s=0.3, timeout_s=1.5)
                for number, host in enumerate(settings.canaries)
            ]
        )
    silent = [
        f"{host} ({reading.reason or 'silent'})"
        for host, reading in zip(settings.canaries, readings, strict=True)
        if reading.outcome is not Outcome.OK
    ]
    if len(silent) == len(settings.canaries):
        mend = "While it stays so nothing can be judged: look at our own uplink, and at SINYAL_CANARIES"
        return Finding(Level.FAIL, f"canaries: none answers: {', '.join(silent)}", mend)
    if silent:
        return Finding(Level.WARN, f"canaries: not answering: {', '.join(silent)}", "Mend or replace SINYAL_CANARIES")
    if len(readings) < 2:
        return Finding(Level.WARN, "canaries: one alone, and its own outage would look like ours", mend)
    return Finding(Level.OK, f"canaries: all {len(readings)} answer")


def check_heartbeat(settings: Settings) -> Finding:
    """Not tried: a beat from here would tell the watcher that rounds run."""
    if settings.heartbeat_url is not None:
        return Finding(Level.OK, "heartbeat: an outside watcher is set")
    mend = "Set SINYAL_HEARTBEAT_URL to an outside watcher"
    return Finding(Level.WARN, "heartbeat: none set, so nobody is told when measuring stops", mend)


async def check_port(settings: Settings) -> Finding:
    where = f"port: {settings.host}:{settings.port}"
    try:
        require_port(settings)
        return Finding(Level.OK, f"{where} is free")
    except SettingsError as taken:
        problem = str(taken)
    readiness = await ask_readiness(settings)
    if readiness is None:
        return Finding(Level.FAIL, f"port: {problem}")
    if readiness:
        return Finding(Level.WARN, f"{where} is ours, not ready: {'; '.join(readiness)}")
    return Finding(Level.OK, f"{where} is ours, and ready")


async def ask_readiness(settings: Settings) -> list[str] | None:
    """What it is not ready for; None if what listens there is not us."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    url = httpx.URL(scheme="http", host=host, port=settings.port, path="/readyz")
    try:
        async with httpx.AsyncClient(timeout=3, trust_env=False) as client:
            body = (await client.get(url)).json()
        return [str(problem) for problem in body["problems"]] if "worker_beat_age_s" in body else None
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return None
