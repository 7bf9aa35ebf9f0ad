"""A site's kind counts from the second of its change on, and not before."""

from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.tally import Tally
from app.core.clock import floor_second, utc_now
from tests.conftest import Cast
from tests.support.site_histories import day, site_since
from tests.support.uptime import count, get


async def test_a_kind_counts_from_the_second_of_its_change_on(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(2), (day(1, 5), "down"), (day(1, 6), "up"))
    await count(session)
    period = {"from": day(2), "to": utc_now() + timedelta(hours=1)}
    assert (await cast.ana.patch(f"/sites/{site}", {"kind": "node"})).status_code == 200
    changed = floor_second(utc_now())
    total = (await get(cast.sari, "/regions/64.02/uptime", **period))["total"]
    counted = {name: seconds for name, seconds in total["seconds"].items() if seconds}
    assert counted.pop("up") in {round((changed - day(2)).total_seconds()) - 3600 - late for late in range(3)}
    assert (counted, total["sites"], total["outages"]) == ({"down": 3600}, 1, 1)


async def test_a_change_to_and_fro_within_a_second_leaves_no_trace(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(2), (day(1, 5), "down"), (day(1, 6), "up"))
    before = (await get(cast.sari, "/regions/64.02/uptime", **{"from": day(2), "to": day(0)}))["total"]
    for _ in range(3):
        for kind in ("node", "access_point"):
            assert (await cast.ana.patch(f"/sites/{site}", {"kind": kind})).status_code == 200
    await cast.ana.delete(f"/sites/{site}")
    assert (await get(cast.sari, "/regions/64.02/uptime", **{"from": day(2), "to": day(0)}))["total"] == before
    async with session.begin():
        rows = (
            await session.execute(
                text(
                    "SELECT started_at, ended_at FROM site_configuration WHERE site_id = :id ORDER BY started_at",
                ),
                {"id": site},
            )
        ).all()
    assert all(earlier.ended_at == later.started_at for earlier, later in pairwise(rows))


def test_a_tally_is_never_negative() -> None:
    tally = Tally()
    with pytest.raises(AssertionError, match="more was counted than was configured"):
        tally.set_inactive(-1)
