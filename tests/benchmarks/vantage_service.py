"""One service and its probers, a network namespace each: every one of them has a simulated network of its own.

All answer for the same villages, by scripts of their own: what is lost in one network is reached in another.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.postgres.embedded import Cluster
from simulator.host_plan import SimulatedHost
from simulator.villages import CANARIES
from tests.cluster.machines import Machine, Machines
from tests.cluster.processes import Program, Programs
from tests.cluster.villages import write_hosts
from tests.support.demo_process import cpu_s, wait_for

PORT = 8000
VILLAGE = "64.02.05.2003"
TECHNOLOGY = "fiber"
CENTRE = "pusat"


@dataclass(frozen=True, slots=True)
class PlannedSite:
    provider: str
    vantages: tuple[int, ...]


@dataclass
class VantageService:
    """Runs on the machines of `names`: the first is the centre, the others are vantages 1, 2, …"""

    folder: Path
    names: Sequence[str]
    machines: Machines
    url: str  # of the database, through its socket: which reaches into all namespaces
    interval_s: int
    programs: Programs = field(default_factory=Programs)
    client: httpx.Client = field(init=False)
    sites: list[dict[str, Any]] = field(init=False)

    @property
    def centre(self) -> Machine:
        return self.machines[self.names[0]]

    def start_api(self) -> None:
        self._run("migrate")
        token = self._run("token", "create", "--name", "bench", "--role", "province_admin").split()[-1]
        self._start("api", self.centre, self._settings | {"SINYAL_HOST": self.centre.address})
        base, headers = f"http://{self.centre.address}:{PORT}", {"Authorization": f"Bearer {token}"}
        self.client = httpx.Client(base_url=f"{base}/api/v1", headers=headers, timeout=20, trust_env=False)
        wait_for(lambda: self.client.get(f"{base}/readyz").is_success, 60)

    def register(self, planned: Iterable[PlannedSite], hosts: Mapping[int, str]) -> None:
        """Register providers, vantages and sites. `hosts`: in whose network a vantage stands."""
        planned = list(planned)
        for slug in sorted({site.provider for site in planned}):
            self.post("/providers", slug=slug, name=slug)
        for number, name in enumerate(self.names[1:], 1):
            vantage = {"name": name, "label": label(number), "provider": hosts.get(number)}
            self.client.put(f"/vantages/{number}", json=vantage).raise_for_status()
        self.sites = [
            self.post(
                "/sites",
                village_code=VILLAGE,
                technology=TECHNOLOGY,
                provider=site.provider,
                probe="icmp",
                host=f"127.100.{number >> 8}.{number & 255}",
                vantages=list(site.vantages),
            )
            for number, site in enumerate(planned, 1)
        ]

    def start_looking(self, scripts: Mapping[int, str]) -> None:
        """Start the networks, by their scripts, then the worker and the probers."""
        hosts = self.folder / "hosts.csv"
        write_hosts(
            [SimulatedHost(s["host"], TECHNOLOGY, s["code"], VILLAGE, s["provider"]) for s in self.sites], hosts
        )
        for number, name in enumerate(self.names):
            script = self.folder / f"{name}.toml"
            script.write_text(scripts[number])
            argv = ["--data-dir", str(self._data(name)), "--script", str(script), "--hosts", str(hosts)]
            self._launch("simulator", self.machines[name], ["-m", "simulator", *argv], {})
        self._start("worker", self.centre, self._settings)
        for name in self.names[1:]:
            token = self.post("/probers", name=f"{name}-1", vantage=name)["token"]
            self._start(
                "prober",
                self.machines[name],
                {
                    "SINYAL_PROBER_SERVER": f"http://{self.centre.address}:{PORT}",
                    "SINYAL_PROBER_TOKEN": token,
                    "SINYAL_PROBER_DATA": str(self._data(name) / "spool"),
                },
            )

    def truth(self, number: int) -> Path:
        return self._data(self.names[number]) / "truth.jsonl"

    def get(self, path: str, **params: Any) -> Any:
        return self.client.get(path, params=params).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        return self.client.post(path, json=body).raise_for_status().json()

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds so far of the worker and of all probers together."""
        return {kind: sum(cpu_s(p.pid) for p in self.programs.named(kind)) for kind in ("worker", "prober")}

    @property
    def _settings(self) -> dict[str, str]:
        return {
            "SINYAL_DATABASE_URL": self.url,
            "SINYAL_DATA_DIR": str(self._data(self.names[0])),
            "SINYAL_CANARIES": ",".join(CANARIES),
            "SINYAL_PROBE__ALLOW": "127.0.0.0/8",
            "SINYAL_PROBE__INTERVAL_S": str(self.interval_s),
            "SINYAL_LIMITS__REQUESTS_PER_S": "0",
        }

    def _data(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _run(self, *arguments: str) -> str:
        argv = [sys.executable, "-m", "app.cli", *arguments]
        environment = os.environ | self._settings
        return subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout

    def _start(self, command: str, machine: Machine, variables: Mapping[str, str]) -> None:
        arguments = ["--port", str(PORT)] if command == "api" else []
        self._launch(command, machine, ["-m", "app.cli", command, *arguments], variables)

    def _launch(self, kind: str, machine: Machine, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
        log = self.folder / f"{machine.name}-{kind}.log"
        self.programs.start(Program(kind, machine, [sys.executable, *arguments], log, variables))


@contextmanager
def vantage_service(folder: Path, names: Sequence[str], *, interval_s: int) -> Iterator[VantageService]:
    """Yield it with an api that answers; all that was started ends with the block. As root alone."""
    folder.chmod(0o711)  # the database's user passes through
    cluster = Cluster(folder)
    cluster.start()
    try:
        with Machines(names, separate=True) as machines:
            service = VantageService(folder, names, machines, cluster.url, interval_s)
            try:
                service.start_api()
                yield service
            finally:
                service.programs.stop()
    finally:
        cluster.stop()


def label(number: int) -> str:
    """Return the vantage's, as sentences name it; that of the centre comes with the service."""
    return f"Jaringan {number}" if number else "Pusat"
