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

from simulator.clock import Clock
from simulator.network import Change, Network
from simulator.plan import Host, Plan
from simulator.registry import Registry
from simulator.responder import Responder
from simulator.script import Script, ScriptError, load
from simulator.truth import Truth

_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK = 1, 29
_NICE = -10
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
        _run(script, hosts, database_url, Truth(options.data_dir))
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
        return [Host(**row) for row in rows]
    except TypeError as problem:
        columns = ", ".join(field.name for field in fields(Host))
        raise ScriptError([f"the hosts {path} have other columns than {columns}"]) from problem


def _run(script: Script, hosts: list[Host] | None, database_url: str | None, truth: Truth) -> None:
    clock = Clock()
    network = Network(script, hosts or ())

    def changed(change: Change) -> None:
        _tell(change, network, clock, truth)

    responder = Responder(network, clock, changed, started=_started)
    _end_with_parent(responder)
    _tune()
    if hosts is not None:
        responder.adopt(network.plan)
        responder.answer()
    elif database_url:
        registry = Registry(database_url, lambda found: responder.adopt(Plan(script, found)))
        registry.start()
        responder.answer()
        registry.stop()
    responder.close()
    truth.close()


def _started(clock: Clock) -> None:
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
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--database-url-env", metavar="NAME", help="the variable that holds the registry's URL")
    source.add_argument("--hosts", type=Path, metavar="FILE", help="a CSV of hosts instead of the registry")
    return parser.parse_args(argv)


def _fail(problem: str) -> int:
    logger.error("%s", problem)
    return 2


if __name__ == "__main__":
    sys.exit(main())
