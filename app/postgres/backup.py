"""Backup and restore of a Sinyal Desa database, embedded or not, with the bundled PostgreSQL programs."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

from sqlalchemy import make_url

from app.postgres.binaries import bare_environment, last_lines, program, run
from app.postgres.urls import hosts_and_ports

MAGIC = b"PGDMP"  # how a custom-format dump begins

# Output of pg_restore that not every server accepts: a setting that is new in 17, and a column option that servers of
# November 2026 (15.20, 17.12) set themselves and an older pg_dump copies.
NOT_PORTABLE = re.compile(
    rb"SET transaction_timeout = 0;\n|ALTER TABLE ONLY .+ ALTER COLUMN .+ SET \(pg_attver=\d+\);\n"
)

# pg_restore --clean fails on partitions' keys ("cannot drop inherited constraint"), so the schema goes.
RESET_SCHEMA = b"""
BEGIN;
SELECT set_config('transaction_timeout', '0', false)
    WHERE current_setting('server_version_num')::int >= 170000;
SET LOCAL lock_timeout = '60s';
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
COMMENT ON SCHEMA public IS 'standard public schema';
"""


class BackupError(Exception):
    """A backup or restore failed; nothing has changed."""


def backup(url: str, file: Path, *, overwrite: bool = False) -> None:
    """Dump the database to `file`: custom format, compressed, 0600 because of contacts and token hashes.

    Raises BackupError.
    """
    if file.exists() and not overwrite:
        raise BackupError(f"{file} exists already: choose another name, or add --overwrite")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".partial", dir=file.parent)
    except OSError as error:
        raise BackupError(f"{file.parent} takes no files: {error.strerror}") from error
    os.close(descriptor)
    partial = Path(name)
    try:
        argv = [program("pg_dump"), "--format=custom", "--no-password", f"--file={partial}"]
        done = run(argv, env=connection_environment(url))
        if done.returncode != 0:
            raise BackupError(f"{file} was not written: {last_lines(done.stderr)}")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def restore(
    url: str, file: Path, *, exclusive: AbstractContextManager[object] | None = None, then: str = "SELECT"
) -> None:
    """Replace the schema `public` by the dump, in one transaction with the statement `then`. Raises BackupError.

    `exclusive` is held meanwhile: in it the caller takes the worker's advisory lock, or raises.
    """
    _require_dump(file)
    with exclusive or nullcontext():
        _replace(url, file, then)


def _require_dump(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            start = opened.read(len(MAGIC))
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror}") from error
    if start != MAGIC:
        raise BackupError(f"{file} is not a backup: `sinyal backup` writes pg_dump's custom format")
    listed = run([program("pg_restore"), "--list", str(file)])
    if listed.returncode != 0:
        raise BackupError(f"{file} is damaged: {last_lines(listed.stderr)}")


def _replace(url: str, file: Path, then: str) -> None:
    """Commit only once pg_restore has reached the end of the file: a truncated file changes nothing."""
    unpack = [program("pg_restore"), "--no-owner", "--exit-on-error", "--file=-", str(file)]
    apply = [program("psql"), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"]
    environment = bare_environment() | connection_environment(url)
    with tempfile.TemporaryFile() as errors:
        with (
            contextlib.suppress(BrokenPipeError),  # psql stops at the first error, after printing it
            Popen(unpack, stdin=DEVNULL, stdout=PIPE, stderr=errors, env=bare_environment()) as source,  # noqa: S603
            Popen(apply, stdin=PIPE, stdout=DEVNULL, stderr=errors, env=environment) as target,  # noqa: S603
        ):
            assert source.stdout is not None
            assert target.stdin is not None
            target.stdin.write(RESET_SCHEMA)
            target.stdin.writelines(_portable(source.stdout))
            if source.wait() == 0:
                target.stdin.write(f"{then};\nCOMMIT;\n".encode())
        if source.returncode != 0 or target.returncode != 0:
            errors.seek(0)
            raise BackupError(f"{file} was not restored, nothing has changed: {last_lines(errors.read())}")


def _portable(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Drop the statements that not every server accepts; rows of data pass unchanged."""
    in_rows = False
    for line in lines:
        if in_rows:
            in_rows = line != b"\\.\n"
        elif NOT_PORTABLE.fullmatch(line):
            continue
        else:
            in_rows = line.startswith(b"COPY ") and line.endswith(b" FROM stdin;\n")
        yield line


def connection_environment(url: str) -> dict[str, str]:
    """Connection parameters as libpq's environment variables: arguments would show the password to every user."""
    parsed = make_url(url)
    query = {name: value if isinstance(value, str) else ",".join(value) for name, value in parsed.query.items()}
    hosts, ports = zip(*hosts_and_ports(url), strict=True)
    variables = {
        "PGHOST": ",".join(hosts),
        "PGPORT": ",".join(filter(None, ports)),
        "PGTARGETSESSIONATTRS": query.get("target_session_attrs"),
        "PGUSER": parsed.username,
        "PGPASSWORD": parsed.password,
        "PGDATABASE": parsed.database,
        "PGSSLMODE": query.get("ssl") or query.get("sslmode"),
        "PGPASSFILE": query.get("passfile") or os.environ.get("PGPASSFILE"),
        "PGSSLROOTCERT": query.get("sslrootcert"),
    }
    return {name: str(value) for name, value in variables.items() if value}
