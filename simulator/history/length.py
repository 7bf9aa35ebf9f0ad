"""How long a past is asked for."""

import re

MOST_DAYS = 400


class HistoryError(Exception):
    """No such past, or none here; the message says why."""


def read_days(given: str) -> int:
    """`90d` or `13w`, up to 400 days."""
    found = re.fullmatch(r"([1-9][0-9]{0,3})([dw])", given)
    days = int(found[1]) * (7 if found[2] == "w" else 1) if found else 0
    if not 1 <= days <= MOST_DAYS:
        raise HistoryError(f"--history {given}: write it like 90d or 13w, from 1d to {MOST_DAYS}d")
    return days
