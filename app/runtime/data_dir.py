"""The data folder: ours alone, and marked with what it is for."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from app.settings import SettingsError

MARK = "SINYAL_DESA"
SERVICE, DEMO = "service", "demo"


@contextlib.contextmanager
def claimed(folder: Path, purpose: str) -> Iterator[None]:
    """`claim`, and held against a second one as long as this process lives."""
    claim(folder, purpose)
    with (folder / MARK).open() as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"data folder {folder} is in use by another `sinyal up` or `sinyal demo`: end that one, "
                "or set SINYAL_DATA_DIR to another folder"
            ) from None
        yield


def claim(folder: Path, purpose: str) -> None:
    """Makes and marks it. Raises SettingsError for a folder that is somebody else's, or of the other purpose."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = purpose_of(folder)
        if found is None and holds_something(folder):
            raise SettingsError(f"data folder {folder} is not empty and not ours; set SINYAL_DATA_DIR to another one")
        if found and found != purpose:
            raise SettingsError(
                f"data folder {folder} belongs to `sinyal {'demo' if found == DEMO else 'up'}`: "
                "simulated and real measurements never share one; set SINYAL_DATA_DIR to another folder"
            )
        if not found:
            (folder / MARK).write_text(purpose + "\n")
    except OSError as error:
        raise SettingsError(f"data folder {folder}: {error.strerror}") from None


def purpose_of(folder: Path) -> str | None:
    """What it was claimed for; empty if a crash came between the mark and its word, None if it is not marked."""
    try:
        return (folder / MARK).read_text().strip()
    except FileNotFoundError:
        return None


def holds_something(folder: Path) -> bool:
    """Anything but what a fresh file system of its own holds."""
    return any(entry.name != "lost+found" for entry in folder.iterdir())
