"""Which village, provider, parent and contract the words of a row mean, and which site of the registry it is."""

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache

from sqlalchemy import ARRAY, Text, any_, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.access.scope import Caller, visible_to
from app.clock import today
from app.database import among
from app.errors import Fault
from app.importing.sheets import Row
from app.importing.words import SHORT, fold
from app.registry import regions
from app.registry.models import Contract, Level, Lifecycle, Provider, RegionAlias, Site, SiteKind
from app.registry.providers import unknown_provider

LEVELS = {"village": 13, "subdistrict": 8, "district": 5}  # how much of a code is each one's
KINDS = {13: {"desa", "ds", "kelurahan", "kel"}, 8: {"kecamatan", "kec"}, 5: {"kabupaten", "kab", "kota"}}
LISTED = 5  # candidates that a message names


@dataclass(frozen=True, slots=True)
class Around:
    """What the rows of a file may mean, within their caller's reach."""

    caller: Caller
    aliases: Mapping[str, str]  # a village's present code by a former one
    providers: Mapping[str, Provider]  # by slug and by name, folded
    nodes: Mapping[str, int]  # ids by code
    contracts: Mapping[str, int]  # ids by number, folded
    by_code: Mapping[str, Site] = field(default_factory=dict)
    by_village: Mapping[str, list[Site]] = field(default_factory=dict)
    parents: Mapping[int, str] = field(default_factory=dict)  # codes by id: of those that sites hang on now


async def look_around(session: AsyncSession, *, caller: Caller) -> Around:
    """All that rows could mean, except the sites."""
    node = (Site.kind == SiteKind.NODE) & (Site.lifecycle != Lifecycle.RETIRED)
    nodes = await session.execute(select(Site.code, Site.id).where(node, visible_to(caller, Site)))
    contracts = await session.execute(select(Contract.number, Contract.id))
    in_force = RegionAlias.valid_to.is_(None) | (RegionAlias.valid_to <= today())
    aliases = await session.execute(select(RegionAlias.code, RegionAlias.region_code).where(in_force))
    providers = list(await session.scalars(select(Provider)))
    return Around(
        caller,
        {row.code: row.region_code for row in aliases},
        {fold(name): one for one in providers for name in (one.name, one.slug)},
        {row.code: row.id for row in nodes},
        {fold(row.number): row.id for row in contracts},
    )


async def with_sites(session: AsyncSession, around: Around, rows: Sequence[Row]) -> Around:
    """The same, with the sites that rows name or that stand in their villages."""
    codes = sorted({str(row.said["code"]) for row in rows if "code" in row.said})
    villages = sorted({row.said["village_code"] for row in rows if "village_code" in row.said})
    named = (Site.code == any_(literal(codes, ARRAY(Text)))) | (
        Site.village_code == any_(literal(villages, ARRAY(Text)))
    )
    query = (
        select(Site).where(named, visible_to(around.caller, Site)).options(joinedload(Site.provider)).order_by(Site.id)
    )
    by_village: defaultdict[str, list[Site]] = defaultdict(list)
    by_code = {}
    for site in await session.scalars(query, execution_options={"populate_existing": True}):
        by_code[site.code] = site
        by_village[site.village_code].append(site)
    parents = select(Site.id, Site.code).where(
        among(Site.id, {site.parent_id for site in by_code.values() if site.parent_id is not None})
    )
    hung_on = {row.id: row.code for row in await session.execute(parents)}
    return replace(around, by_code=by_code, by_village=by_village, parents=hung_on)


def resolve(row: Row, around: Around) -> None:
    """Words become codes and ids; what cannot is blamed."""
    _village(row, around)
    if (name := row.said.get("provider")) is not None:
        found = around.providers.get(fold(name))
        if found is not None:
            row.said["provider"] = found.slug
        else:
            row.blame(unknown_provider(name[:SHORT], tuple(sorted({one.slug for one in around.providers.values()}))))
            del row.said["provider"]
    if (number := row.said.pop("contract", None)) is not None:
        if (contract_id := around.contracts.get(fold(number))) is not None:
            row.said["contract_id"] = contract_id
        else:
            row.blame(_unknown_contract(number))


def hang(row: Row, site: Site | None, around: Around) -> None:
    """The parent, once the site is known: the one that it has may lie out of the caller's scope."""
    code = row.said.pop("parent", None)
    if code is None or (site is not None and site.parent_id is not None and around.parents[site.parent_id] == code):
        return
    if (parent_id := around.nodes.get(code)) is not None:
        row.said["parent_id"] = parent_id
    else:
        row.blame(_unknown_node(code))


def _unknown_node(given: str) -> Fault:
    return Fault(
        "parent_id", "unknown_parent", "There is no node {given} within your scope",
        "Give the code of a registered node; import new nodes first", values={"given": given[:60]},
    )  # fmt: skip


def _unknown_contract(given: str) -> Fault:
    return Fault("contract_id", "unknown_contract", "There is no contract {given}",
                 "Give the number of a registered contract", values={"given": given[:60]})  # fmt: skip


def _village(row: Row, around: Around) -> None:
    names = [str(row.said.pop(name, ""))[:SHORT] for name in LEVELS]
    code = row.said.get("village_code")
    if code is not None:
        code = row.said["village_code"] = around.aliases.get(code, code)
        if code not in regions.names():
            row.blame(regions.explain_unknown_village(code[:SHORT]))
        if code in _villages():
            row.warnings += _other_names(code, names)
    elif names[0]:
        found = _named(*map(_plain, names, LEVELS.values()), around.caller.region_code)
        if len(found) == 1:
            code = row.said["village_code"] = found[0]
        else:
            row.blame(_ambiguous(names[0], found) if found else _unknown_village(names[0], around.caller.region_code))
    if code in _villages() and not around.caller.covers(code):
        row.blame(Fault("village_code", "outside_scope", "{given} lies outside your region {region}",
                        "Leave the row to its district, or check the code",
                        values={"given": code, "region": around.caller.region_code}))  # fmt: skip


@cache
def _villages() -> dict[str, str]:
    return {row["code"]: row["name"] for row in regions.read_csv() if row["level"] == Level.DESA_KELURAHAN}


def _other_names(code: str, names: Sequence[str]) -> list[Fault]:
    """Where the names beside a code are another village's, the code may be, too."""
    for given, level in zip(names, LEVELS.values(), strict=True):
        name = regions.names()[code[:level]]
        if given and _plain(given, level) != _plain(name, level):
            return [Fault("village_code", "other_name", "{code} is {name}, the row says {given}", "Check the code",
                          values={"code": code[:level], "name": name, "given": given})]  # fmt: skip
    return []


@lru_cache(10_000)
def _plain(name: str, level: int) -> str:
    """A region's name without what kind of region it is."""
    words = fold(name).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in KINDS[level] else words)


@cache
def _by_name() -> dict[str, list[str]]:
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for code, name in _villages().items():
        by_name[_plain(name, LEVELS["village"])].append(code)
    return dict(by_name)


@lru_cache(10_000)
def _named(village: str, subdistrict: str, district: str, region: str) -> list[str]:
    """The villages of a name within a region; where the row says so, of one subdistrict and district."""

    def above(code: str, level: int) -> str:
        return _plain(regions.names()[code[:level]], level)

    return [
        code for code in _by_name().get(village, ())
        if (region == "64" or f"{code}.".startswith(f"{region}."))
        and subdistrict in {"", above(code, 8)} and district in {"", above(code, 5)}
    ]  # fmt: skip


def _ambiguous(given: str, found: Sequence[str]) -> Fault:
    return Fault(
        "village_code", "ambiguous_village", "There are {count} villages named {given}", "Give the code: {candidates}",
        values={"given": given[:60], "count": len(found), "candidates": _listed(map(_place, found))},
    )  # fmt: skip


@lru_cache(10_000)
def _unknown_village(given: str, region: str) -> Fault:
    here = {name: codes for name, codes in _by_name().items() if _named(name, "", "", region)}
    near = difflib.get_close_matches(_plain(given, LEVELS["village"]), here, 3, cutoff=0.7)
    candidates = [_place(code) for name in near for code in _named(name, "", "", region)]
    return Fault(
        "village_code", "unknown_village_name",
        "There is no village named {given} where the row says, within your region",
        "Did you mean {near}?" if near else "Give its code: Kode desa/kelurahan (village_code)",
        values={"given": given[:60], "near": _listed(candidates)},
    )  # fmt: skip


def _place(code: str) -> str:
    return f"{code} ({_villages()[code]}, {regions.names()[code[:8]]})"


def _listed(candidates: Iterable[str]) -> str:
    every = list(candidates)
    return "; ".join(every[:LISTED]) + ("; …" if len(every) > LISTED else "")


def match(row: Row, around: Around) -> Site | None:
    """By code; else by village and service number; else by village and provider, where that is one site. A site whose
    service number is another one is another site; one without may be the row's."""
    said = row.said
    if (code := said.get("code")) is not None:
        if (site := around.by_code.get(code)) is None:
            row.blame(Fault(
                "code", "unknown_site", "There is no site {given} within your scope",
                "Leave the code empty to register a new site", values={"given": str(code)[:60]},
            ))  # fmt: skip
        return site
    kind = said.get("kind", SiteKind.ACCESS_POINT)  # what hangs on a tower is not the tower
    here = [site for site in around.by_village.get(said.get("village_code", ""), ()) if site.kind == kind]
    number, provider = said.get("service_no"), said.get("provider")
    if number is not None:
        same = [site for site in here if site.service_no is not None and fold(site.service_no) == fold(number)]
        same = [site for site in same if provider in {None, site.provider.slug}]
        if same:
            return _one_of(row, same)
    if provider is None:
        return None
    of_provider = [site for site in here if site.provider.slug == provider]
    unnumbered = [site for site in of_provider if site.service_no is None]
    return _one_of(row, unnumbered if number is not None else unnumbered or of_provider)


def _one_of(row: Row, sites: Sequence[Site]) -> Site | None:
    in_use = [site for site in sites if site.lifecycle is not Lifecycle.RETIRED] or list(sites)
    if len(in_use) > 1:
        row.blame(Fault(
            "code", "ambiguous_site", "The row may be any of {count} sites", "Give the code: {candidates}",
            values={"count": len(in_use), "candidates": _listed(f"{site.code} ({site.name})" for site in in_use)},
        ))  # fmt: skip
        return None
    if in_use and in_use[0].lifecycle is Lifecycle.RETIRED and "lifecycle" not in row.said:
        row.warnings.append(Fault(
            "lifecycle", "retired", "{code} is retired: it is not measured", "Write aktif as its Tahap layanan",
            values={"code": in_use[0].code},
        ))  # fmt: skip
    return in_use[0] if in_use else None
