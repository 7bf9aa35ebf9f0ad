"""The files of one embedded cluster: creation, configuration at each start, and `postmaster.pid`."""

import contextlib
import hashlib
import logging
import os
import re
import secrets
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from app.postgres.binaries import (
    ForeignData,
    Identity,
    NotPermitted,
    StartFailed,
    last_lines,
    major_version,
    program,
    run,
)

DATABASE = ROLE = "sinyal"
PORT = 5432  # names the socket; nothing listens on TCP
SOCKET_NAME = f".s.PGSQL.{PORT}"
SOCKET_PATH_LIMIT = 107

HBA = "local all all scram-sha-256\n"
CONF = """\
# Rewritten at every start. For other settings use ALTER SYSTEM, or your own server (SINYAL_DATABASE_URL).
max_connections = 60
max_locks_per_transaction = 128      # day partitions: a dump locks each one
shared_buffers = 96MB
effective_cache_size = 512MB
work_mem = 8MB
random_page_cost = 1.1
jit = off
max_parallel_workers_per_gather = 0  # two cores, and a container's small /dev/shm
io_method = sync                     # no idle reader processes
timezone = 'UTC'
log_timezone = 'UTC'

# committed means on disk; there are no replicas
fsync = on
synchronous_commit = on
full_page_writes = on
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
checkpoint_timeout = 15min
max_wal_size = 1GB
min_wal_size = 80MB

# few wake-ups while idle
bgwriter_delay = 10s
wal_writer_delay = 1s
autovacuum_naptime = 2min

# one file per weekday, without statements and rows, which may hold personal data
logging_collector = on
log_filename = 'postgresql-%a.log'
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
log_min_error_statement = panic
log_error_verbosity = terse
log_checkpoints = off
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Postmaster:
    """A running server, by its `postmaster.pid`."""

    pid: int
    socket_dir: Path
    status: str

    def answers(self) -> bool:
        """Whether it is ready and accepts connections: the file outlives a killed server."""
        if self.status != "ready":
            return False
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.socket_dir / SOCKET_NAME)) == 0


def find_postmaster(cluster: Path) -> Postmaster | None:
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return Postmaster(int(lines[0]), Path(lines[4]), lines[7].strip())
    except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
        return None  # missing, or still being written


def make_cluster(home: Path, who: Identity, *, start_lock: int) -> None:
    """Create a cluster in a temporary folder, then rename it: a killed run leaves no incomplete cluster.

    The programs inherit `start_lock`, so that the next start waits for an orphaned initdb.
    Raises ForeignData, StartFailed.
    """
    for leftover in home.glob("init-*"):
        shutil.rmtree(leftover)
    if (home / "data").exists():
        raise ForeignData(f"{home / 'data'} holds no PostgreSQL data: move it away, or choose another data folder")
    log.info("creating a PostgreSQL database in %s", home)
    fresh = Path(tempfile.mkdtemp(prefix="init-", dir=home))
    who.take_ownership(fresh)
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    safety = ["--data-checksums", "--username=postgres", "--auth=reject"]  # until pg_hba.conf is ours
    initdb = run([program("initdb"), f"--pgdata={fresh}", *locale, *safety], who=who, pass_fds=[start_lock])
    if initdb.returncode != 0:
        raise StartFailed(f"initdb failed in {home}: {last_lines(initdb.stderr)}")
    _make_database(fresh, who, password=_new_password(home), start_lock=start_lock)
    fresh.rename(home / "data")
    _sync(home)


def _make_database(cluster: Path, who: Identity, *, password: str, start_lock: int) -> None:
    """Create our role and database. The superuser has no password, so nobody can sign in as it."""
    sql = (
        f"CREATE ROLE {ROLE} LOGIN CREATEDB IN ROLE pg_monitor PASSWORD '{password}'\n"
        f"CREATE DATABASE {DATABASE} OWNER {ROLE}\n"
    )
    quiet = ["-c", "log_min_error_statement=panic", "-c", "exit_on_error=on"]
    argv = [program("postgres"), "--single", *quiet, "-D", str(cluster), "postgres"]
    postgres = run(argv, who=who, stdin=sql.encode(), pass_fds=[start_lock])
    if postgres.returncode != 0:
        raise StartFailed(f"PostgreSQL could not create its database: {last_lines(postgres.stderr)}")


def _new_password(home: Path) -> str:
    password = secrets.token_urlsafe(32)
    with contextlib.suppress(FileNotFoundError):
        (home / "password").unlink()
    descriptor = os.open(home / "password", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(password)
        file.flush()
        os.fsync(descriptor)
    return password


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_same_major(cluster: Path) -> None:
    """Raises ForeignData for a cluster of another major version."""
    version = (cluster / "PG_VERSION").read_text().strip()
    if version != major_version():
        raise ForeignData(
            f"{cluster} was created by PostgreSQL {version}, and this release includes {major_version()}. "
            f"To upgrade: `sinyal backup FILE` with the release that created it, move {cluster.parent} away, "
            f"`sinyal restore FILE` with this one"
        )


def own_folder(folder: Path, who: Identity) -> None:
    """Create the folder with mode 0700. Raises NotPermitted for another user's: in /tmp anybody could have made it."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        who.take_ownership(folder)
    status = folder.lstat()
    if folder.is_symlink() or not folder.is_dir() or status.st_uid != who.uid:
        raise NotPermitted(f"{folder} is not a folder of user {who.uid}: remove it")
    folder.chmod(0o700)


def socket_dir(home: Path) -> Path:
    """Return `home`/run, or a shorter path where that is too long for a socket or needs quoting in a URL."""
    preferred = home / "run"
    short_enough = len(os.fsencode(preferred / SOCKET_NAME)) <= SOCKET_PATH_LIMIT
    if short_enough and re.fullmatch(r"[\w./-]+", str(preferred), re.ASCII):
        return preferred
    name = f"sinyal-{os.geteuid()}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"
    writable_run = os.geteuid() == 0 and os.access("/run", os.W_OK)
    return Path("/run" if writable_run else tempfile.gettempdir(), name)


def write_configuration(cluster: Path, sockets: Path, who: Identity) -> list[str]:
    """Write the configuration files and return the server's options. Only while no server runs."""
    hba, conf = cluster / "pg_hba.conf", cluster / "sinyal.conf"
    for file, text in ((hba, HBA), (conf, CONF + f"log_directory = '{_quoted(cluster.parent / 'log')}'\n")):
        file.write_text(text)
        file.chmod(0o600)
        who.take_ownership(file)
    _remove_stale_files(cluster, sockets)
    fixed = {"config_file": conf, "hba_file": hba, "listen_addresses": "", "port": PORT}
    private = {"unix_socket_directories": sockets, "unix_socket_permissions": "0700"}
    return [part for name, value in (fixed | private).items() for part in ("-c", f"{name}={value}")]


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace("'", "''")


def _remove_stale_files(cluster: Path, sockets: Path) -> None:
    """Remove a `postmaster.pid` whose process is none of ours: after a power loss the id may be reused.

    PostgreSQL refuses to start beside it otherwise; its own check stays in force where the process may be a server.
    """
    for leftover in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (sockets / leftover).unlink(missing_ok=True)
    recorded = cluster / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError):
        if not may_be_server(cluster, int(recorded.read_text().split("\n", 1)[0])):
            recorded.unlink()


def may_be_server(cluster: Path, pid: int) -> bool:
    """Whether `pid` may be a server of this cluster: its working directory is the cluster's folder."""
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(cluster)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:
        return os.geteuid() == 0  # root without the capability to look; for others it is another user's process
