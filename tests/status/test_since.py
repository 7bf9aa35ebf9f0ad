"""`since`: a client that applies changes has what a full read returns, and receives nothing outside its scope."""

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.status.snapshot import Snapshot
from app.status.version import Version
from tests.conftest import Cast, Person
from tests.factories import register
from tests.support.status import judge, publish, status

VILLAGES = ("64.02.05.2003", "64.02.06.1001", "64.03.01.2001")


@dataclass
class Dashboard:
    """A client that reads the full status once and from then on only changes."""

    person: Person
    params: dict[str, str] = field(default_factory=dict)
    version: str = ""
    sites: dict[int, dict[str, Any]] = field(default_factory=dict)

    async def read(self) -> None:
        answer = (await self.person.get("/status", params=self.params)).json()
        self.version, self.sites = answer["version"], {site["id"]: site for site in answer["sites"]}

    async def apply_changes(self) -> set[int]:
        """Apply the changes since the last call; return the ids of the sites in them."""
        answer = await self.person.get("/status", params=self.params | {"since": self.version})
        assert answer.status_code == 200, answer.text
        changes = answer.json()
        self.version = changes["version"]
        self.sites |= {site["id"]: site for site in changes["changed"]}
        for site_id in changes["removed"]:
            self.sites.pop(site_id, None)
        return {site["id"] for site in changes["changed"]} | set(changes["removed"])


async def test_applying_changes_gives_what_a_full_read_gives(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    draw = random.Random(5)
    app.state.snapshot.refresh_s = 0
    made = [await register(cast, village_code=VILLAGES[n % 3], host=f"198.51.100.{n + 1}") for n in range(6)]
    await publish(app)
    dashboards = [
        Dashboard(cast.sari),
        Dashboard(cast.ana),
        Dashboard(cast.ben),
        Dashboard(cast.icon),
        Dashboard(cast.sari, {"state": "down"}),
        Dashboard(cast.sari, {"region": "64.02.05"}),
        Dashboard(cast.vera, {"technology": "geo"}),
        Dashboard(cast.vera, {"provider": "iconplus", "state": "up"}),
    ]
    for dashboard in dashboards:
        await dashboard.read()
    for step in range(60):
        site = draw.choice(made)
        change = draw.randrange(5)
        if change < 2:
            await judge(session, site["id"], draw.choice(["up", "down"]), rtt_us=draw.randrange(9_000, 99_000))
        elif change == 2:
            lifecycle = draw.choice(["active", "suspended"])
            assert (await cast.sari.patch(f"/sites/{site['id']}", {"lifecycle": lifecycle})).is_success
        elif change == 3:
            new = {"village_code": draw.choice(VILLAGES), "provider": draw.choice(["telkom-wms", "iconplus"])}
            assert (await cast.sari.patch(f"/sites/{site['id']}", new)).is_success
        else:
            new = {"technology": draw.choice(["fiber", "geo"])}
            assert (await cast.sari.patch(f"/sites/{site['id']}", new)).is_success
        await publish(app)
        for dashboard in draw.sample(dashboards, 3) if step < 59 else dashboards:
            await dashboard.apply_changes()
            followed = dashboard.sites
            await dashboard.read()
            assert followed == dashboard.sites, (step, dashboard.params)


async def test_only_changed_sites_are_returned(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    one, other = await register(cast), await register(cast, host="198.51.100.2")
    await judge(session, one["id"], "up")
    await publish(app)
    dashboard = Dashboard(cast.vera)
    await dashboard.read()
    assert await dashboard.apply_changes() == set()
    await judge(session, other["id"], "down")
    await publish(app)
    assert await dashboard.apply_changes() == {other["id"]}
    assert await dashboard.apply_changes() == set()


async def test_figures_alone_wait_for_the_refresh(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    made = await register(cast)
    await judge(session, made["id"], "up", age_s=20)
    await publish(app)
    dashboard = Dashboard(cast.vera)
    await dashboard.read()
    async with session.begin():  # another look of the same state
        await session.execute(
            text(
                "UPDATE site_status SET rtt_us = 44000, version = version + 1, "
                "evidence_at = evidence_at + interval '10 seconds'"
            )
        )
        await session.execute(text("UPDATE change_counter SET version = version + 1 WHERE name = 'status'"))
    await publish(app)
    assert await dashboard.apply_changes() == set()
    app.state.snapshot.refresh_s = 0
    await publish(app)
    assert await dashboard.apply_changes() == {made["id"]}
    assert dashboard.sites[made["id"]]["rtt_ms"] == 44.0


async def test_a_site_that_moved_away_is_removed_for_its_former_scope_and_nobody_else_is_told(
    app: FastAPI, cast: Cast
) -> None:
    here, there = await register(cast), await register(cast, village_code=VILLAGES[2], host="198.51.100.2")
    await publish(app)
    ana, ben = Dashboard(cast.ana), Dashboard(cast.ben)
    await ana.read()
    await ben.read()
    await cast.sari.patch(f"/sites/{there['id']}", {"village_code": "64.03.01.2002"})
    await publish(app)
    assert await ana.apply_changes() == set(), "another district's"
    assert await ben.apply_changes() == {there["id"]}
    await cast.sari.patch(f"/sites/{here['id']}", {"village_code": VILLAGES[2]})
    await publish(app)
    assert await ana.apply_changes() == {here["id"]}
    assert ana.sites == {}
    assert await ben.apply_changes() == {here["id"]}
    assert len(ben.sites) == 2


async def test_ageing_is_a_change(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    made = await register(cast)
    await judge(session, made["id"], "up")
    await publish(app)
    dashboard = Dashboard(cast.vera)
    await dashboard.read()
    app.state.snapshot.tick(utc_now() + timedelta(seconds=151))
    assert await dashboard.apply_changes() == {made["id"]}
    assert dashboard.sites[made["id"]]["state"] == "unknown"


async def test_a_version_that_is_too_old_is_gone_and_an_invalid_one_is_refused(app: FastAPI, cast: Cast) -> None:
    await register(cast)
    await publish(app)
    dashboard = Dashboard(cast.vera)
    await dashboard.read()
    generation, *rest = dashboard.version.split(".")
    for old in (f"{int(generation) - 1}." + ".".join(rest), f"{generation}.0.0.0.0"):
        answer = await cast.vera.get("/status", params={"since": old})
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (410, "version-too-old")
        assert "without `since`" in answer.json()["detail"]
    for wrong in ("", "7", "a.b.c.d.e", "1.2.3.4.-5"):
        answer = await cast.vera.get("/status", params={"since": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "since")


async def test_a_replica_responds_to_a_version_of_another(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    """Two snapshots of one database, polled in turn."""
    made = [await register(cast, host=f"198.51.100.{n + 1}") for n in range(4)]
    mine: Snapshot = app.state.snapshot
    other = Snapshot(refresh_s=0)
    mine.refresh_s = 0
    dashboard, draw = Dashboard(cast.sari), random.Random(3)
    for started in (mine, other):
        await started.refresh(app.state.sessions)
        started.tick(utc_now() - timedelta(seconds=10))
    await dashboard.read()
    for _ in range(30):
        await judge(session, draw.choice(made)["id"], draw.choice(["up", "down"]))
        asked = draw.choice([mine, other])
        await asked.refresh(app.state.sessions)
        asked.tick(utc_now())
        app.state.status_renderer._snapshot = asked
        await dashboard.apply_changes()
    for last in (mine, other):
        await last.refresh(app.state.sessions)
        last.tick(utc_now())
    await dashboard.apply_changes()
    assert {site["code"]: site for site in dashboard.sites.values()} == await status(app, cast.sari)


async def test_a_restored_database_invalidates_versions(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    made = await register(cast)
    await publish(app)
    dashboard = Dashboard(cast.sari)
    await dashboard.read()
    async with session.begin():
        await session.execute(text("DELETE FROM site_status"))
        await session.execute(text("UPDATE change_counter SET version = version + 5 WHERE name = 'generation'"))
    await publish(app)
    assert (await cast.sari.get("/status", params={"since": dashboard.version})).status_code == 410
    await dashboard.read()
    assert made["id"] not in dashboard.sites


@pytest.mark.parametrize("behind", [0, 1, 2, 3])
def test_the_version_of_a_change_is_the_older_of_both_in_each_counter(behind: int) -> None:
    seen = Version(1, 5, 5, 5, 5_000)
    ours = seen._replace(**{("status", "registry", "incident", "ms")[behind]: 4})
    assert ours.merged_with(seen) == ours
    assert seen.merged_with(ours) == seen
    mixed = ours._replace(ms=9_000) if behind < 3 else ours._replace(status=9)
    assert mixed.merged_with(seen) == ours
