"""Translation: English templates in the code, Bahasa Indonesia in `config/messages/*.id.toml`."""

import tomllib
from datetime import datetime
from functools import cache
from typing import Any

from app.core.clock import WITA
from app.settings import CONFIG_DIR

MAX_ACCEPT_LANGUAGE = 1_000  # characters: what follows is ignored
MONTHS = {
    "id": (
        *("Januari", "Februari", "Maret", "April", "Mei", "Juni"),
        *("Juli", "Agustus", "September", "Oktober", "November", "Desember"),
    ),
    "en": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
}
WEEKDAYS = {
    "id": ("Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu", "Minggu"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}


@cache
def indonesian() -> dict[str, str]:
    """Return the catalogue: the files of the folder, taken together."""
    files = sorted((CONFIG_DIR / "messages").glob("*.id.toml"))
    return {
        english: said for file in files for english, said in tomllib.loads(file.read_text(encoding="utf-8")).items()
    }


def preferred_language(accept_language: str | None, *, default: str = "en") -> str:
    """Return `id` or `en`, whichever an Accept-Language header ranks higher; `default` when it names neither."""
    best, language = 0.0, default
    for part in (accept_language or "")[:MAX_ACCEPT_LANGUAGE].split(","):
        tag, _, weight = part.partition(";q=")
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        primary = tag.strip().lower().split("-")[0]
        if primary in {"id", "en"} and quality > best:
            best, language = quality, primary
    return language


def translate(template: str, values: dict[str, Any], *, language: str) -> str:
    return (indonesian().get(template, template) if language == "id" else template).format_map(values)


def write_moment(moment: datetime, *, language: str = "id", seconds: bool = True) -> str:
    """Return the moment in words, such as `24 November 2026 14.05.00 WITA`, in English `14:05:00`."""
    local, mark = moment.astimezone(WITA), ":" if language == "en" else "."
    clock = local.strftime(mark.join(["%H", "%M", "%S"] if seconds else ["%H", "%M"]))
    return f"{local.day} {MONTHS[language][local.month - 1]} {local.year} {clock} WITA"
