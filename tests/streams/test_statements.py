"""What a stream says of a second."""

import sys
from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, utc_now
from app.judging.models import Blind
from app.streams import store
from app.streams.break_bounds import Break, SeenBy
from app.streams.statements import statements_at
from app.witnesses.kinds import Says, WitnessKind
from probes.contract import SILENCE
from tests.conftest import Cast
from tests.factories import register


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "NOW", floor_second(utc_now()))


NOW = floor_second(utc_now())  # of each test


def ago(seconds: int) -> datetime:
    return NOW - timedelta(seconds=seconds)


async def site_with(session: AsyncSession, cast: Cast, by: SeenBy = SeenBy.SERVER) -> int:
    """Heard for ten minutes until five minutes ago, with a break in it; and again since three minutes ago."""
    site_id = int((await register(cast, probe="push", host=None))["id"])
    spans = [(ago(900), ago(600)), (ago(540), ago(300)), (ago(180), NOW)]
    async with session.begin():
        await store.write_spans(
            session, [{"site_id": site_id, "started_at": a, "ended_at": b, "beat_s": 30} for a, b in spans]
        )
        bounds = Break(ago(600), ago(580), ago(560), ago(540), by, ago(540))
        await store.record_seen(session, [(site_id, bounds)])
    return site_id


async def said(session: AsyncSession, site_id: int, at: datetime) -> list[Says]:
    async with session.begin():
        statements = await statements_at(session, site_id, at)
    assert {one.witness for one in statements} <= {WitnessKind.STREAM}
    return [one.says for one in statements]


async def test_it_says_up_where_it_was_heard_down_where_it_certainly_was_not_and_nothing_between(
    session: AsyncSession, cast: Cast
) -> None:
    site_id = await site_with(session, cast)
    assert await said(session, site_id, ago(700)) == [Says.UP]
    assert await said(session, site_id, ago(590)) == [Says.NOTHING]
    assert await said(session, site_id, ago(570)) == [Says.DOWN]
    assert await said(session, site_id, ago(545)) == [Says.NOTHING]
    assert await said(session, site_id, ago(240)) == [], "no stream was heard then"
    assert await said(session, site_id, ago(5)) == [Says.UP]


async def test_a_stretch_that_lasts_has_no_end(session: AsyncSession, cast: Cast) -> None:
    site_id = await site_with(session, cast)
    async with session.begin():
        (earlier,), (latest,) = (
            await statements_at(session, site_id, ago(700)),
            await statements_at(session, site_id, ago(5)),
        )
    assert (earlier.ended_at, latest.ended_at) == (ago(600), None)


async def test_what_only_the_server_saw_around_a_stop_of_ours_says_nothing(session: AsyncSession, cast: Cast) -> None:
    for by, says in ((SeenBy.SERVER, Says.NOTHING), (SeenBy.DEVICE, Says.DOWN)):
        site_id = await site_with(session, cast, by)
        async with session.begin():
            session.add(Blind(source=SILENCE, started_at=ago(575), ended_at=ago(572), reason="ingest"))
        assert await said(session, site_id, ago(570)) == [says]


async def test_old_streams_are_forgotten(session: AsyncSession, cast: Cast) -> None:
    site_id = await site_with(session, cast)
    async with session.begin():
        await store.delete_old(session, ago(400))
    assert await said(session, site_id, ago(570)) == []
    assert await said(session, site_id, ago(350)) == [Says.UP]


async def test_a_stream_is_among_the_witnesses_of_a_second(session: AsyncSession, cast: Cast) -> None:
    site_id = await site_with(session, cast, SeenBy.DEVICE)
    shown = (await cast.ana.get(f"/sites/{site_id}/evidence", params={"at": ago(570).isoformat()})).json()
    assert [(one["witness"], one["says"], one["counts"]) for one in shown["statements"]] == [("stream", "down", False)]
