"""Enters the script's villages and towers into the registry, as people would over REST."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from app.access.scope import Caller
from app.registry import store as registry
from app.registry.models import Lifecycle, Site, SiteKind
from app.registry.schemas import SiteIn, SitePatch
from probes.contract import ProbeKind
from probes.policy import AddressPolicy
from simulator.script import Script
from simulator.site_form import KEYS, form, forms
from simulator.towers import towers
from simulator.villages import villages

LOOPBACK = "127.0.0.0/8"
FOUNDER = Caller(0, "demo", Role.PROVINCE_ADMIN, "64")
POLICY = AddressPolicy(allow=[LOOPBACK])


@dataclass(frozen=True, slots=True)
class Wanted:
    """A site as it should stand; an inactive one is only of interest where it is registered already."""

    place: str  # its address on the simulated network, whether it is registered with it or not
    fields: Mapping[str, Any]
    active: bool
    tower: str | None = None  # the address of the node it hangs on
    forms: Sequence[Mapping[str, Any]] = ()  # see `simulator.site_form`


def wanted(regions: Path, script: Script) -> list[Wanted]:
    """In order of registration: a tower after the village that houses it, before those that hang on it."""
    every = villages(regions)
    there = every[: script.sites]
    chosen = towers(regions, there, script.nodes)
    tower_of = {child: tower.fields["host"] for tower in chosen for child in tower.children}
    active = {fields["host"] for fields in there} | {tower.fields["host"] for tower in chosen}
    possible = {tower.fields["host"]: tower.fields for tower in towers(regions, every, len(every))}
    possible |= {tower.fields["host"]: tower.fields for tower in chosen}
    order = [
        *(fields for fields in every if fields["host"] not in tower_of),
        *possible.values(),
        *(fields for fields in every if fields["host"] in tower_of),
    ]
    return [
        Wanted(fields["host"], fields, fields["host"] in active)
        if fields["kind"] == SiteKind.NODE
        else Wanted(
            fields["host"],
            form(fields, script.agents),
            fields["host"] in active,
            tower_of.get(fields["host"]),
            forms(fields),
        )
        for fields in order
    ]


async def register(session: AsyncSession, sites: Sequence[Wanted]) -> None:
    """Registers what is missing and mends what differs; what a user retired or hung elsewhere stays as it is."""
    places = {f"{one.fields['village_code']}-01": one.place for one in sites if one.fields["kind"] != SiteKind.NODE}
    rows = await session.scalars(select(Site).order_by(Site.lifecycle != Lifecycle.RETIRED, Site.id))
    known = {_place(site, places): site for site in rows}  # of several behind one address, one in service
    ours = {
        known[one.place].id
        for one in sites
        if one.fields["kind"] == SiteKind.NODE and _is_ours(known.get(one.place), one)
    }
    for one in sites:
        site, tower = known.get(one.place), _tower(known.get(one.tower))
        if site is None and one.active:
            given = SiteIn(**one.fields, parent_id=None if tower is None else tower.id)
            known[one.place], _ = await registry.create_site(session, given, caller=FOUNDER, policy=POLICY)
        elif site is not None and (_is_ours(site, one) or one.fields["kind"] != SiteKind.NODE):
            await _mend(session, site, dict(_change(site, one, tower, ours)))


def _place(site: Site, places: Mapping[str, str]) -> str | None:
    """Who reports himself is found by his code: an address he may have is only said of him."""
    return places.get(site.code) if site.probe is ProbeKind.PUSH else site.host


async def _mend(session: AsyncSession, site: Site, change: dict[str, Any]) -> None:
    if change:
        given = SitePatch(**change)
        await registry.patch_site(session, str(site.id), given, caller=FOUNDER, policy=POLICY, if_match=None)


def _change(site: Site, one: Wanted, tower: Site | None, ours: set[int]) -> Iterator[tuple[str, Any]]:
    if site.lifecycle is (Lifecycle.SUSPENDED if one.active else Lifecycle.ACTIVE):
        yield "lifecycle", Lifecycle.ACTIVE if one.active else Lifecycle.SUSPENDED
    elif site.lifecycle is not Lifecycle.ACTIVE:
        return
    if one.active:
        said = {key: getattr(site, key) for key in KEYS}
        wanted = {key: one.fields.get(key) for key in KEYS}
        yield from wanted.items() if said != wanted and said in one.forms else ()
    parent_id = None if tower is None else tower.id
    if one.active and site.parent_id != parent_id and (site.parent_id is None or site.parent_id in ours):
        yield "parent_id", parent_id


def _is_ours(site: Site | None, one: Wanted) -> bool:
    """A tower that was renamed, or another thing at its address, is a user's own."""
    return site is not None and site.kind is SiteKind.NODE and site.name == one.fields["name"]


def _tower(site: Site | None) -> Site | None:
    """Only a node in service carries anybody."""
    return site if site is not None and site.kind is SiteKind.NODE and site.lifecycle is Lifecycle.ACTIVE else None
