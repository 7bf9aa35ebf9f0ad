"""Backup and restore of any Sinyal Desa database, embedded or not, with the PostgreSQL programs we carry."""

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

MAGIC = b"PGDMP"  # how a custom-format dump begins

# What pg_restore says and not every server takes: a setting that is new in 17, and a stamp that servers of
# November 2026 (15.20, 17.12) put on each column by themselves and an older pg_dump copies.
NOT_FOR_ALL = re.compile(
    rb"SET transaction_timeout = 0;\n|ALTER TABLE ONLY .+ ALTER COLUMN .+ SET \(pg_attver=\d+\);\n"
)

# pg_restore --clean fails on partitions' keys ("cannot drop inherited constraint"), so the schema goes.
EMPTY_FIRST = b"""
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
    """The copy was not made, or not brought back; nothing has changed."""


def backup(url: str, file: Path, *, overwrite: bool = False) -> None:
    """Dump the database to `file` (custom format, compressed, 0600: it holds contacts and token hashes)."""
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
        done = run(argv, env=connection(url))
        if done.returncode != 0:
            raise BackupError(f"{file} was not written: {last_lines(done.stderr)}")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def restore(
    url: str, file: Path, *, exclusive: AbstractContextManager[object] | None = None, then: str = "SELECT"
) -> None:
    """Put the dump in place of all that the schema `public` holds, whole or not at all.

    `exclusive` is held meanwhile: there the caller takes the worker's advisory lock, or raises. `then` is a statement
    that belongs to it.
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
        raise BackupError(f"{file} is not a backup of ours: `sinyal backup` writes pg_dump's custom format")
    listed = run([program("pg_restore"), "--list", str(file)])
    if listed.returncode != 0:
        raise BackupError(f"{file} is damaged: {last_lines(listed.stderr)}")


def _replace(url: str, file: Path, then: str) -> None:
    """One transaction, committed once pg_restore has reached the file's end: a torn file changes nothing."""
    unpack = [program("pg_restore"), "--no-owner", "--exit-on-error", "--file=-", str(file)]
    apply = [program("psql"), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"]
    there = bare_environment() | connection(url)
    with tempfile.TemporaryFile() as said:
        with (
            contextlib.suppress(BrokenPipeError),  # psql stops at the first error, and has said why
            Popen(unpack, stdin=DEVNULL, stdout=PIPE, stderr=said, env=bare_environment()) as source,  # noqa: S603
            Popen(apply, stdin=PIPE, stdout=DEVNULL, stderr=said, env=there) as target,  # noqa: S603
        ):
            assert source.stdout is not None
            assert target.stdin is not None
            target.stdin.write(EMPTY_FIRST)
            target.stdin.writelines(_fit(source.stdout))
            if source.wait() == 0:
                target.stdin.write(f"{then};\nCOMMIT;\n".encode())
        if source.returncode != 0 or target.returncode != 0:
            said.seek(0)
            raise BackupError(f"{file} was not restored, nothing has changed: {last_lines(said.read())}")


def _fit(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The statements that every server takes; rows of data pass untouched."""
    in_rows = False
    for line in lines:
        if in_rows:
            in_rows = line != b"\\.\n"
        elif NOT_FOR_ALL.fullmatch(line):
            continue
        else:
            in_rows = line.startswith(b"COPY ") and line.endswith(b" FROM stdin;\n")
        yield line


def connection(url: str) -> dict[str, str]:
    """What libpq reads from the environment: an argument would show the password to every user."""
    parsed = make_url(url)
    asked = {name: value if isinstance(value, str) else ",".join(value) for name, value in parsed.query.items()}
    known = {
        "PGHOST": parsed.host or asked.get("host"),
        "PGPORT": str(parsed.port) if parsed.port else asked.get("port"),
        "PGUSER": parsed.username,
        "PGPASSWORD": parsed.password,
        "PGDATABASE": parsed.database,
        "PGSSLMODE": asked.get("ssl") or asked.get("sslmode"),
        "PGPASSFILE": asked.get("passfile") or os.environ.get("PGPASSFILE"),
        "PGSSLROOTCERT": asked.get("sslrootcert"),
    }
    return {name: str(value) for name, value in known.items() if value}
