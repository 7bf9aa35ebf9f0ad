"""The choices that filters of several pages offer, as pairs of value and word."""

from datetime import date, datetime

from app.console.api_client import ApiClient
from app.console.page import ConsoleRequest
from app.core.clock import WITA, utc_now
from app.pages.formats import month
from app.pages.words import INDONESIAN, word
from app.profiles import Technology

Choices = list[tuple[str, str]]
MONTHS = 12


def technologies(console: ConsoleRequest) -> Choices:
    return [(each.value, word("technology", each.value, console.language)) for each in Technology]


async def providers(api: ApiClient) -> Choices:
    """Return the providers by their slugs; as a dict, their names."""
    listed = await api.get("/providers", limit=1000)
    return [(each["slug"], each["name"]) for each in listed["items"]]


def periods(console: ConsoleRequest) -> Choices:
    """Return `24h`, `7d`, `30d`, and the months from this one back."""
    return [
        ("24h", console.text("Last 24 hours")),
        ("7d", console.text("Last 7 days")),
        ("30d", console.text("Last 30 days")),
        *months(console),
    ]


def months(console: ConsoleRequest) -> Choices:
    """Return the months from this one back."""
    return [(f"{first:%Y-%m}", month(first, console.language)) for first in last_months(utc_now(), MONTHS)]


def of_words(kind: str, console: ConsoleRequest) -> Choices:
    """Return all values that have a word of this kind, in the order of their words' list."""
    return [(value, word(kind, value, console.language)) for value in INDONESIAN[kind]]


async def child_regions(console: ConsoleRequest) -> Choices:
    """Return the regions directly below the caller's own."""
    listed = await console.api.get("/regions", parent=console.caller.region_code, limit=1000)
    return [(each["code"], each["name"]) for each in listed["items"]]


def last_months(now: datetime, count: int) -> list[date]:
    """Return the first days of the last months in WITA, this one first."""
    this = now.astimezone(WITA).date().replace(day=1)
    numbered = this.year * 12 + this.month - 1
    return [date((numbered - back) // 12, (numbered - back) % 12 + 1, 1) for back in range(count)]
