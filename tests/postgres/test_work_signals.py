"""Queued work is signalled at the commit to who leads; a signal that is lost costs half a minute at most."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from app.core.clock import utc_now
from app.postgres.engine import Counter, Sessions, next_version, open_engine, open_sessions, transaction
from app.postgres.leader_lock import LeaderLock
from app.postgres.work_signals import SWEEP_S, Work, WorkSignals, announce
from app.push import inbox
from app.push.inbox import Delivery
from tests.conftest import drop_database, make_database

CUT = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE application_name = 'sinyal worker lock' AND datname = current_database()
"""


def test_work_is_due_when_signalled_or_swept_and_always_while_nobody_listens() -> None:
    now = [0.0]
    signals = WorkSignals(lambda: now[0])
    assert [signals.take(Work.INBOX) for _ in range(2)] == [True, True]
    signals.listen()
    assert [signals.take(Work.INBOX) for _ in range(2)] == [True, False], "what came before is unknown"
    signals.signal("inbox")
    signals.signal("a kind of a newer version")
    assert not [kind for kind in Work if kind is not Work.INBOX and signals.take(kind) is False]
    assert [signals.take(Work.INBOX) for _ in range(2)] == [True, False]
    now[0] = SWEEP_S
    assert [signals.take(Work.INBOX) for _ in range(2)] == [True, False]
    signals.stop()
    assert [signals.take(Work.INBOX) for _ in range(2)] == [True, True]


@pytest.mark.parametrize("turns", range(5))
async def test_who_is_signalled_and_ended_at_once_ends(turns: int) -> None:
    """`asyncio.wait_for` of Python 3.11 returns instead: a job went on for ever, and its process did not stop."""
    signals = WorkSignals()
    signals.listen()
    waiting = asyncio.create_task(signals.wait(Work.DELIVERIES, 3600))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    signals.signal("deliveries")
    for _ in range(turns):
        await asyncio.sleep(0)
    if waiting.cancel():
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_whoever_waits_goes_on_when_work_is_signalled_and_does_not_wait_while_nobody_listens() -> None:
    signals = WorkSignals()
    await signals.wait(Work.ANNOUNCEMENTS, 3600)
    signals.listen()
    signals.signal("announcements")
    await signals.wait(Work.ANNOUNCEMENTS, 3600)
    assert signals.take(Work.ANNOUNCEMENTS)
    reasons: tuple[Callable[[], None], ...] = (partial(signals.signal, "announcements"), signals.stop)
    for go_on in reasons:
        waiting = asyncio.create_task(signals.wait(Work.ANNOUNCEMENTS, 3600))
        await asyncio.sleep(0)
        signals.signal("deliveries")
        await asyncio.sleep(0)
        assert not waiting.done()
        go_on()
        await asyncio.wait_for(waiting, 5)
        signals.take(Work.ANNOUNCEMENTS)
    signals.listen()
    await signals.wait(Work.DELIVERIES, 0.01)


@pytest.fixture
async def url(server_url: str, migrated_template: str) -> AsyncIterator[str]:
    url = await make_database(server_url, migrated_template)
    yield url
    await drop_database(url, server_url)


@pytest.fixture
async def sessions(url: str) -> AsyncIterator[Sessions]:
    engine = open_engine(url, name="test")
    yield open_sessions(engine)
    await engine.dispose()


async def taken(signals: WorkSignals) -> set[Work]:
    """Return what is due, after what was notified had its time to arrive."""
    await asyncio.sleep(0.1)
    return {kind for kind in Work if signals.take(kind)}


async def test_whoever_leads_is_told_of_committed_work_alone_and_after_a_cut_looks_once_at_all(
    url: str, sessions: Sessions
) -> None:
    leader = LeaderLock(url)
    assert await leader.try_win()
    assert await taken(leader.signals) == set(Work)
    assert await taken(leader.signals) == set()
    async with transaction(sessions) as session:
        await inbox.enqueue(session, [Delivery.heartbeat(utc_now())])
        await next_version(session, Counter.REGISTRY)
        assert await taken(leader.signals) == set(), "not committed"
    assert await taken(leader.signals) == {
        Work.INBOX,
        Work.REGISTRY,
        Work.SPEEDTESTS,
        Work.ASSIGNMENT,
    }
    async with sessions() as session:
        await announce(session, Work.DIAGNOSES)
        await session.rollback()
    assert await taken(leader.signals) == set()

    keeping = asyncio.create_task(leader.wait_until_lost())
    administrator = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(False))
    await administrator.execute(CUT)
    await administrator.close()
    await asyncio.sleep(0.1)
    assert leader.signals.take(Work.INBOX)
    assert leader.signals.take(Work.INBOX), "nobody listens"
    async with asyncio.timeout(10):
        while leader.signals.take(Work.INBOX):  # noqa: ASYNC110  # until it listens again
            await asyncio.sleep(0.05)
    assert await taken(leader.signals) == set(Work) - {Work.INBOX}
    async with transaction(sessions) as session:
        await next_version(session, Counter.ALERT)
    assert await taken(leader.signals) == {Work.ANNOUNCEMENTS, Work.DELIVERIES}
    keeping.cancel()
    await leader.release()
