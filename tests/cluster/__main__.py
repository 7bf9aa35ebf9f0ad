"""A whole cluster on this one machine: `make cluster` brings it up and waits, `make cluster-faults` breaks it.

SITES=200 python -m tests.cluster [faults [WORD…]] [--keep FOLDER] [--flat]. With words, faults whose names hold one.
As root each machine is a network namespace, and links can be cut; otherwise, and with --flat, a loopback address.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.cluster import enclosure
from tests.cluster.cluster import Cluster, cluster
from tests.cluster.configuration import DATABASES
from tests.cluster.faults import PRIMARY_KILLS, faults, named
from tests.cluster.machines import may_separate
from tests.cluster.probers import LOOKED_AT, start_probers
from tests.cluster.trial import HEADING, Trial, line
from tests.cluster.villages import Registered, register, write_hosts, write_script


def main() -> int:
    options = _options()
    separate = may_separate() and not options.flat
    if separate and not enclosure.is_inside():
        with _folder(options.keep) as folder:
            return enclosure.run_inside([*sys.argv[1:], "--folder", str(folder)])
    if separate:
        enclosure.fork_from_init()
        enclosure.end_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with (
        suppress(KeyboardInterrupt),
        _folder(options.folder or options.keep) as folder,
        cluster(folder, separate=separate) as made,
    ):
        return _run(made, options)
    return 130


def _run(made: Cluster, options: argparse.Namespace) -> int:
    chosen = named(faults(primary_kills=options.primary_kills), options.words) if options.what == "faults" else []
    if made.machines.separate and any(fault.needs_small_disk for fault in chosen):
        made.make_small_disks(DATABASES[1:])
    registered = _bring_up(made, options.sites)
    if options.what != "faults":
        _tell(made, registered)
        signal.pause()
        return 0
    if not made.machines.separate:
        left_out = [fault.name for fault in chosen if fault.needs_links or fault.needs_small_disk]
        chosen = [fault for fault in chosen if fault.name not in left_out]
        _say(f"not tried, as that needs namespaces and mounts of root: {'; '.join(left_out) or 'nothing'}")
    trial = Trial(made, registered, options.sites)
    _say(HEADING)
    trial.run(chosen, _say)
    _say(HEADING)
    for record in trial.records:
        _say(line(record))
    _say(f"BROKEN: {', '.join(trial.broken)}" if trial.broken else "all rules held")
    return 1 if trial.broken else 0


def _bring_up(made: Cluster, sites: int) -> Registered:
    started = time.monotonic()
    made.start_databases()
    _say(f"databases run after {time.monotonic() - started:.0f} s: {made.folder}")
    registered = asyncio.run(register(made.database_url(user="sinyal"), sites, *LOOKED_AT.split(";")))
    hosts, script = made.folder / "hosts.csv", made.folder / "script.toml"
    write_hosts(registered.hosts, hosts)
    write_script(registered.hosts, script)
    made.start_roads()
    made.start_network(hosts, script)
    made.start_service()
    start_probers(made, registered.token)
    return registered


def _tell(made: Cluster, registered: Registered) -> None:
    _say(f"pages and API: {made.pages_url}; devices: {made.devices_url}; token: {registered.token}")
    for program in made.programs.all():
        _say(f"  {program.machine.name:<6} {program.machine.address:<14} {program.kind:<10} {program.pid}")
    _say(f"logs: {made.folder}/logs; Ctrl-C ends it all")


@contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    """A kept folder is a new one; without one it is removed at the end."""
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen
        return
    with tempfile.TemporaryDirectory(prefix="sinyal-cluster-") as folder:
        yield Path(folder)


def _say(text: str) -> None:
    print(text, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("up", "faults"), default="up")
    parser.add_argument("words", nargs="*", metavar="WORD", help="of the faults that are tried; default: all")
    parser.add_argument("--sites", type=int, default=int(os.environ.get("SITES", "2000")))
    parser.add_argument("--primary-kills", type=int, default=PRIMARY_KILLS)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="a new folder, in which data and logs stay")
    parser.add_argument(
        "--flat", action="store_true", help="on the loopback, where a browser here reaches it, as root too"
    )
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
