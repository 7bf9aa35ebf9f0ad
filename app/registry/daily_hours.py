"""Read hours of the day that people wrote as they liked: `18.00-06.00`, `06-12 dan 18-22 WITA`, `24 jam`."""

import re

from app.core.daily_window import MINUTES, DailyWindow

SHORTEST = 60  # minutes: less is a slip, and the same hour twice means all day
CLOCK = r"(\d{1,2})(?:[.:](\d{2}))?"
HOURS = re.compile(rf"{CLOCK}\s*(?:-|–|—|s/?d\.?|sampai|hingga|to)\s*{CLOCK}", re.IGNORECASE)
FILLER = re.compile(
    r"\b(?:pukul|jam|pkl|wita|dan|and|setiap|tiap|hari|listrik|menyala|nyala|buka)\b|[\s.,;&+/()]", re.IGNORECASE
)


def parse_daily_hours(text: str | None) -> tuple[DailyWindow, ...]:
    """Return the windows of a day; () for what cannot be read, and for all day."""
    if text is None:
        return ()
    windows = []
    for match in HOURS.finditer(text):
        start, end = _minute(match[1], match[2]), _minute(match[3], match[4])
        if start is None or end is None or (end - start) % MINUTES < SHORTEST:
            return ()
        windows.append(DailyWindow(start % MINUTES, end % MINUTES))
    return () if FILLER.sub("", HOURS.sub("", text)) else tuple(windows)


def _minute(hours: str, minutes: str | None) -> int | None:
    minute = int(hours) * 60 + int(minutes or 0)
    return minute if minute <= MINUTES and int(minutes or 0) < 60 else None
