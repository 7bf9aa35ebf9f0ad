"""What was acknowledged is there once: whoever sends it twice, to whichever process, and whatever dies meanwhile."""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.api.app import API
from app.core.clock import utc_now
from app.core.errors import Unavailable
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine, open_sessions
from app.push import group_commit, receipts
from app.push import parser as rows
from app.push.dedupe import Arrived
from app.push.group_commit import Ingest
from app.push.timestamps import Terms, place
from tests.conftest import make_database
from tests.push.fleet import fill
from tests.support.agent_fixtures import SITES
from tests.support.demo_process import wait_for
from tests.support.killing import Api

TERMS = Terms("active", 0, 60, 60)
BOOTS = count()


@pytest.fixture
async def own(fleet: tuple[str, list[str]]) -> AsyncIterator[Sessions]:
    engine = open_engine(fleet[0], name="test")
    yield open_sessions(engine)
    await engine.dispose()


def arrived(site_id: int, boot: str, *seqs: int) -> Arrived:
    now = utc_now()
    batch = [{"seq": seq, "uptime_s": seq, "sent": 1, "rtt_ms": [20]} for seq in seqs]
    push = rows.read({"boot": boot, "uptime_s": max(seqs), "batch": batch})
    received_us = int(now.timestamp() * 1_000_000)
    return Arrived(site_id, TERMS, now, received_us, 100, push, place(push, received_us, TERMS))


async def seen(sessions: Sessions, boot: str) -> dict[int, str]:
    async with sessions() as session:
        query = text("SELECT site_id, seen::text AS seen FROM push_receipt WHERE boot = :boot")
        return {row.site_id: row.seen for row in await session.execute(query, {"boot": boot})}


async def waiting(sessions: Sessions) -> Counter[int]:
    """Rows by site; all of them taken away."""
    async with sessions() as session, session.begin():
        found = await session.execute(text("DELETE FROM push_inbox RETURNING site_id, rows"))
        rows = [(row.site_id, *reading) for row in found if row.site_id is not None for reading in json.loads(row.rows)]
        return Counter(site_id for site_id, *_, reason in rows if reason != "arrival")


async def test_what_is_refused_by_the_database_takes_no_neighbour_with_it(own: Sessions) -> None:
    door, boot = Ingest(lambda: own), f"b{next(BOOTS)}"
    await waiting(own)
    sent = [arrived(site, boot, 1, 2) for site in (1, 2, 999_999, 3, 4)]
    found = await asyncio.gather(*map(door.take, sent), return_exceptions=True)
    assert [getattr(one, "accepted", one) for one in (*found[:2], *found[3:])] == [2] * 4
    assert isinstance(found[2], Unavailable)
    assert (await seen(own, boot)).keys() == {1, 2, 3, 4}
    assert await waiting(own) == {1: 2, 2: 2, 3: 2, 4: 2}


async def test_who_hangs_up_breaks_no_other_and_is_kept_all_the_same(own: Sessions) -> None:
    door, boot = Ingest(lambda: own), f"b{next(BOOTS)}"
    waits = [asyncio.create_task(door.take(arrived(site, boot, 1))) for site in (1, 2, 3)]
    await asyncio.sleep(0)
    waits[1].cancel()
    found = await asyncio.gather(*waits, return_exceptions=True)
    assert isinstance(found[1], asyncio.CancelledError)
    assert (await seen(own, boot)).keys() == {1, 2, 3}
    assert (await door.take(arrived(2, boot, 1))).duplicates == 1


async def test_more_than_can_wait_is_sent_away(own: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "WAITING", 3)
    door, boot = Ingest(lambda: own), f"b{next(BOOTS)}"
    found = await asyncio.gather(*(door.take(arrived(site, boot, 1)) for site in range(1, 9)), return_exceptions=True)
    assert [type(one).__name__ for one in found] == ["Taken"] * 3 + ["TooBusy"] * 5


async def test_an_orderly_end_writes_what_waits(own: Sessions) -> None:
    door, boot = Ingest(lambda: own), f"b{next(BOOTS)}"
    wait = asyncio.create_task(door.take(arrived(1, boot, 1)))
    await asyncio.sleep(0)
    await door.close()
    assert (await wait).accepted == 1


async def test_many_processes_take_the_same_in_any_order_and_none_waits_for_another_for_good(own: Sessions) -> None:
    """Every push four times, to any of four doors, over connections of their own."""
    boots = [f"b{next(BOOTS)}" for _ in range(3)]
    await waiting(own)
    sent = [(site, boot, seq) for site in range(1, SITES + 1) for boot in boots for seq in range(10)] * 4
    random.Random(6).shuffle(sent)
    doors = [Ingest(lambda: own) for _ in range(4)]
    found = await asyncio.gather(*(doors[n % 4].take(arrived(*one)) for n, one in enumerate(sent)))
    assert sum(one.accepted for one in found) == len(sent) // 4
    assert sum(one.duplicates for one in found) == len(sent) // 4 * 3
    for boot in boots:
        assert await seen(own, boot) == dict.fromkeys(range(1, SITES + 1), "{[0,10)}")
    assert await waiting(own) == dict.fromkeys(range(1, SITES + 1), 30)


async def test_receipts_are_forgotten_when_their_rows_would_be_too_old_anyway(own: Sessions) -> None:
    door, old, new = Ingest(lambda: own), f"b{next(BOOTS)}", f"b{next(BOOTS)}"
    await door.take(arrived(1, old, 1))
    await door.take(arrived(1, new, 1))
    async with own() as session, session.begin():
        moved = text("UPDATE push_receipt SET last_at = :at WHERE boot = :boot")
        await session.execute(moved, {"at": utc_now() - timedelta(days=8, seconds=1), "boot": old})
        await receipts.forget_old(session)
    assert await seen(own, old) == {}
    assert (await seen(own, new)).keys() == {1}


def beat(boot: str, seq: int) -> dict[str, Any]:
    return {"boot": boot, "seq": seq, "uptime_s": seq, "sent": 1, "rtt_ms": [20]}


async def test_the_same_beats_to_two_processes_at_once_count_once(
    apis: list[Api], fleet: tuple[str, list[str]], own: Sessions
) -> None:
    boot = f"b{next(BOOTS)}"
    await waiting(own)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:

        async def send(api: Api, token: str, seq: int) -> dict[str, Any]:
            headers = {"Authorization": f"Bearer {token}"}
            answer = await client.post(f"{api.url}{API}/push", json=beat(boot, seq), headers=headers)
            return answer.raise_for_status().json()  # type: ignore[no-any-return]

        sent = [(api, token, seq) for token in fleet[1] for seq in range(4) for api in (*apis, *apis)]
        found = await asyncio.gather(*(send(*one) for one in sent))
    assert sum(one["accepted"] for one in found) == SITES * 4
    assert sum(one["duplicates"] for one in found) == SITES * 12
    assert sum((await waiting(own)).values()) == SITES * 4
    assert set((await seen(own, boot)).values()) == {"{[0,4)}"}


async def test_a_process_that_is_killed_loses_nothing_and_counts_nothing_twice(
    apis: list[Api], fleet: tuple[str, list[str]], own: Sessions, record_property: Any
) -> None:
    """Each device sends on and on; what a kill left without an answer is sent again to the other process."""
    boot, (killed, other) = f"b{next(BOOTS)}", apis
    await waiting(own)

    async def send(client: httpx.AsyncClient, token: str, seq: int) -> dict[str, Any]:
        headers, body = {"Authorization": f"Bearer {token}"}, beat(boot, seq)
        try:
            answer = await client.post(f"{killed.url}{API}/push", json=body, headers=headers)
        except httpx.TransportError:
            answer = await client.post(f"{other.url}{API}/push", json=body, headers=headers)
        return answer.raise_for_status().json()  # type: ignore[no-any-return]

    async def report(token: str) -> int:
        duplicates = 0
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            for seq in range(40):
                found = await send(client, token, seq)
                assert found["accepted"] + found["duplicates"] == 1
                duplicates += found["duplicates"]
        return duplicates

    reports = [asyncio.create_task(report(token)) for token in fleet[1]]
    await asyncio.sleep(0.3)
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGSTOP)
    await asyncio.sleep(0.2)  # what it had told the database to commit is committed, and nobody is told
    killed.kill()
    kept = sum(await asyncio.gather(*reports))
    killed.start()
    assert set((await seen(own, boot)).values()) == {"{[0,40)}"}
    assert await waiting(own) == dict.fromkeys(range(1, SITES + 1), 40)
    record_property("kept without an answer", kept)


async def test_a_database_that_is_away_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster")
    cluster.start()
    try:
        url = await make_database(cluster.url)
        (token,) = await fill(url, 1)
        api = Api(url, tmp_path / "api")
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(trust_env=False, timeout=30, headers=headers) as client:

            async def send(seq: int) -> httpx.Response:
                return await client.post(f"{api.url}{API}/push", json=beat("b", seq))

            try:
                api.start()
                await asyncio.to_thread(wait_for, lambda: api.ready, 30)
                assert (await send(1)).json()["accepted"] == 1
                await asyncio.to_thread(cluster.stop)
                away = await send(2)
                assert (away.status_code, away.headers["retry-after"]) == (503, "5")
                assert away.headers["content-type"] == "application/problem+json"
                await asyncio.to_thread(cluster.start)
                for seq, expected in ((2, (1, 0)), (1, (0, 1))):
                    answer = (await send(seq)).json()
                    assert (answer["accepted"], answer["duplicates"]) == expected
            finally:
                api.close()
    finally:
        cluster.stop()
