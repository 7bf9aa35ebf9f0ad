"""The filter of the list of sites: what the address says, the choices of its form, and links that keep it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from app.console.api_client import ApiProblem
from app.console.choices import providers
from app.console.page import ConsoleRequest
from app.pages.words import word
from app.profiles import Technology

FIELDS = ("q", "region", "state", "technology", "provider", "lifecycle")
VALUES = {
    "state": ("down", "degraded", "unreachable", "unknown", "up"),
    "technology": tuple(Technology),
    "lifecycle": ("active", "planned", "suspended", "retired"),
}
LEVELS = ("district", "subdistrict", "village")  # the cascade of pickers
CODE_LENGTHS = (5, 8, 13)  # of their codes

Choice = tuple[str, str]


@dataclass(frozen=True, slots=True)
class SiteListFilter:
    """`params`: as the API takes them, without empty ones; `regions`: the chosen code of each picker, "" for none."""

    params: dict[str, str]
    regions: tuple[str, str, str]

    @property
    def query(self) -> str:
        return urlencode(self.params)

    @property
    def path(self) -> str:
        return "/sites" + (f"?{self.query}" if self.params else "")


def read_filter(query: Any) -> SiteListFilter:
    """Read an address: `region`, or the pickers, of which one that is not below the one above it is left out."""
    given = {name: query.get(name, "").strip() for name in (*FIELDS, *LEVELS)}
    region = given["region"]
    if any(given[level] for level in LEVELS):
        region = ""
        for level in LEVELS:
            if given[level] and (not region or given[level].startswith(region + ".")):
                region = given[level]
    params = {name: region if name == "region" else given[name] for name in FIELDS}
    chosen = tuple(region[:length] if len(region) >= length else "" for length in CODE_LENGTHS)
    return SiteListFilter({name: value for name, value in params.items() if value}, chosen)  # type: ignore[arg-type]


async def choices(console: ConsoleRequest, chosen: SiteListFilter) -> dict[str, list[Choice]]:
    """Return value and word of each choice by field; a picker without choices has none above it chosen."""
    district, subdistrict, _ = chosen.regions
    own = console.caller.region_code
    regions = {
        "district": await _regions(console, "64", "kabupaten_kota"),
        "subdistrict": await _regions(console, district, "kecamatan"),
        "village": await _regions(console, subdistrict, "desa_kelurahan"),
    }
    return {
        **{
            level: [one for one in of_level if one[0].startswith(own) or own.startswith(one[0])]
            for level, of_level in regions.items()
        },
        **{name: _words(console, name, values, chosen.params.get(name)) for name, values in VALUES.items()},
        "provider": await providers(console.api),
    }


def _words(console: ConsoleRequest, name: str, values: Sequence[str], value: str | None) -> list[Choice]:
    """Return the choices of a field; what the address gives beside them, such as several of them, is one more."""
    every = [*values, *([value] if value and value not in values else [])]
    return [(one, ", ".join(word(name, each, console.language) for each in one.split(","))) for one in every]


async def _regions(console: ConsoleRequest, parent: str, level: str) -> list[Choice]:
    if not parent:
        return []
    try:
        found = await console.api.get("/regions", parent=parent, level=level, limit=1000)
    except ApiProblem:  # an unknown code: the list of sites says so
        return []
    return [(region["code"], region["name"]) for region in found["items"]]
