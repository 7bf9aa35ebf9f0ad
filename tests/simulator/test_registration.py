"""The demo's registration on a real database: what is registered first, and what a later start updates."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.api_tokens import digest
from app.agents import agent_tokens
from app.agents.models import DeviceToken
from app.registry import providers
from app.registry import store as registry
from app.registry.models import Lifecycle, Site, SiteKind
from app.registry.regions import REGIONS_CSV
from app.registry.schemas import SitePatch
from probes.contract import ProbeKind
from simulator.agent_secret import token
from simulator.registration import DEMO_CALLER, POLICY, create_device_tokens, planned_sites, register
from simulator.script import AgentBehaviour, Script
from simulator.villages import PROVIDERS, villages


@pytest.fixture(autouse=True)
async def known_providers(session: AsyncSession) -> None:
    await providers.ensure_providers(session, PROVIDERS)


async def registered(session: AsyncSession, **script: Any) -> dict[str, Site]:
    """Start the demo's registration; return the sites by host."""
    await register(session, planned_sites(REGIONS_CSV, Script(**script)))
    sites = await session.scalars(select(Site).execution_options(populate_existing=True))
    return {site.host or "": site for site in sites}


def nodes(sites: dict[str, Site]) -> list[Site]:
    return [site for site in sites.values() if site.kind is SiteKind.NODE]


def parents_by_code(sites: dict[str, Site]) -> dict[str, int]:
    return {site.code: site.parent_id for site in sites.values() if site.parent_id is not None}


async def patch(session: AsyncSession, site: Site, **change: Any) -> None:
    await registry.patch_site(
        session, str(site.id), SitePatch(**change), caller=DEMO_CALLER, policy=POLICY, if_match=None
    )


async def test_without_nodes_only_access_points_are_registered_in_the_order_of_their_codes(
    session: AsyncSession,
) -> None:
    sites = await registered(session, sites=30)
    assert [site.host for site in sorted(sites.values(), key=lambda site: site.id)] == [
        fields["host"] for fields in villages(REGIONS_CSV, 30)
    ]
    assert nodes(sites) == []
    assert parents_by_code(sites) == {}


def test_every_village_and_nothing_else_is_planned_by_default() -> None:
    active = [planned for planned in planned_sites(REGIONS_CSV, Script()) if planned.active]
    assert [planned.fields for planned in active] == villages(REGIONS_CSV)


async def test_towers_are_nodes_with_children_and_no_village_loses_its_code(session: AsyncSession) -> None:
    sites = await registered(session, sites=60, nodes=3)
    assert len(sites) == 63
    for fields in villages(REGIONS_CSV, 60):
        assert sites[fields["host"]].code == f"{fields['village_code']}-01"
    parents = set(parents_by_code(sites).values())
    assert parents == {node.id for node in nodes(sites)}
    assert len(parents) == 3
    assert len(parents_by_code(sites)) > 20


async def test_a_second_start_changes_nothing(session: AsyncSession) -> None:
    first = {host: site.version for host, site in (await registered(session, sites=40, nodes=2)).items()}
    second = {host: site.version for host, site in (await registered(session, sites=40, nodes=2)).items()}
    assert second == first


async def test_towers_come_and_go_with_the_script(session: AsyncSession) -> None:
    none = await registered(session, sites=40)
    some = await registered(session, sites=40, nodes=2)
    assert {host: some[host].id for host in none} == {host: site.id for host, site in none.items()}
    assert len(parents_by_code(some)) > 10
    gone = await registered(session, sites=40)
    assert parents_by_code(gone) == {}
    assert {node.lifecycle for node in nodes(gone)} == {Lifecycle.SUSPENDED}
    again = await registered(session, sites=40, nodes=2)
    assert parents_by_code(again) == parents_by_code(some)
    assert {node.lifecycle for node in nodes(again)} == {Lifecycle.ACTIVE}


async def test_a_site_that_a_user_retired_or_moved_stays_as_it_is(session: AsyncSession) -> None:
    sites = await registered(session, sites=40, nodes=2)
    first, second = nodes(sites)
    child = next(site for site in sites.values() if site.parent_id == first.id)
    own = next(site for site in sites.values() if site.parent_id is None and site.kind is SiteKind.ACCESS_POINT)
    await patch(session, own, kind="node", name="Menara sendiri")
    await patch(session, child, parent_id=own.id)
    await registry.retire_site(session, str(second.id), caller=DEMO_CALLER)
    after = await registered(session, sites=40, nodes=2)
    assert after[child.host or ""].parent_id == own.id
    assert after[second.host or ""].lifecycle is Lifecycle.RETIRED
    assert second.id not in parents_by_code(after).values()


async def test_a_tower_that_a_user_renamed_stays_as_it_is(session: AsyncSession) -> None:
    sites = await registered(session, sites=40, nodes=1)
    (tower,) = nodes(sites)
    await patch(session, tower, name="Menara milik desa")
    after = await registered(session, sites=40)
    assert after[tower.host or ""].lifecycle is Lifecycle.ACTIVE
    assert parents_by_code(after) == parents_by_code(sites)


async def registered_by_code(session: AsyncSession, **script: Any) -> dict[str, Site]:
    """Start the demo's registration; return the sites by code."""
    await register(session, planned_sites(REGIONS_CSV, Script(**script)))
    sites = await session.scalars(select(Site).execution_options(populate_existing=True))
    return {site.code: site for site in sites}


def test_with_agents_sites_behind_carrier_nat_are_push_sites() -> None:
    active = [one.fields for one in planned_sites(REGIONS_CSV, Script(agents=AgentBehaviour())) if one.active]
    pushing = [fields for fields in active if fields["probe"] == "push"]
    assert {fields["technology"] for fields in pushing} == {"cellular", "leo", "geo"}
    assert 0.44 < len(pushing) / len(active) < 0.46
    assert {fields["host"] for fields in pushing} == {None}
    pinged = [fields for fields in active if fields["probe"] != "push"]
    assert {fields["technology"] for fields in pinged} == {"fiber"}
    assert all(fields["speed_url"] == f"http://{fields['host']}:8081/speed" for fields in pinged)


async def test_a_push_site_is_recognised_by_its_code(session: AsyncSession) -> None:
    first = await registered_by_code(session, sites=120, nodes=3, agents=AgentBehaviour())
    versions = {code: site.version for code, site in first.items()}
    pushing = [site for site in first.values() if site.probe is ProbeKind.PUSH]
    assert pushing
    assert {site.host for site in pushing} == {None}
    again = await registered_by_code(session, sites=120, nodes=3, agents=AgentBehaviour())
    assert {code: site.version for code, site in again.items()} == versions


async def test_a_demo_of_an_earlier_version_gets_its_agents_and_one_without_loses_them(session: AsyncSession) -> None:
    pinged = await registered_by_code(session, sites=60)
    hosts = {code: site.host for code, site in pinged.items()}
    ids = {code: site.id for code, site in pinged.items()}
    mixed = await registered_by_code(session, sites=60, agents=AgentBehaviour())
    assert {code: site.id for code, site in mixed.items()} == ids
    assert {site.probe for site in mixed.values() if site.technology != "fiber"} == {ProbeKind.PUSH}
    back = await registered_by_code(session, sites=60)
    assert {code: site.host for code, site in back.items()} == hosts
    assert {(site.probe, site.speed_url) for site in back.values()} == {(ProbeKind.ICMP, None)}


async def test_a_users_change_of_the_probe_stays_as_it_is(session: AsyncSession) -> None:
    sites = await registered_by_code(session, sites=30, agents=AgentBehaviour())
    one, other, *_ = (site for site in sites.values() if site.probe is ProbeKind.PUSH)
    fibre = next(site for site in sites.values() if site.probe is ProbeKind.ICMP)
    await patch(session, one, probe="icmp", host="127.77.0.1")
    await patch(session, other, host="127.77.0.2")
    await patch(session, fibre, speed_url="http://127.77.0.3/object")
    for says in (None, AgentBehaviour(), AgentBehaviour(all=True)):
        after = await registered_by_code(session, sites=30, agents=says)
        assert (after[one.code].probe, after[one.code].host) == (ProbeKind.ICMP, "127.77.0.1")
        assert (after[other.code].probe, after[other.code].host) == (ProbeKind.PUSH, "127.77.0.2")
        assert after[fibre.code].speed_url == "http://127.77.0.3/object"


async def test_every_agent_has_a_token_unless_a_user_created_or_revoked_one(session: AsyncSession) -> None:
    sites = await registered_by_code(session, sites=30, agents=AgentBehaviour())
    codes = [site.code for site in sites.values()]
    first, second, *others = (site for site in sites.values() if site.probe is ProbeKind.PUSH)

    async def good() -> dict[int, DeviceToken]:
        found = await session.scalars(select(DeviceToken).where(DeviceToken.revoked_at.is_(None)))
        return {one.site_id or 0: one for one in found}

    await create_device_tokens(session, "secret", codes)
    before = {site_id: one.id for site_id, one in (await good()).items()}
    assert set(before) == {first.id, second.id, *(site.id for site in others)}
    assert (await good())[first.id].digest == digest(token("secret", first.code))
    await agent_tokens.mint(session, first.id, by="sari")
    await agent_tokens.revoke(session, second.id, by="sari")
    for secret in ("secret", "another"):
        await create_device_tokens(session, secret, codes)
        assert (await good())[first.id].created_by == "sari"
        assert second.id not in await good()
    assert (await good())[others[0].id].digest == digest(token("another", others[0].code))
