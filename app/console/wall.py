"""What the wall shows: a tile a region, by the worst that is in it, and the sites that have been down the longest."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from app.console.api_client import ApiClient
from app.console.today import BROKEN, Row, elapsed_s, place_of
from app.core.clock import utc_now

SHOWN, LONG_S = 4, 12 * 3600
WORST_FIRST = ("down", "unreachable", "degraded", "unknown", "up")


@dataclass(frozen=True, slots=True)
class Tile:
    code: str
    name: str
    sites: int
    broken: int
    unacknowledged: int
    up: int
    state: str  # the worst that any of its sites is in
    in_state: int
    since: str | None  # of the site that has been down the longest
    for_long: bool  # since so long that the time of day alone would mislead


@dataclass(frozen=True, slots=True)
class Wall:
    region: Row
    tiles: list[Tile]
    longest: list[Row]
    read_at: datetime
    data_age_s: float | None


async def read(api: ApiClient, region: str) -> Wall:
    summary = await api.get("/status/summary")
    status = await api.get("/status", state=",".join(BROKEN))
    broken = sorted(
        (site for site in status["sites"] if site["kind"] == "access_point"), key=lambda site: site["since"]
    )
    children = [child for child in summary["children"] if child["sites"]] or [summary["region"]]
    longest = [{**site, "place": place_of(site)} for site in broken[:SHOWN]]
    return Wall(summary["region"], _tiles(children, broken), longest, utc_now(), summary["data_age_s"])


def _tiles(children: list[Row], broken: list[Row]) -> list[Tile]:
    length = len(children[0]["code"])
    of_child: dict[str, list[Row]] = defaultdict(list)
    for site in broken:
        of_child[site["village_code"][:length]].append(site)
    return [_tile(child, of_child[child["code"]]) for child in children]


def _tile(child: Row, broken: list[Row]) -> Tile:
    states: dict[str, int] = child["states"]
    worst = next((state for state in WORST_FIRST if states[state]), "up")
    return Tile(
        child["code"],
        child["name"].removeprefix("Kabupaten "),
        child["sites"],
        len(broken),
        sum(not site["acknowledged"] and not site["maintenance"] for site in broken),
        states["up"],
        worst,
        states[worst],
        broken[0]["since"] if broken else None,
        bool(broken) and elapsed_s(broken[0]["since"]) > LONG_S,
    )
