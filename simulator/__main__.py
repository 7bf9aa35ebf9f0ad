"""`python -m simulator`: the village network, run inside a namespace of its own (see `simulator.process`)."""

import argparse
import contextlib
import csv
import ctypes
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from simulator.agents_process import Feed
from simulator.clock import Clock
from simulator.host_plan import Host, Plan
from simulator.network import Change, Network
from simulator.registry import Registry
from simulator.responder import Responder
from simulator.script import Script, ScriptError, load
from simulator.truth import Truth
from simulator.villages import addresses

_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK = 1, 29
_NICE = -10
_MBPS = ("down_mbps", "up_mbps")
_REGIONS = Path(__file__).resolve().parents[1] / "config" / "regions" / "kaltim_regions.csv"
_SWITCH_S = 0.000_5  # the registry's thread may hold an answer up by this much, no more

logger = logging.getLogger("simulator")


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="simulator: %(message)s")
    database_url = os.environ.get(options.database_url_env or "")
    if options.hosts is None and not database_url:
        return _fail(f"{options.database_url_env} is not set (or give --hosts FILE)")
    try:
        script = load(options.script)
        hosts = None if options.hosts is None else read_hosts(options.hosts)
        feed = None
        if script.agents is not None and options.server:
            feed = Feed(server=options.server, data_dir=options.data_dir, script=options.script)
        _run(script, hosts, database_url, Truth(options.data_dir), feed)
    except PermissionError as problem:
        return _fail(f"{problem}: a raw ICMP socket and the data folder are needed; run it inside the namespace")
    except (OSError, ScriptError) as problem:
        return _fail(str(problem))
    return 0


def read_hosts(path: Path) -> list[Host]:
    """A CSV with a header: address, technology and, for events to select by, code, village_code, provider."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return [Host(**_typed(row)) for row in rows]
    except TypeError as problem:
        columns = ", ".join(field.name for field in fields(Host))
        raise ScriptError([f"the hosts {path} have other columns than {columns}"]) from problem


def _typed(row: dict[str, str]) -> dict[str, Any]:
    return row | {name: float(row[name] or 0) for name in _MBPS if name in row}


def _run(script: Script, hosts: list[Host] | None, database_url: str | None, truth: Truth, feed: Feed | None) -> None:
    clock = Clock()
    network = Network(script, hosts or ())

    def changed(change: Change) -> None:
        _tell(change, network, clock, truth)
        if feed is not None and change.begins:
            feed.act(change.acting)

    def started(start_ns: int) -> None:
        _say_started(clock)
        if feed is not None:
            feed.begin(start_ns)

    def told(found: list[Host]) -> None:
        responder.adopt(Plan(script, found))
        if feed is not None:
            feed.adopt(found)

    responder = Responder(network, clock, changed, started=started)
    _end_with_parent(responder)
    _tune()
    if feed is not None:
        feed.start()
    if hosts is not None:
        told(hosts)
        responder.answer()
    elif database_url:
        registry = Registry(database_url, told, places=addresses(_REGIONS))
        registry.start()
        responder.answer()
        registry.stop()
    responder.close()
    if feed is not None:
        feed.stop()
    truth.close()


def _say_started(clock: Clock) -> None:
    logger.info("simulator_started_at=%s", clock.moment(0).isoformat(timespec="microseconds"))
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def _tell(change: Change, network: Network, clock: Clock, truth: Truth) -> None:
    acting = change.acting
    if change.begins and not acting.codes:
        logger.warning("an event selects no site: %s", acting.event)
    ended_at = None if change.begins else clock.moment(acting.end_s)
    truth.tell(acting.event.kind.value, acting.codes, clock.moment(acting.start_s), ended_at)


def _end_with_parent(responder: Responder) -> None:
    """The kernel signals when the parent's *thread* ends; only a parent that is gone ends us."""
    parent = os.getppid()

    def orphaned(*_: object) -> None:
        if os.getppid() != parent:
            responder.stop()

    signal.set_wakeup_fd(responder.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: responder.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the parent's to handle
    signal.signal(signal.SIGUSR1, orphaned)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1)
    orphaned()


def _tune() -> None:
    """For punctual answers: no timer slack, quick turns between threads, little to collect, precedence."""
    _prctl(_PR_SET_TIMERSLACK, 1)
    with contextlib.suppress(PermissionError):  # root's alone; busy machines are late by milliseconds without
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--script", type=Path, help="what happens, TOML; without one a lively default")
    parser.add_argument("--data-dir", type=Path, required=True, help="where truth.jsonl is written")
    parser.add_argument("--server", help="where agents push to; $SIMULATOR_SECRET is theirs")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--database-url-env", metavar="NAME", help="the variable that holds the registry's URL")
    source.add_argument("--hosts", type=Path, metavar="FILE", help="a CSV of hosts instead of the registry")
    return parser.parse_args(argv)


def _fail(problem: str) -> int:
    logger.error("%s", problem)
    return 2


if __name__ == "__main__":
    sys.exit(main())
