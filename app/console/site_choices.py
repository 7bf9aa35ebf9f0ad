"""What the pickers of a site's form offer: regions below each other, providers, their contracts, and nodes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.charts.position_picker import VillagePoint
from app.console import choices
from app.console.api_client import ApiProblem
from app.console.page import ConsoleRequest
from app.pages.words import CHOICE_WORDS, word

Option = tuple[str, str]

MOST = 1000  # regions or contracts in a list
MOST_NODES = 20


@dataclass(frozen=True, slots=True)
class Place:
    """The regions chosen so far, each below the one before; "" where none is."""

    district: str
    subdistrict: str
    village: str


@dataclass(frozen=True, slots=True)
class SiteChoices:
    place: Place
    districts: list[Option]
    subdistricts: list[Option]
    villages: list[Option]
    village: dict[str, Any] | None
    points: list[VillagePoint]  # of the subdistrict's villages
    providers: list[Option]
    contracts: list[Option]
    parents: list[Option]
    vantages: list[Option]  # by number; of one alone there is nothing to choose
    words: dict[str, list[Option]]  # of each field with choices


def find_place(form: Mapping[str, str], *, scope: str) -> Place:
    """Return the place that a form names. `scope`: the caller's region, within which it lies."""
    village = form.get("village_code", "")
    district = _code(form.get("district") or village[:5] or scope[:5], 2)
    subdistrict = _code(form.get("subdistrict") or village[:8] or scope[:8], 3)
    subdistrict = subdistrict if subdistrict.startswith(f"{district}.") else ""
    return Place(district, subdistrict, village if subdistrict and village.startswith(f"{subdistrict}.") else "")


def _code(text: str, parts: int) -> str:
    return text if re.fullmatch(r"\d\d(\.\d\d)+", text) and text.count(".") == parts - 1 else ""


async def load(console: ConsoleRequest, form: Mapping[str, str]) -> SiteChoices:
    scope = console.caller.region_code
    place = find_place(form, scope=scope)
    districts = await _regions(console, "kabupaten_kota", "64")
    subdistricts = await _regions(console, "kecamatan", place.district)
    villages = await _regions(console, "desa_kelurahan", place.subdistrict)
    contracts, parents = await _contracts(console, form), await _parents(console, form)
    chosen = [village for village in villages if village["code"] == place.village]
    missing = [] if chosen or not place.village else [(place.village, place.village)]
    return SiteChoices(
        place,
        [_region_option(region) for region in districts if region["code"].startswith(scope[:5])],
        [_region_option(region) for region in subdistricts if region["code"].startswith(scope[:8])],
        missing + [_region_option(region) for region in villages if region["code"].startswith(scope)],
        chosen[0] if chosen else None,
        [_point(village, is_chosen=village in chosen) for village in villages],
        await choices.providers(console.api),
        contracts,
        parents,
        [(str(each["number"]), each["label"]) for each in (await console.api.get("/vantages"))["items"]],
        {
            field: [(value, word(field, value, console.language)) for value in words]
            for field, words in CHOICE_WORDS.items()
        },
    )


async def _regions(console: ConsoleRequest, level: str, parent: str) -> list[dict[str, Any]]:
    if not parent:
        return []
    page = await console.api.get("/regions", level=level, parent=parent, limit=MOST)
    return list(page["items"])


def _region_option(region: Mapping[str, Any]) -> Option:
    return region["code"], f"{region['name']} ({region['code']})"


def _point(village: Mapping[str, Any], *, is_chosen: bool) -> VillagePoint:
    return VillagePoint(village["longitude"], village["latitude"], village["name"], is_chosen)


async def _contracts(console: ConsoleRequest, form: Mapping[str, str]) -> list[Option]:
    """Return the provider's contracts, and the present one whoever's it is: what is not offered would be emptied."""
    provider, given = form.get("provider", ""), _id(form.get("contract_id", ""))
    page = await console.api.get("/contracts", provider=provider, limit=MOST) if provider else {"items": []}
    options = [(str(contract["id"]), contract["number"]) for contract in page["items"]]
    if given and given not in dict(options):
        other = await _find(console, f"/contracts/{given}")
        options.insert(0, (given, other["number"] if other else given))
    return options


async def _parents(console: ConsoleRequest, form: Mapping[str, str]) -> list[Option]:
    """Return the present parent, and the nodes that a search finds."""
    wanted, given = form.get("parent_q", ""), _id(form.get("parent_id", ""))
    options: dict[str, str] = {}
    if given:
        present = await _find(console, f"/sites/{given}")
        options[given] = _node_name(present) if present else given
    if wanted:
        in_service = ["planned", "active", "suspended"]
        page = await console.api.get("/sites", q=wanted[:100], kind="node", lifecycle=in_service, limit=MOST_NODES)
        options |= {str(node["id"]): _node_name(node) for node in page["items"]}
    return list(options.items())


def _node_name(node: Mapping[str, Any]) -> str:
    return f"{node['name']} ({node['code']})"


def _id(text: str) -> str:
    return text if re.fullmatch(r"[0-9]{1,9}", text) else ""


async def _find(console: ConsoleRequest, path: str) -> dict[str, Any] | None:
    try:
        return await console.api.get(path)  # type: ignore[no-any-return]
    except ApiProblem as problem:
        if problem.status == 404:  # it lies beyond the caller's scope
            return None
        raise
