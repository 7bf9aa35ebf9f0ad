"""Translation: English templates in the code, Bahasa Indonesia in `config/messages.id.toml`."""

import tomllib
from functools import cache
from typing import Any

from app.settings import CONFIG_DIR

MAX_ACCEPT_LANGUAGE = 1_000  # characters: what follows is ignored


@cache
def _indonesian() -> dict[str, str]:
    return tomllib.loads((CONFIG_DIR / "messages.id.toml").read_text())


def preferred_language(accept_language: str | None) -> str:
    """Return `id` or `en`, whichever an Accept-Language header ranks higher; `en` when it names neither."""
    best, language = 0.0, "en"
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
    return (_indonesian().get(template, template) if language == "id" else template).format_map(values)
