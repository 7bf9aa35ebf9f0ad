"""`since`: who follows changes alone sees what who reads everything sees, and nobody learns of what is not theirs."""

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
class Wall:
    """A dashboard that reads everything once, and from then on only what changed."""

    person: Person
    params: dict[str, str] = field(default_factory=dict)
    version: str = ""
    sites: dict[int, dict[str, Any]] = field(default_factory=dict)

    async def read(self) -> None:
        answer = (await self.person.get("/status", params=self.params)).json()
        self.version, self.sites = answer["version"], {site["id"]: site for site in answer["sites"]}

    async def follow(self) -> set[int]:
        """The ids that it was told of."""
        answer = await self.person.get("/status", params=self.params | {"since": self.version})
        assert answer.status_code == 200, answer.text
        told = answer.json()
        self.version = told["version"]
        self.sites |= {site["id"]: site for site in told["changed"]}
        for gone in told["removed"]:
            self.sites.pop(gone, None)
        return {site["id"] for site in told["changed"]} | set(told["removed"])


async def test_following_changes_shows_what_reading_everything_shows(
    app: FastAPI, cast: Cast, session: AsyncSession
) -> None:
    draw = random.Random(5)
    app.state.snapshot.refresh_s = 0
    made = [await register(cast, village_code=VILLAGES[n % 3], host=f"198.51.100.{n + 1}") for n in range(6)]
    await publish(app)
    walls = [
        Wall(cast.sari),
        Wall(cast.ana),
        Wall(cast.ben),
        Wall(cast.icon),
        Wall(cast.sari, {"state": "down"}),
        Wall(cast.sari, {"region": "64.02.05"}),
        Wall(cast.vera, {"technology": "geo"}),
        Wall(cast.vera, {"provider": "iconplus", "state": "up"}),
    ]
    for wall in walls:
        await wall.read()
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
        for wall in draw.sample(walls, 3) if step < 59 else walls:
            await wall.follow()
            followed = wall.sites
            await wall.read()
            assert followed == wall.sites, (step, wall.params)


async def test_only_what_changed_is_told(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    one, other = await register(cast), await register(cast, host="198.51.100.2")
    await judge(session, one["id"], "up")
    await publish(app)
    wall = Wall(cast.vera)
    await wall.read()
    assert await wall.follow() == set()
    await judge(session, other["id"], "down")
    await publish(app)
    assert await wall.follow() == {other["id"]}
    assert await wall.follow() == set()


async def test_figures_alone_wait_for_the_refresh(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    made = await register(cast)
    await judge(session, made["id"], "up", age_s=20)
    await publish(app)
    wall = Wall(cast.vera)
    await wall.read()
    async with session.begin():  # another look of the same state
        await session.execute(
            text(
                "UPDATE site_status SET rtt_us = 44000, version = version + 1, "
                "evidence_at = evidence_at + interval '10 seconds'"
            )
        )
        await session.execute(text("UPDATE change_counter SET version = version + 1 WHERE name = 'status'"))
    await publish(app)
    assert await wall.follow() == set()
    app.state.snapshot.refresh_s = 0
    await publish(app)
    assert await wall.follow() == {made["id"]}
    assert wall.sites[made["id"]]["rtt_ms"] == 44.0


async def test_a_site_that_moved_away_is_removed_for_those_it_left_and_told_to_nobody_else(
    app: FastAPI, cast: Cast
) -> None:
    here, there = await register(cast), await register(cast, village_code=VILLAGES[2], host="198.51.100.2")
    await publish(app)
    ana, ben = Wall(cast.ana), Wall(cast.ben)
    await ana.read()
    await ben.read()
    await cast.sari.patch(f"/sites/{there['id']}", {"village_code": "64.03.01.2002"})
    await publish(app)
    assert await ana.follow() == set(), "another district's"
    assert await ben.follow() == {there["id"]}
    await cast.sari.patch(f"/sites/{here['id']}", {"village_code": VILLAGES[2]})
    await publish(app)
    assert await ana.follow() == {here["id"]}
    assert ana.sites == {}
    assert await ben.follow() == {here["id"]}
    assert len(ben.sites) == 2


async def test_ageing_is_told(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    made = await register(cast)
    await judge(session, made["id"], "up")
    await publish(app)
    wall = Wall(cast.vera)
    await wall.read()
    app.state.snapshot.tick(utc_now() + timedelta(seconds=151))
    assert await wall.follow() == {made["id"]}
    assert wall.sites[made["id"]]["state"] == "unknown"


async def test_a_version_that_nobody_remembers_is_gone_and_one_that_never_was_is_refused(
    app: FastAPI, cast: Cast
) -> None:
    await register(cast)
    await publish(app)
    wall = Wall(cast.vera)
    await wall.read()
    generation, *rest = wall.version.split(".")
    for old in (f"{int(generation) - 1}." + ".".join(rest), f"{generation}.0.0.0.0"):
        answer = await cast.vera.get("/status", params={"since": old})
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (410, "version-too-old")
        assert "without `since`" in answer.json()["detail"]
    for wrong in ("", "7", "a.b.c.d.e", "1.2.3.4.-5"):
        answer = await cast.vera.get("/status", params={"since": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "since")


async def test_a_replica_answers_for_another(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    """Two snapshots of one database, polled in turn."""
    made = [await register(cast, host=f"198.51.100.{n + 1}") for n in range(4)]
    mine: Snapshot = app.state.snapshot
    other = Snapshot(refresh_s=0)
    mine.refresh_s = 0
    wall, draw = Wall(cast.sari), random.Random(3)
    for started in (mine, other):
        await started.refresh(app.state.sessions)
        started.tick(utc_now() - timedelta(seconds=10))
    await wall.read()
    for _ in range(30):
        await judge(session, draw.choice(made)["id"], draw.choice(["up", "down"]))
        asked = draw.choice([mine, other])
        await asked.refresh(app.state.sessions)
        asked.tick(utc_now())
        app.state.status_renderer._snapshot = asked
        await wall.follow()
    for last in (mine, other):
        await last.refresh(app.state.sessions)
        last.tick(utc_now())
    await wall.follow()
    assert {site["code"]: site for site in wall.sites.values()} == await status(app, cast.sari)


async def test_a_restored_database_is_read_anew(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    made = await register(cast)
    await publish(app)
    wall = Wall(cast.sari)
    await wall.read()
    async with session.begin():
        await session.execute(text("DELETE FROM site_status"))
        await session.execute(text("UPDATE change_counter SET version = version + 5 WHERE name = 'generation'"))
    await publish(app)
    assert (await cast.sari.get("/status", params={"since": wall.version})).status_code == 410
    await wall.read()
    assert made["id"] not in wall.sites


@pytest.mark.parametrize("behind", [0, 1, 2, 3])
def test_an_answer_to_who_saw_more_tells_only_what_both_have_seen(behind: int) -> None:
    seen = Version(1, 5, 5, 5, 5_000)
    ours = seen._replace(**{("status", "registry", "incident", "ms")[behind]: 4})
    assert ours.merged_with(seen) == ours
    assert seen.merged_with(ours) == seen
    mixed = ours._replace(ms=9_000) if behind < 3 else ours._replace(status=9)
    assert mixed.merged_with(seen) == ours
