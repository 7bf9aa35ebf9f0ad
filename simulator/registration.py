"""Register the script's villages and towers, as people would over REST, and the device tokens of their agents."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.api_tokens import digest
from app.access.models import Role
from app.access.scope import Caller
from app.agents.models import DeviceToken
from app.core.clock import utc_now
from app.postgres.engine import among
from app.registry import store as registry
from app.registry.models import Lifecycle, Site, SiteKind
from app.registry.schemas import SiteIn, SitePatch
from probes.contract import ProbeKind
from probes.policy import AddressPolicy
from simulator.agent_secret import token
from simulator.script import Script
from simulator.site_fields import KEYS, possible_fields, registry_fields
from simulator.towers import towers
from simulator.villages import villages

LOOPBACK = "127.0.0.0/8"
DEMO = "demo"
DEMO_CALLER = Caller(0, DEMO, Role.PROVINCE_ADMIN, "64")
POLICY = AddressPolicy(allow=[LOOPBACK])


@dataclass(frozen=True, slots=True)
class PlannedSite:
    """A site as the script wants it; an inactive one is suspended if it is registered, else not created."""

    address: str  # on the simulated network, whether registered with it or not
    fields: Mapping[str, Any]
    active: bool
    tower: str | None = None  # the address of the node above it
    possible_fields: Sequence[Mapping[str, Any]] = ()  # see `simulator.site_fields`


def planned_sites(regions: Path, script: Script) -> list[PlannedSite]:
    """Return the sites in order of registration: a tower after the village that houses it, before those behind it."""
    every = villages(regions)
    included = every[: script.sites]
    chosen = towers(regions, included, script.nodes)
    tower_of = {child: tower.fields["host"] for tower in chosen for child in tower.children}
    active = {fields["host"] for fields in included} | {tower.fields["host"] for tower in chosen}
    possible = {tower.fields["host"]: tower.fields for tower in towers(regions, every, len(every))}
    possible |= {tower.fields["host"]: tower.fields for tower in chosen}
    order = [
        *(fields for fields in every if fields["host"] not in tower_of),
        *possible.values(),
        *(fields for fields in every if fields["host"] in tower_of),
    ]
    return [
        PlannedSite(fields["host"], fields, fields["host"] in active)
        if fields["kind"] == SiteKind.NODE
        else PlannedSite(
            fields["host"],
            registry_fields(fields, script.agents),
            fields["host"] in active,
            tower_of.get(fields["host"]),
            possible_fields(fields),
        )
        for fields in order
    ]


async def register(session: AsyncSession, sites: Sequence[PlannedSite]) -> None:
    """Create missing sites and update those that differ; what a user retired or moved elsewhere stays as it is."""
    addresses = {
        f"{planned.fields['village_code']}-01": planned.address
        for planned in sites
        if planned.fields["kind"] != SiteKind.NODE
    }
    rows = await session.scalars(select(Site).order_by(Site.lifecycle != Lifecycle.RETIRED, Site.id))
    registered = {_address(site, addresses): site for site in rows}  # of several at one address, an active one
    our_towers = {
        registered[planned.address].id
        for planned in sites
        if planned.fields["kind"] == SiteKind.NODE and _is_our_tower(registered.get(planned.address), planned)
    }
    for planned in sites:
        site, tower = registered.get(planned.address), _active_node(registered.get(planned.tower))
        if site is None and planned.active:
            fields = SiteIn(**planned.fields, parent_id=None if tower is None else tower.id)
            registered[planned.address], _ = await registry.create_site(
                session, fields, caller=DEMO_CALLER, policy=POLICY
            )
        elif site is not None and (_is_our_tower(site, planned) or planned.fields["kind"] != SiteKind.NODE):
            await _update(session, site, dict(_changes(site, planned, tower, our_towers)))


def _address(site: Site, addresses: Mapping[str, str]) -> str | None:
    """Return the simulated address: a push site's by its code, since the address it is registered with may be any."""
    return addresses.get(site.code) if site.probe is ProbeKind.PUSH else site.host


async def _update(session: AsyncSession, site: Site, changes: dict[str, Any]) -> None:
    if changes:
        await registry.patch_site(
            session, str(site.id), SitePatch(**changes), caller=DEMO_CALLER, policy=POLICY, if_match=None
        )


def _changes(site: Site, planned: PlannedSite, tower: Site | None, our_towers: set[int]) -> Iterator[tuple[str, Any]]:
    if site.lifecycle is (Lifecycle.SUSPENDED if planned.active else Lifecycle.ACTIVE):
        yield "lifecycle", Lifecycle.ACTIVE if planned.active else Lifecycle.SUSPENDED
    elif site.lifecycle is not Lifecycle.ACTIVE:
        return
    if planned.active:
        current = {key: getattr(site, key) for key in KEYS}
        wanted = {key: planned.fields.get(key) for key in KEYS}
        yield from wanted.items() if current != wanted and current in planned.possible_fields else ()
    parent_id = None if tower is None else tower.id
    if planned.active and site.parent_id != parent_id and (site.parent_id is None or site.parent_id in our_towers):
        yield "parent_id", parent_id


def _is_our_tower(site: Site | None, planned: PlannedSite) -> bool:
    """Return whether it is our tower: one that was renamed, or another site at its address, is a user's own."""
    return site is not None and site.kind is SiteKind.NODE and site.name == planned.fields["name"]


def _active_node(site: Site | None) -> Site | None:
    """Return the site if it is an active node: no other may be a parent."""
    return site if site is not None and site.kind is SiteKind.NODE and site.lifecycle is Lifecycle.ACTIVE else None


async def create_device_tokens(session: AsyncSession, secret: str, codes: Sequence[str]) -> None:
    """Create the device token of each push site among these, unless a user created or revoked a token of the site."""
    rows = await session.execute(
        select(Site.id, Site.code).where(Site.probe == ProbeKind.PUSH, among(Site.code, codes))
    )
    digests = {row.id: digest(token(secret, row.code)) for row in rows}
    existing: dict[int, list[DeviceToken]] = defaultdict(list)
    for device_token in await session.scalars(select(DeviceToken).where(among(DeviceToken.site_id, digests))):
        existing[device_token.site_id or 0].append(device_token)
    for site_id, our_digest in digests.items():
        tokens = existing[site_id]
        if any(known.digest == our_digest for known in tokens) or any(map(_is_users, tokens)):
            continue
        for old in tokens:  # derived from a secret that is gone
            old.revoked_at, old.revoked_by = old.revoked_at or utc_now(), DEMO
        session.add(DeviceToken(site_id=site_id, digest=our_digest, created_by=DEMO))
    await session.flush()


def _is_users(device_token: DeviceToken) -> bool:
    return device_token.created_by != DEMO or (device_token.revoked_by or DEMO) != DEMO
