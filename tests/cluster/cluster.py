"""The whole cluster: three databases, two machines of the service, the front before them, and what they run."""

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from app.postgres.leadership import Leadership
from simulator.villages import CANARIES
from tests.cluster.configuration import APPS, DATABASES, FILES, FRONT, PAGES_PORT, SITES, Configuration, environment
from tests.cluster.machines import Machine, Machines
from tests.cluster.processes import Program, Programs, as_unprivileged, found
from tests.cluster.villages import fetch
from tests.support.demo_process import wait_for

ETCD, API, INGEST, PATRONI, DEVICES = 2379, 8000, 8001, 8008, 8001
SYNCHRONOUS = {"sync_standby", "quorum_standby"}
INTERVAL_S = 10
SMALL_DISK = "1g"
LEADING = """
    SELECT host(a.client_addr) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32) + l.objid::bigint = $1
"""
START_S = 120.0


class Cluster:
    """Its machines and programs. `start_*` in the order in which they stand here."""

    def __init__(self, folder: Path, machines: Machines) -> None:
        self.folder, self.machines, self.programs = folder, machines, Programs()
        network = "10.64.0.0/24" if machines.separate else "127.0.0.0/8"
        self.files = Configuration(folder, machines, network)
        self.small_disks: list[str] = []  # machines whose database has little room
        self.more: dict[str, str] = {}  # settings of the service, beside those below

    def make_small_disks(self, names: Sequence[str]) -> None:
        """Give these databases little room, on a file system that ends with our mounts: see `enclosure`."""
        for name in names:
            folder = self.data_folder(self.machines[name])
            options = f"size={SMALL_DISK},uid={folder.stat().st_uid},gid={folder.stat().st_gid},mode=0700"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
            self.small_disks.append(name)

    def data_folder(self, machine: Machine) -> Path:
        return self.files.folder_of(machine, "postgres")

    def start_databases(self) -> None:
        """Start etcd, then PostgreSQL under Patroni: the first is the primary, two follow it."""
        for name in DATABASES:
            self._start_etcd(self.machines[name])
        for name in DATABASES:
            self._start_patroni(self.machines[name])
            if name == DATABASES[0]:
                wait_for(lambda: self.primary() is not None, START_S, every_s=0.5)
        self._create_database()
        wait_for(self.is_replicated, START_S, every_s=0.5)

    def start_roads(self) -> None:
        """Start what stands between the service and the databases, on each machine of the service."""
        for name in APPS:
            self._start_haproxy(self.machines[name])
            self._start_pgbouncer(self.machines[name])

    def start_network(self, hosts: Path, script: Path) -> None:
        """Simulate the villages' network where something probes; without namespaces the kernel answers for all."""
        for name in (*APPS, *SITES) if self.machines.separate else ():
            machine = self.machines[name]
            argv = [sys.executable, "-m", "simulator", "--data-dir", str(self.data_dir(machine))]
            argv += ["--script", str(script), "--hosts", str(hosts)]
            self.start("simulator", machine, argv)

    def truth(self, machine: str) -> Path:
        return self.data_dir(self.machines[machine]) / "truth.jsonl"

    def start_service(self) -> None:
        for name in APPS:
            self._start_app(self.machines[name])
        self._start_front()

    def _start_etcd(self, machine: Machine) -> None:
        variables = environment(self.files.render("etcd.env", machine))
        self.start("etcd", machine, [found("etcd")], variables, unprivileged=True)

    def _start_patroni(self, machine: Machine) -> None:
        self.files.write("pgbackrest.conf", machine)
        file = self.files.write("patroni.yml", machine, self.files.changes())
        variables = {"HOME": str(file.parent)}
        self.start("patroni", machine, [found("patroni"), str(file)], variables, unprivileged=True)

    def _create_database(self) -> None:
        """Do once what docs/ha.md does once: the service's database, and where WAL is archived."""
        asyncio.run(create_database(self.database_url("postgres"), self.files.password("sinyal")))
        primary = self.primary()
        assert primary is not None
        conf = self.folder / primary.name / "pgbackrest.conf"
        argv = [found("pgbackrest"), f"--config={conf}", "--stanza=sinyal", "stanza-create"]
        subprocess.run(primary.command(as_unprivileged(argv)), check=True, capture_output=True, cwd="/")

    def _start_haproxy(self, machine: Machine) -> None:
        file = self.files.write("haproxy.cfg", machine, {"log /dev/log": "log stdout format raw"})
        self.start("haproxy", machine, [found("haproxy"), "-db", "-f", str(file)], unprivileged=True)

    def _start_pgbouncer(self, machine: Machine) -> None:
        self.files.write("userlist.txt", machine)
        file = self.files.write("pgbouncer.ini", machine)
        self.start("pgbouncer", machine, [found("pgbouncer"), str(file)], unprivileged=True)

    def _start_app(self, machine: Machine) -> None:
        settings = self.settings_of(machine)
        for command in ("api", "ingest", "worker", "courier"):
            self.start(command, machine, [sys.executable, "-m", "app.cli", command], settings)

    def _start_front(self) -> None:
        file = self.files.write("front.cfg", self.machines[FRONT])
        self.start("front", self.machines[FRONT], [found("haproxy"), "-db", "-f", str(file)], unprivileged=True)

    def settings_of(self, machine: Machine) -> dict[str, str]:
        return {
            **environment(self.files.render("sinyal.env", machine)),
            "SINYAL_DATA_DIR": str(self.data_dir(machine)),
            "SINYAL_HOST": machine.address,
            "SINYAL_PORT": str(API),
            "SINYAL_INGEST_PORT": str(INGEST),
            "SINYAL_INGEST_URL": self.devices_url,
            "SINYAL_TRUSTED_PROXIES": self.machines[FRONT].address,
            "SINYAL_CANARIES": ",".join(CANARIES),
            "SINYAL_PROBE__ALLOW": "127.0.0.0/8",
            "SINYAL_PROBE__INTERVAL_S": str(INTERVAL_S),
            **self.more,
        }

    @property
    def pages_url(self) -> str:
        return f"http://{self.machines[FRONT].address}:{PAGES_PORT}"

    @property
    def devices_url(self) -> str:
        return f"http://{self.machines[FRONT].address}:{DEVICES}"

    def database_url(self, database: str = "sinyal", *, user: str = "postgres") -> str:
        """Return the URL at the primary itself, past all that stands before it. Raises AssertionError without one."""
        primary = self.primary()
        assert primary is not None, "no primary"
        password = self.files.password(user)
        return f"postgresql://{user}:{password}@{primary.address}:5432/{database}"

    def primary(self) -> Machine | None:
        """Return the machine whose Patroni says that it leads; None while none does, or two do."""
        leading = [name for name in DATABASES if ask(self.machines[name], "/primary")[0] == 200]
        return self.machines[leading[0]] if len(leading) == 1 else None

    def is_replicated(self) -> bool:
        """Whether all three databases run, and one follows synchronously."""
        for name in DATABASES:
            status, body = ask(self.machines[name], "/cluster")
            if status == 200:
                states = sorted(member["state"] for member in body["members"])
                roles = {member["role"] for member in body["members"]}
                return states == ["running", "streaming", "streaming"] and bool(roles & SYNCHRONOUS)
        return False

    def etcd_leader(self) -> str:
        """Return the machine's name. Raises LookupError while none leads."""
        for name in DATABASES:
            status, body = ask(self.machines[name], "/v3/maintenance/status", port=ETCD, body=b"{}")
            if status == 200 and body["leader"] == body["header"]["member_id"]:
                return name
        raise LookupError("no member of etcd leads")

    def leading_worker(self) -> str:
        """Return the name of its machine. Raises LookupError while none leads."""
        rows = asyncio.run(fetch(self.database_url("postgres"), LEADING, Leadership.WORKER.lock_id))
        machines = {machine.address: machine.name for machine in self.machines.all()}
        if not rows or rows[0][0] not in machines:
            raise LookupError("no worker leads" if not rows else f"a worker leads from {rows[0][0]}")
        return machines[rows[0][0]]

    def postmaster(self, machine: Machine) -> int:
        """Raises AssertionError if no PostgreSQL runs there."""
        file = next((self.folder / machine.name / "postgres").rglob("postmaster.pid"), None)
        assert file is not None, f"no PostgreSQL on {machine.name}"
        return int(file.read_text().split()[0])

    def data_dir(self, machine: Machine) -> Path:
        folder = self.folder / machine.name / "data"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def start(
        self,
        kind: str,
        machine: Machine,
        argv: Sequence[str],
        variables: dict[str, str] | None = None,
        *,
        unprivileged: bool = False,
    ) -> Program:
        log = self.folder / "logs" / f"{machine.name}-{kind}.log"
        log.parent.mkdir(exist_ok=True)
        return self.programs.start(Program(kind, machine, argv, log, variables or {}, unprivileged))

    def stop(self) -> None:
        self.programs.stop()
        for name in DATABASES:  # Patroni ends at once, and leaves its PostgreSQL that was killed leaves its PostgreSQL
            for file in (self.folder / name).rglob("postmaster.pid"):
                _kill_if_running(int(file.read_text().split()[0]))


@contextmanager
def cluster(folder: Path, *, separate: bool) -> Iterator[Cluster]:
    """Yield the cluster, of which nothing runs yet; all that was started ends with the block."""
    folder.chmod(0o711)  # the databases' user passes through
    with Machines([*DATABASES, *APPS, FRONT, *SITES], separate=separate) as machines:
        made = Cluster(folder, machines)
        try:
            yield made
        finally:
            made.stop()


def ask(machine: Machine, path: str, *, port: int = PATRONI, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
    """Return status and answer of a machine's Patroni, or of another port there; 0 if it gives none."""
    try:
        with urllib.request.urlopen(f"http://{machine.address}:{port}{path}", body, timeout=1) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, {}
    except (OSError, ValueError):
        return 0, {}


async def create_database(url: str, password: str) -> None:
    """Run config/ha/database.sql, as psql would with its variable."""
    script = (FILES / "database.sql").read_text(encoding="utf-8").replace(":'password'", f"'{password}'")
    connection = await asyncpg.connect(url)
    try:
        for statement in re.sub(r"--.*", "", script).split(";"):
            if statement.strip():
                await connection.execute(statement)
    finally:
        await connection.close()


def _kill_if_running(pid: int) -> None:
    try:
        os.kill(pid, 3)  # SIGQUIT: immediate shutdown, its children included
    except ProcessLookupError:
        return
