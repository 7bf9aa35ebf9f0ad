"""Writing many sites at once: codes, conflicts, and their audit entries."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Audit, Role
from app.access.scope import Caller
from app.core.clock import utc_now
from app.core.errors import NotAllowed
from app.registry import conflicts, drafts, store, writer
from app.registry.drafts import Draft
from app.registry.models import RegionAlias, Site, SiteConfiguration, SiteStatus
from app.registry.schemas import SiteIn, SitePatch
from probes.policy import AddressPolicy
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, VILLAGE, register, site

SARI = Caller(1, "sari", Role.PROVINCE_ADMIN, "64")
ANA = Caller(2, "ana", Role.DISTRICT_OPERATOR, "64.02")


async def checked(session: AsyncSession, wanted: list[Draft], *, caller: Caller = SARI) -> list[Draft]:
    references = await writer.load_references(session, wanted, caller=caller)
    assert [writer.check(draft, references, policy=AddressPolicy()) for draft in wanted] == [[] for _ in wanted]
    return wanted


async def change(session: AsyncSession, registered: dict[str, Any], **changes: Any) -> Draft:
    registered_site, _ = await store.get_site(session, registered["code"], caller=SARI)
    return drafts.change(registered_site, SitePatch(**changes))


async def entries(session: AsyncSession) -> list[tuple[Any, ...]]:
    rows = await session.scalars(select(Audit).where(Audit.object == "site").order_by(Audit.id))
    return [(row.action, row.object_id, row.region_code, row.before, row.after) for row in rows]


async def test_many_sites_are_created_under_one_version_with_consecutive_codes(
    cast: Cast, session: AsyncSession
) -> None:
    await register(cast)
    new = [
        drafts.new(SiteIn(**site(host=f"198.51.100.{n}", village_code=village)))
        for n, village in ((1, VILLAGE), (2, BERAU_VILLAGE), (3, VILLAGE))
    ]
    async with session.begin():
        assert await writer.write(session, await checked(session, new), caller=SARI) == 3
        made = list(await session.scalars(select(Site).where(Site.code != f"{VILLAGE}-01").order_by(Site.id)))
        assert [new_site.code for new_site in made] == [f"{VILLAGE}-02", f"{BERAU_VILLAGE}-01", f"{VILLAGE}-03"]
        assert len({new_site.version for new_site in made}) == 1
        for table in (SiteStatus, SiteConfiguration):
            ids = await session.scalars(select(table.site_id).order_by(table.site_id))
            assert set(ids) >= {new_site.id for new_site in made}
    assert [entry[:3] for entry in await entries(session)][1:] == [
        ("create", new_site.code, new_site.village_code) for new_site in made
    ]


async def test_sites_swap_their_addresses_and_one_takes_a_retired_ones(cast: Cast, session: AsyncSession) -> None:
    made = [await register(cast, host=f"198.51.100.{n}") for n in (1, 2, 3)]
    async with session.begin():
        wanted = [
            await change(session, made[0], host="198.51.100.2"),
            await change(session, made[1], host="198.51.100.1"),
            await change(session, made[2], lifecycle="retired"),
            drafts.new(SiteIn(**site(host="198.51.100.3"))),
        ]
        assert await conflicts.find(session, await checked(session, wanted), caller=SARI) == {}
        assert await writer.write(session, wanted, caller=SARI) == 4
    async with session.begin():
        hosts = (await session.execute(select(Site.host, Site.lifecycle).order_by(Site.id))).all()
    assert [tuple(row) for row in hosts] == [
        ("198.51.100.2", "active"),
        ("198.51.100.1", "active"),
        ("198.51.100.3", "retired"),
        ("198.51.100.3", "active"),
    ]


async def test_an_address_in_use_or_claimed_twice_is_a_conflict(cast: Cast, session: AsyncSession) -> None:
    await register(cast, host="198.51.100.1")
    hosts = ["198.51.100.1", "198.51.100.2", "198.51.100.2", "198.51.100.3"]
    wanted = [drafts.new(SiteIn(**site(host=host))) for host in hosts]
    async with session.begin():
        conflicting = await conflicts.find(session, await checked(session, wanted), caller=SARI)
    assert list(conflicting) == wanted[:3]
    assert (conflicting[wanted[0]].others, conflicting[wanted[1]].others) == ((), [wanted[2]])


async def test_a_claim_on_an_address_that_is_not_released_is_a_conflict(cast: Cast, session: AsyncSession) -> None:
    made = [await register(cast, host=f"198.51.100.{n}") for n in (1, 2, 3, 4)]
    async with session.begin():
        wanted = [
            await change(session, made[0], host="198.51.100.2"),
            await change(session, made[1], host="198.51.100.3"),  # which the third site keeps
            drafts.new(SiteIn(**site(host="198.51.100.1"))),
            await change(session, made[3], host="198.51.100.9"),
        ]
        assert set(await conflicts.find(session, await checked(session, wanted), caller=SARI)) == set(wanted[:3])


async def test_a_cycle_that_two_changes_close_together_is_found(cast: Cast, session: AsyncSession) -> None:
    towers = [await register(cast, kind="node", host=f"198.51.100.{n}") for n in (1, 2, 3)]
    async with session.begin():
        wanted = [
            await change(session, towers[0], parent_id=towers[1]["id"]),
            await change(session, towers[1], parent_id=towers[0]["id"]),
            await change(session, towers[2], parent_id=towers[0]["id"]),
        ]
        conflicting = await conflicts.find(session, await checked(session, wanted), caller=SARI)
        assert {draft: conflict.fault.code for draft, conflict in conflicting.items()} == dict.fromkeys(
            wanted[:2], "cycle"
        )
        assert await conflicts.find(session, wanted[1:], caller=SARI) == {}


async def test_nothing_is_written_out_of_scope(cast: Cast, session: AsyncSession) -> None:
    made = await register(cast, village_code=BERAU_VILLAGE)
    for draft in (drafts.new(SiteIn(**site(village_code=BERAU_VILLAGE))), await change(session, made, ssid="x")):
        with pytest.raises(NotAllowed):
            await writer.write(session, await checked(session, [draft]), caller=ANA)


async def test_a_villages_former_code_finds_it(cast: Cast, session: AsyncSession) -> None:
    await session.rollback()
    async with session.begin():
        session.add(RegionAlias(code="64.02.99.2003", region_code=VILLAGE))
    made = await register(cast, village_code="64.02.99.2003")
    assert (made["village_code"], made["code"]) == (VILLAGE, f"{VILLAGE}-01")


async def test_every_write_is_audited_with_its_changes_and_masked_contacts(cast: Cast, session: AsyncSession) -> None:
    made = await register(cast, contact_name="Ibu Rina")
    await cast.ana.patch(f"/sites/{made['id']}", {"ssid": "Desa", "provider": "iconplus", "name": made["name"]})
    await cast.ana.patch(f"/sites/{made['id']}", {"ssid": "Desa"})
    await cast.ana.delete(f"/sites/{made['id']}")
    await cast.ana.delete(f"/sites/{made['id']}")
    created, *changed = await entries(session)
    code = made["code"]
    assert created[:4] == ("create", code, VILLAGE, None)
    assert created[4]["contact_name"] == "***"
    assert (created[4]["host"], created[4]["provider"], "ssid" in created[4]) == (made["host"], "telkom-wms", False)
    assert changed == [
        ("change", code, VILLAGE, {"ssid": None, "provider": "telkom-wms"}, {"ssid": "Desa", "provider": "iconplus"}),
        ("retire", code, VILLAGE, {"lifecycle": "active"}, {"lifecycle": "retired"}),
    ]


@pytest.mark.parametrize(
    ("registered", "unused"),
    [
        ({"host": "198.51.100.1"}, {"port": 8080, "url": "https://198.51.100.1/"}),
        ({"host": "198.51.100.1", "probe": "tcp", "port": 80}, {"url": "https://198.51.100.1/"}),
        ({"host": "198.51.100.1", "probe": "http", "url": "http://198.51.100.1/"}, {"port": 8080}),
        ({"host": None, "probe": "push"}, {"host": "198.51.100.2", "port": 80, "url": "https://198.51.100.2/"}),
    ],
)
async def test_what_its_probe_does_not_use_is_no_new_address(
    cast: Cast, session: AsyncSession, registered: dict[str, Any], unused: dict[str, Any]
) -> None:
    made = await register(cast, **registered)
    since = utc_now() - timedelta(days=1)
    async with session.begin():
        await session.execute(update(Site).values(addressed_at=since))
    for name, value in unused.items():
        answer = await cast.ana.patch(f"/sites/{made['id']}", {name: value})
        assert answer.status_code == 200, answer.text
    async with session.begin():
        assert await session.scalar(select(Site.addressed_at)) == since
