"""Causes set by people: over the ledger, one at a time, withdrawn and never deleted."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, utc_now
from app.incidents import outage_causes
from app.incidents.models import OutageCause
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from app.registry.models import Cause
from tests.conftest import Cast
from tests.factories import register

NOW = floor_second(utc_now())
HOUR = timedelta(hours=1)


def at(hours: float) -> datetime:
    return NOW + hours * HOUR


async def set_cause(
    session: AsyncSession, site_ids: list[int], start: float, end: float | None, cause: Cause, by: str = "ana"
) -> None:
    async with session.begin():
        await outage_causes.set_cause(session, site_ids, at(start), None if end is None else at(end), cause, by)


async def get_causes(session: AsyncSession, *site_ids: int, start: float = -24, end: float = 0) -> dict[int, Any]:
    async with session.begin():
        found = await outage_causes.causes_of(session, site_ids, at(start), at(end))
    return {
        site_id: [((r.started_at - NOW) / HOUR, (r.ended_at - NOW) / HOUR, r.cause.value) for r in ranges]
        for site_id, ranges in found.items()
    }


async def test_a_later_cause_replaces_an_earlier_one_only_where_they_overlap(cast: Cast, session: AsyncSession) -> None:
    site = (await register(cast))["id"]
    await set_cause(session, [site], -8, -2, Cause.LINK)
    await set_cause(session, [site], -6, -4, Cause.POWER, by="sari")
    expected = [(-8, -6, "link"), (-6, -4, "power"), (-4, -2, "link")]
    assert await get_causes(session, site) == {site: expected}
    async with session.begin():
        rows = (await session.scalars(select(OutageCause).order_by(OutageCause.id))).all()
    assert [(row.cause, row.withdrawn_at is None, row.confirmed_by) for row in rows] == [
        ("link", False, "ana"),
        ("link", True, "ana"),
        ("link", True, "ana"),
        ("power", True, "sari"),
    ]


async def test_setting_a_cause_twice_is_setting_it_once(cast: Cast, session: AsyncSession) -> None:
    site = (await register(cast))["id"]
    for _ in range(2):
        await set_cause(session, [site, site], -3, -1, Cause.DEVICE)
    assert await get_causes(session, site) == {site: [(-3, -1, "device")]}


async def test_an_outage_that_still_runs_has_its_cause_for_as_long_as_it_lasts(
    cast: Cast, session: AsyncSession
) -> None:
    site = (await register(cast))["id"]
    await set_cause(session, [site], -3, None, Cause.POWER)
    assert await get_causes(session, site, start=-2, end=5) == {site: [(-2, 5, "power")]}
    await set_cause(session, [site], -2, -1, Cause.LINK)
    assert await get_causes(session, site) == {site: [(-3, -2, "power"), (-2, -1, "link")]}, "it lasted until then"
    await set_cause(session, [site], -3, None, Cause.WEATHER)
    assert await get_causes(session, site) == {site: [(-3, 0, "weather")]}


async def test_several_sites_get_one_cause_and_the_others_keep_theirs(cast: Cast, session: AsyncSession) -> None:
    one, two, three = [(await register(cast, host=f"198.51.100.{n}"))["id"] for n in range(1, 4)]
    await set_cause(session, [one, two, three], -5, -4, Cause.PROVIDER)
    await set_cause(session, [two], -5, -4, Cause.QUOTA)
    assert await get_causes(session, one, two) == {one: [(-5, -4, "provider")], two: [(-5, -4, "quota")]}
    assert await get_causes(session, three, start=-4) == {}


async def test_what_a_cause_lies_over_is_counted_again_as_far_as_it_has_been(
    cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans: list[DirtyRange] = []

    async def touch(session: AsyncSession, given: Any, *, reason: str = "") -> None:
        spans.extend(given)

    monkeypatch.setattr(invalidation, "invalidate", touch)
    site = (await register(cast))["id"]
    await set_cause(session, [site], -5, -4, Cause.LINK)
    await set_cause(session, [site], -2, None, Cause.LINK)
    assert spans[0] == DirtyRange(site, at(-5), at(-4))
    assert spans[1].start == at(-2)
    assert abs(spans[1].end - utc_now()) < timedelta(minutes=1)
