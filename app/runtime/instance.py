"""How the running `sinyal up` or `sinyal demo` of a data folder was started: where it listens, what it may probe."""

import contextlib
import fcntl
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from sqlalchemy.engine import make_url

from app.settings import Settings
from probes.policy import AddressPolicy

NAME = "instance.json"


@dataclass(frozen=True, slots=True)
class Instance:
    host: str
    port: int
    allow: Sequence[str]
    deny: Sequence[str]
    database: str  # without its password; empty for the embedded one


@contextlib.contextmanager
def recorded(settings: Settings, *, allow: Sequence[str] | None = None) -> Iterator[None]:
    """Keep the record in the claimed data folder, locked, while this process lives; `allow` replaces the setting."""
    networks = settings.probe.allow if allow is None else allow
    record = Instance(settings.host, settings.port, networks, settings.probe.deny, _without_password(settings))
    file = settings.data_dir / NAME
    draft = file.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as written:
        fcntl.flock(written, fcntl.LOCK_EX)
        written.write(json.dumps(asdict(record)) + "\n")
        written.flush()
        draft.replace(file)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def find_running(data_dir: Path) -> Instance | None:
    """Return the record of the instance that runs in the data folder, None when there is none or it is unreadable."""
    try:
        with (data_dir / NAME).open(encoding="utf-8") as file:
            return Instance(**json.load(file)) if _is_locked(file) else None
    except (OSError, ValueError, TypeError):
        return None


def probe_policy(settings: Settings) -> AddressPolicy:
    """Return where probes may go: as the running instance on the same database was told, else as these settings say.

    The demo allows loopback addresses on its own account, and a command must not refuse what its API accepts.
    """
    running = find_running(settings.data_dir)
    if running is None or running.database != _without_password(settings):
        return settings.probe_policy
    return settings.policy(running.allow, running.deny)


def _without_password(settings: Settings) -> str:
    if settings.database_url is None:
        return ""
    return make_url(settings.database_url).set(password=None).render_as_string()


def _is_locked(file: IO[str]) -> bool:
    """Return whether the process that wrote the record still lives: a record survives a kill -9, its lock does not."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
