"""The files of one embedded cluster: made whole, set up at each start, read back."""

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
# Rewritten at every start. Your own settings: ALTER SYSTEM, or a server of yours in SINYAL_DATABASE_URL.
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

# what is acknowledged is on disk; nobody replicates from here
fsync = on
synchronous_commit = on
full_page_writes = on
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
checkpoint_timeout = 15min
max_wal_size = 1GB
min_wal_size = 80MB

# wake seldom: an idle server should cost nothing
bgwriter_delay = 10s
wal_writer_delay = 1s
autovacuum_naptime = 2min

# a file a weekday; statements and rows stay out of it, they may hold a contact person
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
    """What a running server says of itself in `postmaster.pid`."""

    pid: int
    socket_dir: Path
    status: str

    def answers(self) -> bool:
        """Ready by its own word, and somebody behind the socket: the file outlives a killed server."""
        if self.status != "ready":
            return False
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.socket_dir / SOCKET_NAME)) == 0


def find_postmaster(cluster: Path) -> Postmaster | None:
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return Postmaster(int(lines[0]), Path(lines[4]), lines[7].strip())
    except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
        return None  # none, or still being written


def make_cluster(home: Path, who: Identity, *, alone: int) -> None:
    """Made beside its place, then renamed: killed in the middle it leaves rubbish, not half a cluster.

    The programs inherit the lock `alone`, so that the next start waits for an orphaned initdb.
    """
    for rubbish in home.glob("init-*"):
        shutil.rmtree(rubbish)
    if (home / "data").exists():
        raise ForeignData(f"{home / 'data'} holds no PostgreSQL data: move it away, or choose another data folder")
    log.info("making a new PostgreSQL database in %s", home)
    fresh = Path(tempfile.mkdtemp(prefix="init-", dir=home))
    who.own(fresh)
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    safety = ["--data-checksums", "--username=postgres", "--auth=reject"]  # until pg_hba.conf is ours
    made = run([program("initdb"), f"--pgdata={fresh}", *locale, *safety], who=who, pass_fds=[alone])
    if made.returncode != 0:
        raise StartFailed(f"initdb failed in {home}: {last_lines(made.stderr)}")
    _make_database(fresh, who, password=_new_password(home), alone=alone)
    fresh.rename(home / "data")
    _sync(home)


def _make_database(cluster: Path, who: Identity, *, password: str, alone: int) -> None:
    """The super-user keeps no password, so nobody signs in as it."""
    sql = (
        f"CREATE ROLE {ROLE} LOGIN CREATEDB IN ROLE pg_monitor PASSWORD '{password}'\n"
        f"CREATE DATABASE {DATABASE} OWNER {ROLE}\n"
    )
    quiet = ["-c", "log_min_error_statement=panic", "-c", "exit_on_error=on"]
    argv = [program("postgres"), "--single", *quiet, "-D", str(cluster), "postgres"]
    made = run(argv, who=who, stdin=sql.encode(), pass_fds=[alone])
    if made.returncode != 0:
        raise StartFailed(f"PostgreSQL could not make its database: {last_lines(made.stderr)}")


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


def require_our_version(cluster: Path) -> None:
    theirs = (cluster / "PG_VERSION").read_text().strip()
    if theirs != major_version():
        raise ForeignData(
            f"{cluster} was made by PostgreSQL {theirs}, and this release carries {major_version()}. "
            f"To move it: `sinyal backup FILE` with the release that made it, set {cluster.parent} aside, "
            f"`sinyal restore FILE` with this one"
        )


def own_folder(folder: Path, who: Identity) -> None:
    """Ours alone (0700), or refused: under a shared /tmp somebody may have been there first."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        who.own(folder)
    about = folder.lstat()
    if folder.is_symlink() or not folder.is_dir() or about.st_uid != who.uid:
        raise NotPermitted(f"{folder} is not a folder of user {who.uid}: somebody else made it, remove it")
    folder.chmod(0o700)


def socket_dir(home: Path) -> Path:
    """Inside `home`, or a short one where the socket's path would be too long, or too strange for a URL."""
    inside = home / "run"
    short_enough = len(os.fsencode(inside / SOCKET_NAME)) <= SOCKET_PATH_LIMIT
    if short_enough and re.fullmatch(r"[\w./-]+", str(inside), re.ASCII):
        return inside
    name = f"sinyal-{os.geteuid()}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"
    runtime = os.geteuid() == 0 and os.access("/run", os.W_OK)
    return Path("/run" if runtime else tempfile.gettempdir(), name)


def set_up(cluster: Path, sockets: Path, who: Identity) -> list[str]:
    """Writes our settings; the answer is the server's command line. Only while no server runs."""
    hba, conf = cluster / "pg_hba.conf", cluster / "sinyal.conf"
    for file, text in ((hba, HBA), (conf, CONF + f"log_directory = '{_quoted(cluster.parent / 'log')}'\n")):
        file.write_text(text)
        file.chmod(0o600)
        who.own(file)
    _clear_stale(cluster, sockets)
    fixed = {"config_file": conf, "hba_file": hba, "listen_addresses": "", "port": PORT}
    private = {"unix_socket_directories": sockets, "unix_socket_permissions": "0700"}
    return [part for name, value in (fixed | private).items() for part in ("-c", f"{name}={value}")]


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace("'", "''")


def _clear_stale(cluster: Path, sockets: Path) -> None:
    """After a power loss the recorded process may be anybody, and PostgreSQL would not start beside it.

    Its own check stays in force wherever that process could be a server of this folder.
    """
    for leftover in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (sockets / leftover).unlink(missing_ok=True)
    recorded = cluster / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError):
        if not works_in(cluster, int(recorded.read_text().split("\n", 1)[0])):
            recorded.unlink()


def works_in(cluster: Path, pid: int) -> bool:
    """Whether `pid` may be a server of this cluster: they all work in its folder."""
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(cluster)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:
        return os.geteuid() == 0  # a root that may not look; for others it is another user's process
