"""The embedded database: a real PostgreSQL, kept in `<data folder>/postgres`, run by whoever comes first.

data/        the cluster                      password     of the role `sinyal`, 0600
log/         what the server said             run/         its Unix socket, 0700 (there is no TCP)
start.lock   held while one starts or stops   server.lock  held by the server itself while any of it lives
users.lock   shared by all who started or adopted it: the last one to leave stops it
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
    own_folder,
    require_our_version,
    set_up,
    socket_dir,
    works_in,
)

__all__ = ["Cluster", "EmbeddedError", "ForeignData", "NotPermitted", "StartFailed", "find_url"]

POLL_S = 0.05
PROGRESS_S = 10.0
IMMEDIATE_S = 10.0

log = logging.getLogger(__name__)


def find_url(data_dir: Path) -> str | None:
    """The URL of the server that runs in `data_dir`, None when none answers there; changes nothing."""
    cluster = Cluster(data_dir)
    running = cluster.find_running()
    return cluster.url if running else None


class Cluster:
    """One data folder's PostgreSQL; any number of processes may hold one of the same folder."""

    def __init__(self, data_dir: Path, *, account: str | None = None) -> None:
        """`account` runs the server where root may not make user namespaces (default `postgres`)."""
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
        """For SQLAlchemy over asyncpg; it holds the password, so it is never logged."""
        running = find_postmaster(self._cluster)
        folder = running.socket_dir if running else socket_dir(self.home)
        try:
            password = (self.home / "password").read_text()
        except FileNotFoundError:
            raise EmbeddedError(
                f"{self.home / 'password'} is missing: bring it back from a copy of the folder"
            ) from None
        except PermissionError as error:
            raise self._not_ours(error) from error
        return f"postgresql+asyncpg://{ROLE}:{password}@/{DATABASE}?host={quote(str(folder))}&port={PORT}"

    def alive(self) -> bool:
        """Whether any process of the server lives; takes microseconds."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        try:
            lock = _flock(self.home / "server.lock", fcntl.LOCK_SH, create=False)
        except FileNotFoundError:
            return False
        except PermissionError as error:
            raise self._not_ours(error) from error
        if lock is not None:
            os.close(lock)
        return lock is None

    def find_running(self) -> Postmaster | None:
        """The server, if it lives and answers now."""
        running = find_postmaster(self._cluster) if self.alive() else None
        return running if running and running.answers() else None

    def start(self, timeout: float = 300.0) -> None:
        """Make, adopt or start it and wait until it answers; a crash recovery may need all of `timeout`."""
        deadline = time.monotonic() + timeout
        try:
            who = self._prepare()
            with self._alone(deadline) as alone, self._using():
                if not self.exists():
                    make_cluster(self.home, who, alone=alone)
                require_our_version(self._cluster)
                self._run(who, deadline)
        except PermissionError as error:
            raise self._not_ours(error) from error
        except OSError as error:
            raise EmbeddedError(f"{error.filename or self.home}: {error.strerror}") from error

    def stop(self, timeout: float = 30.0) -> bool:
        """Leave; the last one to leave shuts the server down. False: others still use it and it runs on."""
        if not self.home.is_dir():
            return True
        with self._alone(time.monotonic() + timeout):
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
        """The folders, ours alone, and whom the server runs as."""
        self.home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.mkdir(mode=0o700, exist_ok=True)
        who = identity(self.home, self._account)
        who.require_passage(self.home)
        for folder in (self.home, self.home / "log", socket_dir(self.home)):
            own_folder(folder, who)
        return who

    @contextlib.contextmanager
    def _alone(self, deadline: float) -> Iterator[int]:
        """One starts or stops at a time; the others wait for what comes of it."""
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
        """Counted among the users from here on, unless the block fails."""
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
        """Adopt what runs or launch it, and wait; remains of a killed server are waited out."""
        launched, next_word = False, time.monotonic() + PROGRESS_S
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
                    f"PostgreSQL is not ready yet; it goes on by itself, so start again to wait on. It says: "
                    f"{self._last_log_lines()}"
                )
            if time.monotonic() > next_word:
                next_word += PROGRESS_S
                log.warning("waiting for PostgreSQL: %s", self._last_log_lines(1))
            self._pause()
        log.info("PostgreSQL %s, process %d", "started" if launched else "was running: adopted", running.pid)

    def _launch(self, who: Identity, lock: int) -> None:
        """A session of its own keeps Ctrl-C from it; the inherited lock tells everybody that it lives."""
        argv = [*who.prefix, program("postgres"), "-D", str(self._cluster)]
        argv += set_up(self._cluster, socket_dir(self.home), who)
        with os.fdopen(lock), open(self.home / "log" / "start.log", "wb") as said:
            self._child = subprocess.Popen(  # noqa: S603 - a list, no shell, a program of ours
                argv,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
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
        for sign, patience in ((signal.SIGINT, timeout), (signal.SIGQUIT, IMMEDIATE_S)):
            pid, until = self.pid, time.monotonic() + patience
            if pid is not None and works_in(self._cluster, pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
            while self.alive():
                if time.monotonic() > until:
                    break
                time.sleep(POLL_S)
            else:
                return
        raise EmbeddedError(f"PostgreSQL (process {self.pid}) does not stop: {self._last_log_lines()}")

    def _last_log_lines(self, lines: int = 5) -> str:
        written = sorted((self.home / "log").glob("*.log"), key=lambda file: file.stat().st_mtime)
        return last_lines(b"\n".join(file.read_bytes()[-4000:] for file in written[-2:]), lines) or "nothing"

    def _not_ours(self, error: PermissionError) -> NotPermitted:
        where = error.filename or self.home
        return NotPermitted(f"{where}: not allowed for user {os.geteuid()}; run as the folder's owner, or as root")


def _flock(path: Path, mode: int, *, create: bool = True) -> int | None:
    """The open, locked file, or None while others hold it; closing it (or dying) gives it back."""
    descriptor = os.open(path, os.O_RDONLY | (os.O_CREAT if create else 0), 0o600)
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
