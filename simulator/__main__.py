"""`python -m simulator`: simulate the village network, inside a network namespace (see `simulator.process`)."""

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

from simulator.agents_process import AgentsProcess
from simulator.clock import Clock
from simulator.host_plan import HostPlan, SimulatedHost
from simulator.journal import TruthLog
from simulator.registry import RegistryPoller
from simulator.responder import Responder
from simulator.script import Script, ScriptError, load
from simulator.scripted_network import EventChange, ScriptedNetwork
from simulator.villages import addresses

_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK = 1, 29
_NICE = -10
_MBPS = ("down_mbps", "up_mbps")
_REGIONS = Path(__file__).resolve().parents[1] / "config" / "regions" / "kaltim_regions.csv"
_SWITCH_S = 0.000_5  # the polling thread may delay an answer by no more than this

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
        agents = None
        if script.agents is not None and options.server:
            agents = AgentsProcess(server=options.server, data_dir=options.data_dir, script=options.script)
        _run(script, hosts, database_url, TruthLog(options.data_dir), agents)
    except PermissionError as problem:
        return _fail(f"{problem}: a raw ICMP socket and the data folder are needed; run it inside the namespace")
    except (OSError, ScriptError) as problem:
        return _fail(str(problem))
    return 0


def read_hosts(path: Path) -> list[SimulatedHost]:
    """Read a CSV with the columns of SimulatedHost; address and technology are required. Raises ScriptError."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return [SimulatedHost(**_typed(row)) for row in rows]
    except TypeError as problem:
        columns = ", ".join(field.name for field in fields(SimulatedHost))
        raise ScriptError([f"the hosts {path} have other columns than {columns}"]) from problem


def _typed(row: dict[str, str]) -> dict[str, Any]:
    return row | {name: float(row[name] or 0) for name in _MBPS if name in row}


def _run(
    script: Script,
    hosts: list[SimulatedHost] | None,
    database_url: str | None,
    truth: TruthLog,
    agents: AgentsProcess | None,
) -> None:
    clock = Clock()
    network = ScriptedNetwork(script, hosts or ())

    def on_change(change: EventChange) -> None:
        _log_change(change, clock, truth)
        if agents is not None and change.begins:
            agents.begin_event(change.active)

    def on_start(start_ns: int) -> None:
        _announce_start(clock)
        if agents is not None:
            agents.start_clock(start_ns)

    def on_hosts(current: list[SimulatedHost]) -> None:
        responder.set_plan(HostPlan(script, current))
        if agents is not None:
            agents.set_hosts(current)

    responder = Responder(network, clock, on_change, on_start=on_start)
    _end_with_parent(responder)
    _tune()
    if agents is not None:
        agents.start()
    if hosts is not None:
        on_hosts(hosts)
        responder.run()
    elif database_url:
        poller = RegistryPoller(database_url, on_hosts, addresses=addresses(_REGIONS))
        poller.start()
        responder.run()
        poller.stop()
    responder.close()
    if agents is not None:
        agents.stop()
    truth.close()


def _announce_start(clock: Clock) -> None:
    logger.info("simulator_started_at=%s", clock.moment(0).isoformat(timespec="microseconds"))
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def _log_change(change: EventChange, clock: Clock, truth: TruthLog) -> None:
    active = change.active
    if change.begins and not active.codes:
        logger.warning("an event selects no site: %s", active.event)
    ended_at = None if change.begins else clock.moment(active.end_s)
    truth.record(active.event.kind.value, active.codes, clock.moment(active.start_s), ended_at)


def _end_with_parent(responder: Responder) -> None:
    """Stop with SIGTERM or when the parent is gone. The kernel signals when the parent's *thread* ends: check which."""
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
    """Make answers punctual: no timer slack, short thread switches, few objects to collect, a high priority."""
    _prctl(_PR_SET_TIMERSLACK, 1)
    with contextlib.suppress(
        PermissionError
    ):  # only root may; without, answers are late by milliseconds on a busy machine
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--script", type=Path, help="TOML file with the events; default: random ones, without end")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder for truth.jsonl")
    parser.add_argument("--server", help="URL that agents push to; their tokens are derived from $SIMULATOR_SECRET")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--database-url-env",
        metavar="NAME",
        help="environment variable with the URL of the database that holds the sites",
    )
    source.add_argument("--hosts", type=Path, metavar="FILE", help="CSV file of hosts, instead of the database")
    return parser.parse_args(argv)


def _fail(problem: str) -> int:
    logger.error("%s", problem)
    return 2


if __name__ == "__main__":
    sys.exit(main())
