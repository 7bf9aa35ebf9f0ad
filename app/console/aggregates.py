"""What the pages of a region and of a provider both show: uptime by day, latency and speed by technology."""

from collections import defaultdict
from typing import Any

from app.console import choices
from app.console.page import ConsoleRequest

BY_HOUR = {"24h"}  # periods whose series is by hour


async def load_aggregates(
    console: ConsoleRequest, path: str, period: str, asked: dict[str, str], *, technologies: list[str]
) -> dict[str, Any]:
    """Return uptime, throughput and latency of what `path` names, latency by technology: they have no common one."""
    step = "hour" if period in BY_HOUR else "day"
    api = console.api
    latencies = [
        await api.get(f"{path}/latency", period=period, step=step, **{**asked, "technology": technology})
        for technology in technologies
    ]
    return {
        "uptime": await api.get(f"{path}/uptime", period=period, step=step, **asked),
        "throughput": await api.get(f"{path}/throughput", period=period, **asked),
        "latency": [pair for pair in zip(technologies, latencies, strict=True) if pair[1]["sites"]],
        "step": step,
    }


def technologies_of(ranking: dict[str, Any]) -> list[str]:
    """Return the technologies that were in service in the period of a ranking."""
    return list(dict.fromkeys(entry["technology"] for entry in [*ranking["items"], *ranking["unranked"]]))


def by_technology(ranking: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the entries of each technology, inside of which alone a rank means something: the ranked, then others."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in (*ranking["items"], *ranking["unranked"]):
        groups[entry["technology"]].append(entry)
    return sorted(groups.items())


async def filter_choices(console: ConsoleRequest, **asked: str) -> dict[str, Any]:
    """Return what the filter of such a page offers, and what is asked of it."""
    return {
        "asked": asked,
        "technologies": choices.technologies(console),
        "providers": await choices.providers(console.api),
        "periods": choices.periods(console),
    }
