"""Which village, provider, parent and contract the words of a row mean, and which site of the registry it is."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ARRAY, Text, any_, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.access.scope import Caller, visible_to
from app.core.clock import today
from app.core.errors import Fault
from app.importing import villages
from app.importing.sheets import Row
from app.importing.vocabulary import listed
from app.postgres.engine import among
from app.registry.models import Contract, Lifecycle, Provider, RegionAlias, Site, SiteKind
from app.registry.providers import unknown_provider
from app.registry.vocabulary import CHOICES, SHORT, fold


@dataclass(frozen=True, slots=True)
class Around:
    """What the rows of a file may mean, within their caller's reach."""

    caller: Caller
    aliases: Mapping[str, str]  # a village's present code by a former one
    providers: Mapping[str, list[Provider]]  # by slug and by name, folded: names may be alike
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
    providers: defaultdict[str, list[Provider]] = defaultdict(list)
    for provider in await session.scalars(select(Provider).order_by(Provider.slug)):
        for name in {fold(provider.name), fold(provider.slug)}:
            providers[name].append(provider)
    return Around(
        caller,
        {row.code: row.region_code for row in aliases},
        dict(providers),
        {row.code: row.id for row in nodes},
        {fold(row.number): row.id for row in contracts},
    )


async def with_sites(session: AsyncSession, around: Around, rows: Sequence[Row]) -> Around:
    """The same, with the sites that rows name or that stand in their villages."""
    codes = sorted({str(row.said["code"]) for row in rows if "code" in row.said})
    here = sorted({row.said["village_code"] for row in rows if "village_code" in row.said})
    named = (Site.code == any_(literal(codes, ARRAY(Text)))) | (Site.village_code == any_(literal(here, ARRAY(Text))))
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
    villages.resolve(row, around.aliases, caller=around.caller)
    _provider(row, around)
    if (number := row.said.pop("contract", None)) is not None:
        if (contract_id := around.contracts.get(fold(number))) is not None:
            row.said["contract_id"] = contract_id
        else:
            row.blame(_unknown_contract(number))


def _provider(row: Row, around: Around) -> None:
    """A slug as it is written is nobody else's; a name may be."""
    if (given := row.said.get("provider")) is None:
        return
    found = around.providers.get(fold(given), [])
    if given not in {one.name for one in found}:
        found = [one for one in found if one.slug == given] or found
    if len(found) == 1:
        row.said["provider"] = found[0].slug
        return
    del row.said["provider"]
    if found:
        row.blame(_ambiguous_provider(given, found))
    else:
        slugs = {one.slug for several in around.providers.values() for one in several}
        row.blame(unknown_provider(given[:SHORT], tuple(sorted(slugs))))


def _ambiguous_provider(given: str, found: Sequence[Provider]) -> Fault:
    return Fault(
        "provider",
        "ambiguous_provider",
        "{given} may be any of {count} providers",
        "Write one of: {candidates}",
        values={
            "given": given[:SHORT],
            "count": len(found),
            "candidates": listed(f"{one.slug} ({one.name})" for one in found),
        },
    )


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
        "parent_id",
        "unknown_parent",
        "There is no node {given} within your scope",
        "Give the code of a registered node; import new nodes first",
        values={"given": given[:60]},
    )


def _unknown_contract(given: str) -> Fault:
    return Fault(
        "contract_id",
        "unknown_contract",
        "There is no contract {given}",
        "Give the number of a registered contract",
        values={"given": given[:60]},
    )


def match(row: Row, around: Around) -> Site | None:
    """By code; else by village and service number; else by village and provider, where that is one site in use. A site
    whose service number is another one is another site; one without may be the row's."""
    said = row.said
    if (code := said.get("code")) is not None:
        if (site := around.by_code.get(code)) is None:
            row.blame(
                Fault(
                    "code",
                    "unknown_site",
                    "There is no site {given} within your scope",
                    "Leave the code empty to register a new site",
                    values={"given": str(code)[:60]},
                )
            )
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
    of_provider = [site for site in here if site.provider.slug == provider and site.lifecycle is not Lifecycle.RETIRED]
    unnumbered = [site for site in of_provider if site.service_no is None]
    found = _one_of(row, unnumbered if number is not None else unnumbered or of_provider)
    if found is not None and number is None and found.service_no is None and _may_be_another(found, said):
        row.blame(_would_replace(found))
    return found


def _may_be_another(site: Site, said: Mapping[str, Any]) -> bool:
    """Whether a row without any number tells of another installation, as a village's second access point does."""
    other = {
        name
        for name in ("technology", "venue", "link_role", "host", "name")
        if said.get(name) and (has := getattr(site, name)) is not None and fold(str(said[name])) != fold(str(has))
    }
    return bool(other & {"technology", "venue", "link_role"}) or other >= {"host", "name"}


def _would_replace(site: Site) -> Fault:
    words = (CHOICES["technology"][site.technology], site.venue and CHOICES["venue"][site.venue], site.host, site.name)
    return Fault(
        "code",
        "may_be_another_site",
        "This row would replace {code} ({described})",
        "The same site? Give its code: {code}. A new one? Give its Nomor layanan (service_no)",
        values={"code": site.code, "described": ", ".join(filter(None, words))},
    )


def _one_of(row: Row, sites: Sequence[Site]) -> Site | None:
    in_use = [site for site in sites if site.lifecycle is not Lifecycle.RETIRED] or list(sites)
    if len(in_use) > 1:
        row.blame(
            Fault(
                "code",
                "ambiguous_site",
                "The row may be any of {count} sites",
                "Give the code: {candidates}",
                values={"count": len(in_use), "candidates": listed(f"{site.code} ({site.name})" for site in in_use)},
            )
        )
        return None
    if in_use and in_use[0].lifecycle is Lifecycle.RETIRED and "lifecycle" not in row.said:
        row.warnings.append(
            Fault(
                "lifecycle",
                "retired",
                "{code} is retired: it is not measured",
                "Write aktif as its Tahap layanan",
                values={"code": in_use[0].code},
            )
        )
    return in_use[0] if in_use else None
