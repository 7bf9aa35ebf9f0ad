"""`sinyal ping`: ping many hosts with the echo engine of the worker, printing lines like fping's."""

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import orjson
import typer

from app.cli.context import write
from probes.echo import PACKETS_PER_SECOND, Echo, IcmpNotPermitted, Ping, Pong
from probes.in_flight import canonical_address
from probes.policy import is_hostname
from probes.resolve import Resolver, Unresolvable

ALL_ANSWERED, SOME_SILENT, BAD_ARGUMENTS, NOT_PERMITTED = 0, 1, 2, 4
MAX_S, MAX_PACKETS = 3600, 100_000


@dataclass(slots=True)
class PingedHost:
    """A host as it was typed, and its result: `problem` when it was not resolved or only partly pinged."""

    host: str
    address: str | None = None
    problem: str | None = None
    pong: Pong | None = None

    @property
    def rtts_ms(self) -> list[float]:
        return [rtt / 1e6 for rtt in self.pong.rtts_ns] if self.pong else []


class BadArgument(Exception):
    pass


def ping(
    hosts: Annotated[list[str] | None, typer.Argument(metavar="HOST...", help="IP addresses or hostnames.")] = None,
    count: Annotated[int, typer.Option("--count", "-c", help="Packets sent to each host.")] = 3,
    interval: Annotated[float, typer.Option("--interval", "-i", help="Seconds between the packets to a host.")] = 1.0,
    timeout: Annotated[float, typer.Option("--timeout", "-t", help="Seconds to wait for each answer.")] = 2.0,
    file: Annotated[
        str | None,
        typer.Option(
            "--file", metavar="FILE", help="Read hosts from FILE, one a line, # starts a comment; - is standard input."
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option("--rate", help="Packets a second over all hosts; 0: as fast as answers can be read.")
    ] = PACKETS_PER_SECOND,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the summary alone.")] = False,
) -> None:
    """Ping many hosts at once: one or thousands.

    Exit code: 0 every host answered, 1 some did not, 2 bad arguments or a hostname that does not resolve,
    4 ICMP is not permitted. SINYAL_PROBE__ALLOW and __DENY do not apply here.
    """
    try:
        _check(count, interval, timeout, rate)
        targets = [*map(_parse_host, hosts or []), *(_read_hosts(file) if file is not None else [])]
        if not targets:
            raise BadArgument("no host given: name hosts, or a file of them with --file")
        wall_s = asyncio.run(_ping_all(targets, Ping("", count, interval, timeout), rate))
    except BadArgument as problem:
        _stop(problem, BAD_ARGUMENTS)
    except (IcmpNotPermitted, OSError) as problem:
        _stop(problem, NOT_PERMITTED)
    write("".join(_json(targets, wall_s) if as_json else _lines(targets, wall_s, quiet=quiet)))
    raise typer.Exit(_exit_code(targets))


def _stop(problem: Exception, code: int) -> NoReturn:
    sys.stderr.write(f"sinyal ping: {problem}\n")
    raise typer.Exit(code)


def _check(count: int, interval: float, timeout: float, rate: float) -> None:
    if not 1 <= count <= MAX_PACKETS:
        raise BadArgument(f"--count must be 1 to {MAX_PACKETS:,}, not {count}")
    if not 0 <= interval <= MAX_S:
        raise BadArgument(f"--interval must be 0 to {MAX_S} seconds, not {interval:g}")
    if not 0 < timeout <= MAX_S:
        raise BadArgument(f"--timeout must be above 0 and at most {MAX_S} seconds, not {timeout:g}")
    if not 0 <= rate < float("inf"):
        raise BadArgument(f"--rate must be 0 (unpaced) or more packets a second, not {rate:g}")


def _parse_host(text: str, where: str = "") -> PingedHost:
    if canonical_address(text):
        return PingedHost(text, address=text)
    if not is_hostname(text):
        raise BadArgument(f"{where}{text!r} is neither an IP address nor a hostname")
    return PingedHost(text)


def _read_hosts(file: str) -> Iterator[PingedHost]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise BadArgument(f"cannot read {file}: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise BadArgument(f"cannot read {file}: not a text file") from problem
    for number, line in enumerate(text.splitlines(), start=1):
        if host := line.partition("#")[0].strip():
            yield _parse_host(host, f"{file}, line {number}: ")


async def _ping_all(targets: Sequence[PingedHost], ping: Ping, rate: float) -> float:
    """Fill in the result of each host; return the wall time in seconds, DNS lookups included."""
    gc.disable()  # no cycles here, and a collection over 100,000 hosts' records costs as much as pinging them
    async with Echo.open(packets_per_second=rate) as echo:
        started = time.perf_counter()
        await _resolve(host for host in targets if host.address is None)
        resolved = [host for host in targets if host.address is not None]
        pings = [Ping(host.address or "", ping.count, ping.spacing_s, ping.timeout_s) for host in resolved]
        for host, pong in zip(resolved, await echo.ping(pings), strict=True):
            host.pong = pong
            host.problem = pong.reason
        return time.perf_counter() - started


async def _resolve(hosts: Iterable[PingedHost]) -> None:
    resolver = Resolver()

    async def resolve(host: PingedHost) -> None:
        try:
            host.address = (await resolver.resolve(host.host))[0]
        except Unresolvable as problem:
            host.problem = str(problem)

    await asyncio.gather(*map(resolve, hosts))


def _exit_code(targets: Sequence[PingedHost]) -> int:
    if any(host.pong is None for host in targets):
        return BAD_ARGUMENTS
    return ALL_ANSWERED if all(host.pong and host.pong.rtts_ns for host in targets) else SOME_SILENT


def _totals(targets: Sequence[PingedHost]) -> tuple[int, int]:
    pongs = [host.pong for host in targets if host.pong]
    return sum(pong.sent for pong in pongs), sum(len(pong.rtts_ns) for pong in pongs)


def _json(targets: Sequence[PingedHost], wall_s: float) -> Iterator[str]:
    sent, received = _totals(targets)
    hosts = [_host_json(host) for host in targets]
    result = {"targets": len(targets), "sent": sent, "received": received, "wall_s": wall_s, "hosts": hosts}
    yield orjson.dumps(result).decode() + "\n"


def _host_json(host: PingedHost) -> dict[str, object]:
    rtts_ms = host.rtts_ms
    sent, faults = (host.pong.sent, host.pong.faults) if host.pong else (0, 0)
    result = {"host": host.host, "sent": sent, "received": len(rtts_ms), "rtt_ms": rtts_ms}
    if faults:
        result["faults"] = faults
    if host.problem:
        result["error"] = host.problem
    return result


def _lines(targets: Sequence[PingedHost], wall_s: float, *, quiet: bool) -> Iterator[str]:
    if not quiet:
        width = max(len(host.host) for host in targets)
        yield from (f"{host.host:{width}} : {_line(host)}\n" for host in targets)
    sent, received = _totals(targets)
    silent = sum(not host.rtts_ms for host in targets)
    rtts = [rtt for host in targets for rtt in host.rtts_ms]
    median = f", median {_ms(statistics.median(rtts))} ms" if rtts else ""
    yield (
        f"{len(targets)} hosts, {len(targets) - silent} answered, {silent} did not;"
        f" xmt/rcv/%loss = {sent}/{received}/{_loss(sent, received)}{median}; {wall_s:.2f} s\n"
    )


def _line(host: PingedHost) -> str:
    rtts = host.rtts_ms
    if host.pong is None:
        return f"{host.problem}"
    line = f"xmt/rcv/%loss = {host.pong.sent}/{len(rtts)}/{_loss(host.pong.sent, len(rtts))}"
    if rtts:
        line += f", min/avg/max = {_ms(min(rtts))}/{_ms(statistics.fmean(rtts))}/{_ms(max(rtts))}"
    return f"{line} ({host.pong.faults} not counted: {host.problem})" if host.pong.faults else line


def _loss(sent: int, received: int) -> str:
    return f"{100 * (sent - received) // sent}%" if sent else "-"


def _ms(value: float) -> str:
    """Format with three significant digits, as fping does."""
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"
