"""What is broken, and how it is mended: each fault takes the cluster and returns what undoes it."""

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.configuration import APPS, FRONT, SITES
from tests.cluster.machines import Machine

Undo = Callable[[], None]
FULL_CHUNK = 1 << 20
PRIMARY_KILLS = 10


@dataclass(frozen=True)
class ClusterFault:
    """`hold_s`: how long it lasts before it is undone. `needs_links`: whether it cuts a machine off."""

    name: str
    begin: Callable[[Cluster], Undo]
    hold_s: float = 0.0
    needs_links: bool = False
    needs_small_disk: bool = False


def faults(*, primary_kills: int = PRIMARY_KILLS) -> list[ClusterFault]:
    """Return all of them, in the order in which they are tried."""
    service = [
        ClusterFault(f"kill -9 {kind} of {machine}", partial(kill, kind, machine))
        for kind, machine in (
            ("api", APPS[0]),
            ("ingest", APPS[1]),
            ("worker", APPS[0]),
            ("worker", APPS[1]),
            ("courier", APPS[0]),
            ("haproxy", APPS[0]),
            ("pgbouncer", APPS[1]),
            ("prober", SITES[0]),
            ("front", FRONT),
        )
    ]
    databases = [
        *(ClusterFault(f"kill -9 primary, {n}.", kill_primary) for n in range(1, primary_kills + 1)),
        ClusterFault("kill -9 Patroni of the primary", kill_patroni),
        ClusterFault("kill -9 Patroni and primary", kill_patroni_and_primary),
        ClusterFault("kill -9 etcd's leader", kill_etcd_leader),
    ]
    lasting = [
        ClusterFault("primary cut off, 60 s", cut_off_primary, 60, needs_links=True),
        ClusterFault("leading worker's machine cut off, 60 s", cut_off_leader, 60, needs_links=True),
        ClusterFault("api's machine cut off, 60 s", cut_off_follower, 60, needs_links=True),
        ClusterFault("prober cut off, 60 s", partial(cut_off, SITES[1]), 60, needs_links=True),
        ClusterFault("SIGSTOP of the leading worker, 60 s", stop_leader, 60),
        ClusterFault("disk full on a standby, 60 s", fill_standby, 60, needs_small_disk=True),
    ]
    return [*databases, *service, *lasting]


def kill(kind: str, machine: str, cluster: Cluster) -> Undo:
    for program in cluster.programs.named(kind, machine):
        program.signal(signal.SIGKILL)
    return _nothing


def kill_primary(cluster: Cluster) -> Undo:
    os.kill(cluster.postmaster(_primary(cluster)), signal.SIGKILL)
    return _nothing


def kill_patroni(cluster: Cluster) -> Undo:
    return kill("patroni", _primary(cluster).name, cluster)


def kill_patroni_and_primary(cluster: Cluster) -> Undo:
    """As if the machine had been switched off and on again."""
    primary = _primary(cluster)
    kill("patroni", primary.name, cluster)
    os.kill(cluster.postmaster(primary), signal.SIGKILL)
    return _nothing


def kill_etcd_leader(cluster: Cluster) -> Undo:
    return kill("etcd", cluster.etcd_leader(), cluster)


def cut_off_primary(cluster: Cluster) -> Undo:
    return _cut_off(_primary(cluster))


def cut_off_leader(cluster: Cluster) -> Undo:
    return _cut_off(cluster.machines[cluster.leading_worker()])


def cut_off_follower(cluster: Cluster) -> Undo:
    leading = cluster.leading_worker()
    return _cut_off(cluster.machines[next(name for name in APPS if name != leading)])


def cut_off(machine: str, cluster: Cluster) -> Undo:
    return _cut_off(cluster.machines[machine])


def stop_leader(cluster: Cluster) -> Undo:
    (worker,) = cluster.programs.named("worker", cluster.leading_worker())
    worker.signal(signal.SIGSTOP)
    return partial(worker.signal, signal.SIGCONT)


def fill_standby(cluster: Cluster) -> Undo:
    """Leave no byte on the small disk of a standby."""
    primary = _primary(cluster)
    standby = next(name for name in cluster.small_disks if name != primary.name)
    file = cluster.data_folder(cluster.machines[standby]) / "ballast"
    _fill(file)
    return file.unlink


def _fill(file: Path) -> None:
    with suppress(OSError), file.open("wb", buffering=0) as ballast:
        while ballast.write(bytes(FULL_CHUNK)):
            pass


def _cut_off(machine: Machine) -> Undo:
    machine.cut_off()
    return machine.connect


def _primary(cluster: Cluster) -> Machine:
    primary = cluster.primary()
    assert primary is not None, "no primary"
    return primary


def _nothing() -> None:
    return


def named(faults: Sequence[ClusterFault], words: Sequence[str]) -> list[ClusterFault]:
    """Return those whose name holds one of the words; without words all. Raises LookupError for a word of none."""
    for word in words:
        if not any(word in fault.name for fault in faults):
            raise LookupError(f"no fault is called {word!r}: " + "; ".join(fault.name for fault in faults))
    return [fault for fault in faults if not words or any(word in fault.name for word in words)]
