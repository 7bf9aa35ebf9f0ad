"""`sinyal ping`: the echo engine on the command line, printing what fping's users expect."""

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

from probes.echo import PACKETS_PER_SECOND, Echo, IcmpNotPermitted, Ping, Pong
from probes.in_flight import canonical_address
from probes.policy import is_hostname
from probes.resolve import Resolver, Unresolvable

ALL_ANSWERED, SOME_SILENT, BAD_ARGUMENTS, NOT_PERMITTED = 0, 1, 2, 4
LONGEST_S, MOST_PACKETS = 3600, 100_000


@dataclass(slots=True)
class Asked:
    """A host as it was typed, and what came of it."""

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
    hosts: Annotated[list[str] | None, typer.Argument(metavar="HOST...", help="Addresses or names.")] = None,
    count: Annotated[int, typer.Option("--count", "-c", help="Packets to each host.")] = 3,
    interval: Annotated[float, typer.Option("--interval", "-i", help="Seconds between them.")] = 1.0,
    timeout: Annotated[float, typer.Option("--timeout", "-t", help="Seconds each one waits.")] = 2.0,
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="A host a line, # comments; - is stdin.")
    ] = None,
    rate: Annotated[
        float, typer.Option("--rate", help="Packets a second over all; 0: as fast as answers can be read.")
    ] = PACKETS_PER_SECOND,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The summary alone.")] = False,
) -> None:
    """Ping many hosts at once, thousands as easily as one.

    Exit code: 0 every host answered, 1 some did not, 2 bad arguments or a name that does not resolve,
    4 ICMP is not permitted. The policy of where probes may go does not apply here.
    """
    try:
        _check(count, interval, timeout, rate)
        asked = [*map(_named, hosts or []), *(_read_hosts(file) if file is not None else [])]
        if not asked:
            raise BadArgument("no host given: name some, or a file of them with --file")
        wall_s = asyncio.run(_ask(asked, Ping("", count, interval, timeout), rate))
    except BadArgument as problem:
        _stop(problem, BAD_ARGUMENTS)
    except (IcmpNotPermitted, OSError) as problem:
        _stop(problem, NOT_PERMITTED)
    sys.stdout.writelines(_json(asked, wall_s) if as_json else _lines(asked, wall_s, quiet=quiet))
    raise typer.Exit(_exit_code(asked))


def _stop(problem: Exception, code: int) -> NoReturn:
    sys.stderr.write(f"sinyal ping: {problem}\n")
    raise typer.Exit(code)


def _check(count: int, interval: float, timeout: float, rate: float) -> None:
    if not 1 <= count <= MOST_PACKETS:
        raise BadArgument(f"--count must be 1 to {MOST_PACKETS:,}, not {count}")
    if not 0 <= interval <= LONGEST_S:
        raise BadArgument(f"--interval must be 0 to {LONGEST_S} seconds, not {interval:g}")
    if not 0 < timeout <= LONGEST_S:
        raise BadArgument(f"--timeout must be above 0 and at most {LONGEST_S} seconds, not {timeout:g}")
    if not 0 <= rate < float("inf"):
        raise BadArgument(f"--rate must be 0 (unpaced) or more packets a second, not {rate:g}")


def _named(text: str, where: str = "") -> Asked:
    if canonical_address(text):
        return Asked(text, address=text)
    if not is_hostname(text):
        raise BadArgument(f"{where}{text!r} is neither an IP address nor a hostname")
    return Asked(text)


def _read_hosts(file: str) -> Iterator[Asked]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise BadArgument(f"cannot read {file}: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise BadArgument(f"cannot read {file}: not a text file") from problem
    for number, line in enumerate(text.splitlines(), start=1):
        if host := line.partition("#")[0].strip():
            yield _named(host, f"{file}, line {number}: ")


async def _ask(asked: Sequence[Asked], ping: Ping, rate: float) -> float:
    """Fills in what came of each host; the wall time in seconds, lookups included."""
    gc.disable()  # nothing here is cyclic, and walking 100,000 hosts' records costs as much as pinging them
    async with Echo.open(packets_per_second=rate) as echo:
        started = time.perf_counter()
        await _find(host for host in asked if host.address is None)
        found = [host for host in asked if host.address is not None]
        pings = [Ping(host.address or "", ping.count, ping.spacing_s, ping.timeout_s) for host in found]
        for host, pong in zip(found, await echo.ping(pings), strict=True):
            host.pong = pong
            host.problem = pong.reason
        return time.perf_counter() - started


async def _find(hosts: Iterable[Asked]) -> None:
    resolver = Resolver()

    async def find(host: Asked) -> None:
        try:
            host.address = (await resolver.resolve(host.host))[0]
        except Unresolvable as problem:
            host.problem = str(problem)

    await asyncio.gather(*map(find, hosts))


def _exit_code(asked: Sequence[Asked]) -> int:
    if any(host.pong is None for host in asked):
        return BAD_ARGUMENTS
    return ALL_ANSWERED if all(host.pong and host.pong.rtts_ns for host in asked) else SOME_SILENT


def _totals(asked: Sequence[Asked]) -> tuple[int, int]:
    pongs = [host.pong for host in asked if host.pong]
    return sum(pong.sent for pong in pongs), sum(len(pong.rtts_ns) for pong in pongs)


def _json(asked: Sequence[Asked], wall_s: float) -> Iterator[str]:
    sent, received = _totals(asked)
    hosts = [_host_json(host) for host in asked]
    answer = {"targets": len(asked), "sent": sent, "received": received, "wall_s": wall_s, "hosts": hosts}
    yield orjson.dumps(answer).decode() + "\n"


def _host_json(host: Asked) -> dict[str, object]:
    rtts_ms = host.rtts_ms
    sent, faults = (host.pong.sent, host.pong.faults) if host.pong else (0, 0)
    answer = {"host": host.host, "sent": sent, "received": len(rtts_ms), "rtt_ms": rtts_ms}
    if faults:
        answer["faults"] = faults
    if host.problem:
        answer["error"] = host.problem
    return answer


def _lines(asked: Sequence[Asked], wall_s: float, *, quiet: bool) -> Iterator[str]:
    if not quiet:
        width = max(len(host.host) for host in asked)
        yield from (f"{host.host:{width}} : {_line(host)}\n" for host in asked)
    sent, received = _totals(asked)
    silent = sum(not host.rtts_ms for host in asked)
    medians = [rtt for host in asked for rtt in host.rtts_ms]
    median = f", median {_ms(statistics.median(medians))} ms" if medians else ""
    yield (
        f"{len(asked)} hosts, {len(asked) - silent} answered, {silent} did not;"
        f" xmt/rcv/%loss = {sent}/{received}/{_loss(sent, received)}{median}; {wall_s:.2f} s\n"
    )


def _line(host: Asked) -> str:
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
    """Three digits that mean something, as fping writes them."""
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"
