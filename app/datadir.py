"""The data folder: ours alone, and marked with what it is for."""

from pathlib import Path

from app.settings import SettingsError

MARK = "SINYAL_DESA"
SERVICE, DEMO = "service", "demo"


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
