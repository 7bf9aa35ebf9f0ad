"""Check the network: ICMP, the canaries, the API's port, the outside watcher."""

import time
from pathlib import Path
from socket import SOCK_RAW

import httpx

from app.cli.doctor.check_result import CheckResult, CheckStatus, in_thread
from app.runtime import data_dir, instance
from app.runtime.up import require_ports
from app.settings import Settings, SettingsError
from probes.contract import Outcome, ProbeKind, Target
from probes.echo import Echo, IcmpNotPermitted, Ping
from probes.icmp_socket import open_icmp_sockets
from probes.sweep import Prober

ENOUGH_BUFFER = 4 << 20
REPLY_BYTES = 768  # what one echo reply takes of a socket's buffer


async def check_icmp(settings: Settings) -> CheckResult:
    try:
        sockets = open_icmp_sockets()
    except IcmpNotPermitted as refusal:
        text, _, remedy = str(refusal).partition(": ")
        return CheckResult(CheckStatus.FAIL, f"ICMP: {text}", remedy[0].upper() + remedy[1:])
    kind = "raw socket" if sockets[0].type == SOCK_RAW else "unprivileged socket"
    reach = f"{kind}, {'IPv4 and IPv6' if len(sockets) > 1 else 'IPv4 alone'}"
    async with Echo.open(sockets=sockets) as echo:
        [pong] = await echo.ping([Ping("127.0.0.1", 3, 0.05, 1.0)])
    if pong.rtts_ns:
        return CheckResult(CheckStatus.OK, f"ICMP: {reach}; 127.0.0.1 answers in {min(pong.rtts_ns) / 1e6:.3f} ms")
    if kernel_ignores_pings():
        return CheckResult(CheckStatus.WARN, f"ICMP: {reach}; not tried, since this machine ignores pings")
    remedy = "Let ICMP echo through this machine's own firewall"
    return CheckResult(
        CheckStatus.FAIL, f"ICMP: {reach}, but 127.0.0.1 does not answer ({pong.reason or 'no answer'})", remedy
    )


def kernel_ignores_pings() -> bool:
    return Path("/proc/sys/net/ipv4/icmp_echo_ignore_all").read_text().strip() == "1"


def check_receive_buffer(settings: Settings) -> CheckResult:
    try:
        size = int(Path("/proc/sys/net/core/rmem_max").read_text())
    except FileNotFoundError:
        return CheckResult(
            CheckStatus.WARN, "receive buffer: net.core.rmem_max cannot be read here", "Check it on the host"
        )
    text = f"receive buffer: net.core.rmem_max = {size}, room for {2 * size // REPLY_BYTES:,} answers at once"
    if size >= ENOUGH_BUFFER:
        return CheckResult(CheckStatus.OK, text)
    return CheckResult(CheckStatus.WARN, text, f"To hold a larger burst: sysctl -w net.core.rmem_max={ENOUGH_BUFFER}")


async def check_canaries(settings: Settings) -> CheckResult:
    if await in_thread(lambda: data_dir.purpose_of(settings.data_dir)) == data_dir.DEMO and not settings.canaries:
        return CheckResult(CheckStatus.OK, "canaries: the demo simulates its own")
    remedy = "Set SINYAL_CANARIES to at least two addresses beyond our own uplink"
    if not settings.canaries:
        return CheckResult(
            CheckStatus.WARN,
            "canaries: none set, so a dead uplink of ours would look like an outage of every site",
            remedy,
        )
    async with Prober.open(settings.probe_policy) as prober:
        if prober.icmp_problem:
            return CheckResult(CheckStatus.WARN, "canaries: not pinged, since ICMP is not permitted")
        readings = await prober.sweep(
            [
                Target(number, int(time.time()), ProbeKind.ICMP, host, packets=3, spacing_s=0.3, timeout_s=1.5)
                for number, host in enumerate(settings.canaries)
            ]
        )
    silent = [
        f"{host} ({reading.reason or 'no answer'})"
        for host, reading in zip(settings.canaries, readings, strict=True)
        if reading.outcome is not Outcome.OK
    ]
    if len(silent) == len(settings.canaries):
        remedy = "Until one does, no site can be judged: check our own uplink, and SINYAL_CANARIES"
        return CheckResult(CheckStatus.FAIL, f"canaries: none answers: {', '.join(silent)}", remedy)
    if silent:
        return CheckResult(
            CheckStatus.WARN, f"canaries: not answering: {', '.join(silent)}", "Replace them in SINYAL_CANARIES"
        )
    if len(readings) < 2:
        return CheckResult(CheckStatus.WARN, "canaries: only one, and its own outage would look like ours", remedy)
    return CheckResult(CheckStatus.OK, f"canaries: all {len(readings)} answer")


def check_heartbeat(settings: Settings) -> CheckResult:
    """Check the setting alone: a beat from here would tell the watcher that the worker runs."""
    if settings.heartbeat_url is not None:
        return CheckResult(CheckStatus.OK, "heartbeat: an outside watcher is set")
    remedy = "Set SINYAL_HEARTBEAT_URL to an outside watcher"
    return CheckResult(CheckStatus.WARN, "heartbeat: none set, so nobody is alerted when measuring stops", remedy)


def check_proxy(settings: Settings) -> CheckResult:
    """Check that clients behind a proxy are told apart: limits count by address."""
    if settings.trusted_proxies or not (settings.public_url or "").startswith("https://"):
        return CheckResult(CheckStatus.OK, f"proxy: {', '.join(settings.trusted_proxies) or 'none'} trusted")
    remedy = "Set SINYAL_TRUSTED_PROXIES to the address of the proxy that speaks https, for example 127.0.0.1"
    text = "proxy: none is trusted, so that all clients share the limits of one address"
    return CheckResult(CheckStatus.WARN, text, remedy)


async def check_port(settings: Settings) -> CheckResult:
    """Check what listens on the port of the instance that runs in this data folder, else on the configured one."""
    running = await in_thread(lambda: instance.find_running(settings.data_dir))
    if running is not None:
        return await check_running_instance(running, settings)
    where = f"{settings.host}:{settings.port}"
    try:
        require_ports(settings)
    except SettingsError as error:
        answer = await ask_readiness(settings.host, settings.port)
        if answer is None:
            return CheckResult(CheckStatus.FAIL, f"port: {error}")
        return describe_listener(answer, where, "a Sinyal Desa API")
    return CheckResult(CheckStatus.OK, f"port: {where} is free")


async def check_running_instance(running: instance.Instance, settings: Settings) -> CheckResult:
    where = f"{running.host}:{running.port}"
    if (running.host, running.port) != (settings.host, settings.port):
        where += f" (not on the configured {settings.host}:{settings.port})"
    answer = await ask_readiness(running.host, running.port)
    if answer is None:
        text = f"port: the service of this data folder does not answer yet on {where}"
        return CheckResult(CheckStatus.WARN, text, "Run doctor again once it is ready, or read its log")
    return describe_listener(answer, where, "the service of this data folder")


def describe_listener(answer: bool | str, where: str, owner: str) -> CheckResult:
    """Describe what answers at a port; `owner` is how to call it if it is our API."""
    if isinstance(answer, str):
        return CheckResult(CheckStatus.FAIL, f"port: {answer} listens on {where}", "Stop it, or set SINYAL_PORT")
    if not answer:
        remedy = f"GET /readyz with a token says why: http://{where}/readyz"
        return CheckResult(CheckStatus.WARN, f"port: {owner} listens on {where}, not ready", remedy)
    return CheckResult(CheckStatus.OK, f"port: {owner} listens on {where}, ready")


async def ask_readiness(host: str, port: int) -> bool | str | None:
    """Return whether our API is ready; when another program answers, what it looks like; None if nothing does."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    url = httpx.URL(scheme="http", host=local, port=port, path="/readyz")
    try:
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            response = await client.get(url)
    except httpx.ConnectError:
        return None
    except httpx.HTTPError:
        return "a program that does not speak HTTP"
    try:
        if type(ready := response.json()["ready"]) is bool:
            return ready
    except (ValueError, LookupError, TypeError):
        pass
    return f"another program (HTTP {response.status_code}, Server: {response.headers.get('server', 'unnamed')[:40]!r})"
