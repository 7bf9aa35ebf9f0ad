"""The data folder: ours alone, and marked with what it is for."""

from pathlib import Path

from app.settings import SettingsError

MARK = "SINYAL_DESA"
SERVICE, DEMO = "service", "demo"


def claim(folder: Path, purpose: str) -> None:
    """Makes and marks it. Raises SettingsError for a folder that is somebody else's, or was made for the other purpose."""
    mark = folder / MARK
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if mark.is_file():
            found = mark.read_text().strip()
            if found != purpose:
                raise SettingsError(
                    f"data folder {folder} belongs to `sinyal {'demo' if found == DEMO else 'up'}`: "
                    "simulated and real measurements never share one; set SINYAL_DATA_DIR to another folder"
                )
            return
        if any(folder.iterdir()):
            raise SettingsError(f"data folder {folder} is not empty and not ours; set SINYAL_DATA_DIR to another one")
        mark.write_text(purpose + "\n")
    except OSError as error:
        raise SettingsError(f"data folder {folder}: {error.strerror}") from None
