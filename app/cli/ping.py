"""`sinyal ping`: ping many hosts with the echo engine of the worker, printing lines like fping's."""

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from pathlib import Path
from typing import Annotated, NoReturn

import numpy as np
import orjson
import typer

from app.cli.context import write
from probes.echo import PACKETS_PER_SECOND, Echo, IcmpNotPermitted, Ping, PingBatch, PongBatch
from probes.policy import is_hostname
from probes.resolve import Resolver, Unresolvable
from probes.sockaddr import NO_ADDRESS, Addresses, prepare_addresses

ALL_ANSWERED, SOME_SILENT, BAD_ARGUMENTS, NOT_PERMITTED = 0, 1, 2, 4
MAX_S, MAX_PACKETS, MAX_PACKETS_IN_ALL = 3600, 100_000, 20_000_000
NS_PER_MS = 1_000_000
PIECE = 4096  # hosts of the JSON answer that are written at a time


@dataclass(frozen=True, slots=True, repr=False)  # asyncio.run writes one of its task's result, for nobody
class PingedHosts:
    """Hosts as they were typed, and the row of each in the results; those in `unresolved` were not pinged."""

    hosts: Sequence[str]
    unresolved: Collection[int]
    pongs: PongBatch
    wall_s: float  # DNS lookups included


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
        gc.disable()  # no cycles here, and a collection over 100,000 hosts costs as much as pinging them
        targets, to = _read_targets(hosts or [], file)
        _check_number(len(targets), count)
        pinged = asyncio.run(_ping_all(targets, to, Ping("", count, interval, timeout), rate))
    except BadArgument as problem:
        _stop(problem, BAD_ARGUMENTS)
    except (IcmpNotPermitted, OSError) as problem:
        _stop(problem, NOT_PERMITTED)
    for text in _json(pinged) if as_json else ["".join(_lines(pinged, quiet=quiet))]:
        write(text)
    raise typer.Exit(_exit_code(pinged))


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


def _check_number(hosts: int, count: int) -> None:
    if not hosts:
        raise BadArgument("no host given: name hosts, or a file of them with --file")
    if hosts * count > MAX_PACKETS_IN_ALL:
        raise BadArgument(f"{hosts:,} hosts by --count {count:,} are more than {MAX_PACKETS_IN_ALL:,} packets")


def _read_targets(hosts: Sequence[str], file: str | None) -> tuple[Sequence[str], Addresses]:
    """Return all hosts, and the address of each; a hostname has none yet."""
    texts = [*hosts, *(_read_lines(file) if file is not None else [])]
    to = prepare_addresses(texts)
    kept = np.ones(len(texts), np.bool_)
    for row in np.flatnonzero(to["family"] == NO_ADDRESS).tolist():
        line = row + 1 - len(hosts)
        if line > 0 and not texts[row]:
            kept[row] = False
        elif not is_hostname(texts[row]):
            where = f"{file}, line {line}: " if line > 0 else ""
            raise BadArgument(f"{where}{texts[row]!r} is neither an IP address nor a hostname")
    return (texts, to) if kept.all() else (list(compress(texts, kept.tolist())), to[kept])


def _read_lines(file: str) -> list[str]:
    """Return the lines of a file, those without a host empty."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise BadArgument(f"cannot read {file}: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise BadArgument(f"cannot read {file}: not a text file") from problem
    lines = text.splitlines()
    if "#" in text:
        lines = [line.partition("#")[0] for line in lines]
    return [line.strip() for line in lines]


async def _ping_all(hosts: Sequence[str], to: Addresses, ping: Ping, rate: float) -> PingedHosts:
    async with Echo.open(packets_per_second=rate) as echo:
        started = time.perf_counter()
        unresolved = await _resolve(hosts, to)
        pongs = await echo.sweep(PingBatch.alike(to, ping))
        wall_s = time.perf_counter() - started
    pongs.faults[list(unresolved)] = 0
    pongs.reasons.update(unresolved)
    return PingedHosts(hosts, unresolved, pongs, wall_s)


async def _resolve(hosts: Sequence[str], to: Addresses) -> dict[int, str]:
    """Fill in the addresses of names; return by row why one has none."""
    resolver = Resolver()
    problems: dict[int, str] = {}

    async def resolve(row: int) -> None:
        try:
            to[row] = prepare_addresses(await resolver.resolve(hosts[row]))[0]
        except Unresolvable as problem:
            problems[row] = str(problem)

    await asyncio.gather(*map(resolve, np.flatnonzero(to["family"] == NO_ADDRESS).tolist()))
    return problems


def _exit_code(pinged: PingedHosts) -> int:
    if pinged.unresolved:
        return BAD_ARGUMENTS
    return ALL_ANSWERED if pinged.pongs.received.all() else SOME_SILENT


def _json(pinged: PingedHosts) -> Iterator[str]:
    """Piece by piece: the objects of a million hosts would take a gigabyte."""
    pongs, hosts = pinged.pongs, len(pinged.hosts)
    sent, received = int(pongs.sent.sum()), int(pongs.received.sum())
    totals = {"targets": hosts, "sent": sent, "received": received, "wall_s": pinged.wall_s}
    yield orjson.dumps(totals).decode()[:-1] + ',"hosts":['
    for start in range(0, hosts, PIECE):
        piece = orjson.dumps(_hosts_json(pinged, slice(start, start + PIECE))).decode()
        yield piece[1:-1] + ("," if start + PIECE < hosts else "]}\n")


def _hosts_json(pinged: PingedHosts, rows: slice) -> list[dict[str, object]]:
    pongs = pinged.pongs.take(rows)
    columns = (pongs.sent.tolist(), pongs.received.tolist(), pongs.answers(NS_PER_MS))
    hosts: list[dict[str, object]] = [
        {"host": host, "sent": sent, "received": received, "rtt_ms": rtts_ms}
        for host, sent, received, rtts_ms in zip(pinged.hosts[rows], *columns, strict=True)
    ]
    for row in np.flatnonzero(pongs.faults).tolist():
        hosts[row]["faults"] = int(pongs.faults[row])
    for row, reason in pongs.reasons.items():
        hosts[row]["error"] = reason
    return hosts


def _lines(pinged: PingedHosts, *, quiet: bool) -> Iterator[str]:
    pongs, rtts_ms = pinged.pongs, pinged.pongs.answers(NS_PER_MS)
    sent, received, hosts = int(pongs.sent.sum()), int(pongs.received.sum()), len(pinged.hosts)
    if not quiet:
        width = max(map(len, pinged.hosts))
        rows = zip(pinged.hosts, pongs.sent.tolist(), pongs.faults.tolist(), rtts_ms, strict=True)
        for row, (host, left, faults, rtts) in enumerate(rows):
            line = pongs.reasons[row] if row in pinged.unresolved else _line(left, faults, rtts, pongs.reasons.get(row))
            yield f"{host:{width}} : {line}\n"
    silent = hosts - int(np.count_nonzero(pongs.received))
    median = f", median {_ms(statistics.median(chain.from_iterable(rtts_ms)))} ms" if received else ""
    yield (
        f"{hosts} hosts, {hosts - silent} answered, {silent} did not;"
        f" xmt/rcv/%loss = {sent}/{received}/{_loss(sent, received)}{median}; {pinged.wall_s:.2f} s\n"
    )


def _line(sent: int, faults: int, rtts_ms: Sequence[float], reason: str | None) -> str:
    line = f"xmt/rcv/%loss = {sent}/{len(rtts_ms)}/{_loss(sent, len(rtts_ms))}"
    if rtts_ms:
        line += f", min/avg/max = {_ms(min(rtts_ms))}/{_ms(statistics.fmean(rtts_ms))}/{_ms(max(rtts_ms))}"
    return f"{line} ({faults} not counted: {reason})" if faults else line


def _loss(sent: int, received: int) -> str:
    return f"{100 * (sent - received) // sent}%" if sent else "-"


def _ms(value: float) -> str:
    """Format with three significant digits, as fping does."""
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"
