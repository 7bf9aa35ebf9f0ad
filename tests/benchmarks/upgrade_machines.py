"""Two machines of the service behind HAProxy, each an api, an ingest and a worker, of whatever version's folder."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.demo_process import free_port, wait_for

ROLES = ("api", "ingest", "worker")
DRAIN_S = 4
FRONT = """
global
    stats socket {folder}/admin.sock mode 600 level admin
defaults
    mode http
    timeout connect 2s
    timeout check 2s
    timeout client 1h
    timeout server 60s
    option http-server-close
    option redispatch
    retries 3
    retry-on conn-failure
frontend pages
    bind 127.0.0.1:{pages}
    default_backend api
frontend devices
    bind 127.0.0.1:{devices}
    default_backend ingest
backend api
    option httpchk GET {check}
    default-server inter 1s fastinter 500ms downinter 500ms fall 2 rise 1
    server m1 127.0.0.1:{api1} check
    server m2 127.0.0.1:{api2} check
backend ingest
    option httpchk GET /readyz
    http-check expect ! rstatus ^5
    default-server inter 1s fastinter 500ms downinter 500ms fall 2 rise 1
    server m1 127.0.0.1:{ingest1} check
    server m2 127.0.0.1:{ingest2} check
"""


@dataclass
class Version:
    """A folder with a version's code, which our own interpreter runs."""

    folder: Path

    @property
    def drains(self) -> bool:
        return "drain_s" in (self.folder / "app/settings.py").read_text()

    def run(self, *arguments: str, environment: dict[str, str]) -> str:
        argv = [sys.executable, "-m", "app.cli", *arguments]
        done = subprocess.run(argv, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"sinyal {arguments[0]}: {done.stderr}")
        return done.stdout


@dataclass
class Machine:
    number: int
    environment: dict[str, str]
    logs: Path
    ports: dict[str, int] = field(default_factory=lambda: {"api": free_port(), "ingest": free_port()})
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, version: Version, role: str) -> None:
        environment = dict(self.environment)
        if version.drains:
            environment["SINYAL_DRAIN_S"] = str(DRAIN_S)
        port = ["--port", str(self.ports[role])] if role in self.ports else []
        log = (self.logs / f"{role}-{self.number}.log").open("ab")
        argv = [sys.executable, "-m", "app.cli", role, *port]
        self.processes[role] = subprocess.Popen(argv, cwd=version.folder, env=environment, stdout=log, stderr=log)
        if role in self.ports:
            url = f"http://127.0.0.1:{self.ports[role]}/{'readyz' if role == 'api' else 'healthz'}"
            wait_for(lambda: httpx.get(url, trust_env=False).is_success, 60, every_s=0.1)

    def end(self, role: str) -> float:
        """Return how long it took."""
        process, began = self.processes.pop(role), time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        return time.monotonic() - began

    def kill(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


@dataclass
class Front:
    """HAProxy before both; a version that does not drain by itself is taken out by its admin socket first."""

    folder: Path
    process: subprocess.Popen[bytes]
    pages: str
    devices: str

    @classmethod
    def start(cls, folder: Path, machines: list[Machine], *, pages: int, devices: int, check: str) -> "Front":
        ports = {f"{role}{one.number}": port for one in machines for role, port in one.ports.items()}
        config = folder / "front.cfg"
        config.write_text(FRONT.format(folder=folder, pages=pages, devices=devices, check=check, **ports))
        process = subprocess.Popen(["/usr/sbin/haproxy", "-f", str(config)], env=os.environ)
        return cls(folder, process, f"http://127.0.0.1:{pages}", f"http://127.0.0.1:{devices}")

    def set_state(self, role: str, number: int, state: str) -> None:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self.folder / "admin.sock"))
            admin.sendall(f"set server {role}/m{number} state {state}\n".encode())
            admin.recv(1000)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
