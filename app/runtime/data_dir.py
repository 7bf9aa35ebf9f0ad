"""The data folder: claimed for one purpose by a file in it, and locked by the process that uses it."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from app.core import sealing
from app.settings import SettingsError

MARK = "SINYAL_DESA"
SERVICE, DEMO = "service", "demo"


@contextlib.contextmanager
def claimed(folder: Path, purpose: str) -> Iterator[None]:
    """Claim the folder and lock it against any other process, which a crash ends as well.

    Raises SettingsError where `claim` does, and when another process has locked it.
    """
    claim(folder, purpose)
    with (folder / MARK).open() as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"data folder {folder.resolve()} is in use by another `sinyal up` or `sinyal demo`: end that one, "
                "or set SINYAL_DATA_DIR to another folder"
            ) from None
        yield


def claim(folder: Path, purpose: str) -> None:
    """Make the folder and write its purpose into it. Raises SettingsError if it is not ours, or of another purpose."""
    folder = folder.resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        claimed_for = purpose_of(folder)
        if claimed_for is None and holds_something(folder):
            raise SettingsError(f"data folder {folder} is not empty and not ours; set SINYAL_DATA_DIR to another one")
        if claimed_for and claimed_for != purpose:
            raise SettingsError(
                f"data folder {folder} belongs to `sinyal {'demo' if claimed_for == DEMO else 'up'}`: "
                "simulated and real measurements never share one; set SINYAL_DATA_DIR to another folder"
            )
        if not claimed_for:
            (folder / MARK).write_text(purpose + "\n")
    except OSError as error:
        raise SettingsError(f"data folder {folder}: {error.strerror}") from None


def purpose_of(folder: Path) -> str | None:
    """Return what it was claimed for; "" if a crash interrupted the claim, None if it was not claimed."""
    try:
        return (folder / MARK).read_text().strip()
    except FileNotFoundError:
        return None


def holds_something(folder: Path) -> bool:
    """Whether it holds anything but what a new file system does, and a secret key that another command made there."""
    return any(entry.name not in ("lost+found", sealing.FILE) for entry in folder.iterdir())
