"""What is known in memory of a site follows the registry."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, utc_now
from app.worker.process import Worker
from probes.contract import Outcome, Reading
from tests.conftest import Cast
from tests.factories import register
from tests.support.rejudged_village import backdate
from tests.worker.conftest import put


@dataclass
class LookedAt:
    """A site that answers, in slots from `now` on."""

    worker: Worker
    id: int
    now: int

    async def look(self, second: int) -> int:
        """Return how many looks at it were judged at once until now."""
        since = self.worker.context.schedule.plans[self.id].addressed_at
        put(self.worker, [(Reading(self.id, self.now + second, Outcome.OK, 3, (600_000,) * 3, 60), since)])
        assert await self.worker.writer.write()
        return self.worker.context.counters.judged_at_once


@pytest.fixture
async def site(worker: Worker, cast: Cast, session: AsyncSession) -> LookedAt:
    """By satellite, registered a while ago, up since five minutes."""
    made = await register(cast, host="127.7.7.7", technology="geo")
    await backdate(session, floor_second(utc_now()) - timedelta(hours=1))
    await worker.start()
    site = LookedAt(worker, made["id"], worker.context.slot)
    assert [await site.look(second) for second in range(-300, 0, 60)] == [0, 1, 2, 3, 4], "all but the first answer"
    return site


@pytest.mark.parametrize(
    ("change", "second", "at_once"), [({"host": "127.7.7.8"}, 3600, 4), ({"notes": "changed"}, -20, 5)]
)
async def test_the_next_look_at_a_site_that_was_configured_anew_is_seen_by_the_judge(
    cast: Cast, site: LookedAt, change: dict[str, str], second: int, at_once: int
) -> None:
    await cast.sari.patch(f"/sites/{site.id}", change)
    await site.worker.registry_refresh.refresh()
    assert await site.look(second) == at_once
    assert await site.look(second + 10) == at_once + 1


async def test_steady_looks_since_a_change_of_technology_are_judged_again_by_it(
    cast: Cast, session: AsyncSession, site: LookedAt
) -> None:
    """A round trip that is well by satellite and slow by fibre."""
    await cast.sari.patch(f"/sites/{site.id}", {"technology": "fiber"})
    async with session.begin():
        for statement in (
            "UPDATE site_configuration SET ended_at = now() - interval '200 seconds' WHERE ended_at IS NOT NULL",
            "UPDATE site_configuration SET started_at = now() - interval '200 seconds' WHERE ended_at IS NULL",
        ):
            await session.execute(text(statement))
    await site.worker.registry_refresh.refresh()
    async with session.begin():
        assert await session.scalar(text("SELECT state FROM site_status")) == "degraded"
    assert await site.look(0) == 4


async def test_an_orderly_end_leaves_nothing_unwritten(session: AsyncSession, site: LookedAt) -> None:
    last = site.worker.context.judging.table.seen_at(site.id)
    await site.worker.stop()
    async with session.begin():
        assert await session.scalar(text("SELECT seen_at FROM site_status")) == last
