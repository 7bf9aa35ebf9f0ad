"""Programs on the machines, kept alive as systemd would: one that dies is started again, and all end together."""

import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.settings import ROOT
from tests.cluster.machines import Machine

RESTART_S, CHECK_S, GRACE_S = 1.0, 0.1, 8.0
UNPRIVILEGED = ("postgres", "nobody")  # PostgreSQL, Patroni and PgBouncer refuse to be root


@dataclass
class Program:
    """A program on a machine. `name` is unique; `kind` is what several of them are."""

    kind: str
    machine: Machine
    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    unprivileged: bool = False
    pass_fds: tuple[int, ...] = ()
    restarts: bool = True
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    starts: int = field(default=0, init=False)
    _died_at: float = field(default=0.0, init=False)

    @property
    def name(self) -> str:
        return f"{self.kind} of {self.machine.name}"

    @property
    def pid(self) -> int:
        assert self.process is not None, self.name
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        argv = as_unprivileged(self.argv) if self.unprivileged else list(self.argv)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SINYAL_", "PG"))}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.machine.command(argv),
                cwd=ROOT,
                env=kept | {"LC_ALL": "C.UTF-8", "PYTHONPATH": ""} | dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=self.pass_fds,
            )
        self.starts += 1

    def keep_alive(self, now: float) -> None:
        if self.is_running or not self.restarts:
            self._died_at = 0.0
        elif not self._died_at:
            self._died_at = now
        elif now - self._died_at >= RESTART_S:
            self._died_at = 0.0
            self.start()

    def signal(self, number: signal.Signals) -> None:
        if self.is_running:
            os.kill(self.pid, number)


class Programs:
    """All programs, in the order of their start. `keep_alive` runs in a thread until `stop`."""

    def __init__(self) -> None:
        self._programs: list[Program] = []
        self._ends = threading.Event()
        self._lock = threading.Lock()
        self._keeper = threading.Thread(target=self._keep_alive, daemon=True)

    def start(self, program: Program) -> Program:
        program.start()
        with self._lock:
            self._programs.append(program)
        if not self._keeper.is_alive() and not self._ends.is_set():
            self._keeper.start()
        return program

    def named(self, kind: str, machine: str | None = None) -> list[Program]:
        with self._lock:
            return [p for p in self._programs if p.kind == kind and machine in (None, p.machine.name)]

    def all(self) -> list[Program]:
        with self._lock:
            return list(self._programs)

    def stop(self) -> None:
        """End all: databases and what stands before them at once, as nothing that they hold is needed any more."""
        self._ends.set()
        if self._keeper.is_alive():
            self._keeper.join()
        programs = self.all()[::-1]
        for program in programs:
            program.signal(signal.SIGCONT)
            program.signal(signal.SIGKILL if program.unprivileged else signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        for program in programs:
            if program.process is not None:
                try:
                    program.process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    program.process.kill()
                    program.process.wait()

    def _keep_alive(self) -> None:
        while not self._ends.wait(CHECK_S):
            now = time.monotonic()
            for program in self.all():
                program.keep_alive(now)


def unprivileged_user() -> pwd.struct_passwd | None:
    """Return whom root's databases run as; None if we are not root ourselves. Raises LookupError."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LookupError(f"no user to run PostgreSQL as: one of {', '.join(UNPRIVILEGED)}")


def as_unprivileged(argv: Sequence[str]) -> list[str]:
    user = unprivileged_user()
    if user is None:
        return list(argv)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--", *argv]


def own_folder(folder: Path) -> Path:
    """Make a folder that belongs to the databases' user."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (user := unprivileged_user()) is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def found(program: str) -> str:
    """Return where Debian has put it. Raises LookupError naming the package."""
    folders = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    if (path := shutil.which(program, path=folders)) is None:
        package = {"etcd": "etcd-server", "pgbackrest": "pgbackrest"}.get(program, program)
        raise LookupError(f"{program} is not installed: apt-get install {package}")
    return path
