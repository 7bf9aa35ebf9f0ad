"""The embedded database: a real PostgreSQL in `<data folder>/postgres`, started by the first process that needs it.

data/        the cluster                      password     of the role `sinyal`, 0600
log/         the server's log                 run/         its Unix socket, 0700 (there is no TCP)
start.lock   held during a start or stop      server.lock  held by the server's processes while any lives
users.lock   shared by all processes that started or adopted it: the last one to leave stops it
"""

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from app.postgres.binaries import (
    EmbeddedError,
    ForeignData,
    Identity,
    NotPermitted,
    StartFailed,
    bare_environment,
    identity,
    last_lines,
    program,
)
from app.postgres.datafiles import (
    DATABASE,
    PORT,
    ROLE,
    Postmaster,
    find_postmaster,
    make_cluster,
    may_be_server,
    own_folder,
    require_same_major,
    socket_dir,
    write_configuration,
)

__all__ = ["Cluster", "EmbeddedError", "ForeignData", "NotPermitted", "StartFailed", "find_url"]

POLL_S = 0.05
PROGRESS_S = 10.0
IMMEDIATE_S = 10.0

log = logging.getLogger(__name__)


def find_url(data_dir: Path) -> str | None:
    """Return the URL of the server that runs in `data_dir`, or None; changes nothing."""
    cluster = Cluster(data_dir)
    running = cluster.find_running()
    return cluster.url if running else None


class Cluster:
    """The PostgreSQL of one data folder; any number of processes may use it at the same time."""

    def __init__(self, data_dir: Path, *, account: str | None = None) -> None:
        """`account` runs the server where root cannot create user namespaces (default `postgres`)."""
        self.home = data_dir.resolve() / "postgres"
        self._cluster = self.home / "data"
        self._account = account
        self._child: subprocess.Popen[bytes] | None = None
        self._use: int | None = None

    def exists(self) -> bool:
        return (self._cluster / "PG_VERSION").is_file()

    @property
    def pid(self) -> int | None:
        running = find_postmaster(self._cluster) if self.alive() else None
        return running.pid if running else None

    @property
    def url(self) -> str:
        """For SQLAlchemy with asyncpg. It contains the password: never log it. Raises EmbeddedError."""
        running = find_postmaster(self._cluster)
        folder = running.socket_dir if running else socket_dir(self.home)
        try:
            password = (self.home / "password").read_text()
        except FileNotFoundError:
            raise EmbeddedError(f"{self.home / 'password'} is missing: restore it from a copy of the folder") from None
        except PermissionError as error:
            raise self._not_permitted(error) from error
        return f"postgresql+asyncpg://{ROLE}:{password}@/{DATABASE}?host={quote(str(folder))}&port={PORT}"

    def alive(self) -> bool:
        """Whether any process of the server is alive; takes microseconds."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        try:
            lock = _flock(self.home / "server.lock", fcntl.LOCK_SH, create=False)
        except FileNotFoundError:
            return False
        except PermissionError as error:
            raise self._not_permitted(error) from error
        if lock is not None:
            os.close(lock)
        return lock is None

    def find_running(self) -> Postmaster | None:
        """Return the server if it is alive and accepts connections."""
        running = find_postmaster(self._cluster) if self.alive() else None
        return running if running and running.answers() else None

    def start(self, timeout: float = 300.0) -> None:
        """Create, adopt or start the server and wait until it is ready; a crash recovery may need all of `timeout`.

        Raises EmbeddedError.
        """
        deadline = time.monotonic() + timeout
        try:
            who = self._prepare()
            with self._start_lock(deadline) as start_lock, self._using():
                if not self.exists():
                    make_cluster(self.home, who, start_lock=start_lock)
                require_same_major(self._cluster)
                self._run(who, deadline)
        except PermissionError as error:
            raise self._not_permitted(error) from error
        except OSError as error:
            raise EmbeddedError(f"{error.filename or self.home}: {error.strerror}") from error

    def stop(self, timeout: float = 30.0) -> bool:
        """Leave; the last user shuts the server down. Return False while others still use it."""
        if not self.home.is_dir():
            return True
        with self._start_lock(time.monotonic() + timeout):
            if self._use is not None:
                os.close(self._use)
                self._use = None
            last = _flock(self.home / "users.lock", fcntl.LOCK_EX)
            if last is None:
                return False
            os.close(last)
            self._shut_down(timeout)
        return True

    def _prepare(self) -> Identity:
        """Create the private folders; return the user the server runs as."""
        self.home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.mkdir(mode=0o700, exist_ok=True)
        who = identity(self.home, self._account)
        who.require_access(self.home)
        for folder in (self.home, self.home / "log", socket_dir(self.home)):
            own_folder(folder, who)
        return who

    @contextlib.contextmanager
    def _start_lock(self, deadline: float) -> Iterator[int]:
        """Hold the start lock: one process starts or stops at a time, others wait. Raises StartFailed."""
        while (lock := _flock(self.home / "start.lock", fcntl.LOCK_EX)) is None:
            if time.monotonic() > deadline:
                raise StartFailed(f"another process is still starting or stopping PostgreSQL in {self.home}")
            time.sleep(POLL_S)
        try:
            yield lock
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def _using(self) -> Iterator[None]:
        """Become a user of the server, unless the block fails."""
        use = self._use if self._use is not None else _flock(self.home / "users.lock", fcntl.LOCK_SH)
        self._use = None
        try:
            yield
        except BaseException:
            if use is not None:
                os.close(use)
            raise
        self._use = use

    def _run(self, who: Identity, deadline: float) -> None:
        """Adopt a running server, or launch one after the last process of a killed one; wait until it is ready."""
        launched, next_progress = False, time.monotonic() + PROGRESS_S
        while (running := self.find_running()) is None:
            lock = _flock(self.home / "server.lock", fcntl.LOCK_EX)
            if lock is not None and launched:
                os.close(lock)
                raise StartFailed(f"PostgreSQL did not start: {self._last_log_lines()}")
            if lock is not None:
                self._launch(who, lock)
                launched = True
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"PostgreSQL is not ready yet; it continues by itself: start again to wait longer. Its log: "
                    f"{self._last_log_lines()}"
                )
            if time.monotonic() > next_progress:
                next_progress += PROGRESS_S
                log.warning("waiting for PostgreSQL: %s", self._last_log_lines(1))
            self._pause()
        log.info("PostgreSQL %s, process %d", "started" if launched else "adopted", running.pid)

    def _launch(self, who: Identity, lock: int) -> None:
        """In a session of its own, out of reach of Ctrl-C; the inherited lock shows that it is alive."""
        if self._child is not None:
            self._child.wait()  # it has ended: its lock is ours
        argv = [*who.prefix, program("postgres"), "-D", str(self._cluster)]
        argv += write_configuration(self._cluster, socket_dir(self.home), who)
        with os.fdopen(lock), open(self.home / "log" / "start.log", "wb") as start_log:
            self._child = subprocess.Popen(  # noqa: S603 - a list, no shell, our own program
                argv,
                stdin=subprocess.DEVNULL,
                stdout=start_log,
                stderr=start_log,
                cwd=self.home,
                env=bare_environment(),
                pass_fds=[lock],
                start_new_session=True,
                **who.spawn,
            )

    def _pause(self) -> None:
        try:
            time.sleep(POLL_S)
        except KeyboardInterrupt:
            if self._child is not None:
                self._child.send_signal(signal.SIGINT)
            raise

    def _shut_down(self, timeout: float) -> None:
        for signal_number, patience_s in ((signal.SIGINT, timeout), (signal.SIGQUIT, IMMEDIATE_S)):
            pid, until = self.pid, time.monotonic() + patience_s
            if pid is not None and may_be_server(self._cluster, pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal_number)
            while self.alive():
                if time.monotonic() > until:
                    break
                time.sleep(POLL_S)
            else:
                if self._child is not None:
                    self._child.wait()  # its lock goes a moment before it can be waited for
                    self._child = None
                return
        raise EmbeddedError(f"PostgreSQL (process {self.pid}) does not stop: {self._last_log_lines()}")

    def _last_log_lines(self, lines: int = 5) -> str:
        files = sorted((self.home / "log").glob("*.log"), key=lambda file: file.stat().st_mtime)
        return last_lines(b"\n".join(file.read_bytes()[-4000:] for file in files[-2:]), lines) or "(log is empty)"

    def _not_permitted(self, error: PermissionError) -> NotPermitted:
        where = error.filename or self.home
        return NotPermitted(
            f"{where}: permission denied for user {os.geteuid()}: run as the folder's owner, or as root"
        )


def _flock(path: Path, mode: int, *, create: bool = True) -> int | None:
    """Return the open, locked file, or None while others hold it; closing it (or exiting) releases the lock."""
    descriptor = os.open(path, os.O_RDONLY | (os.O_CREAT if create else 0), 0o600)
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
