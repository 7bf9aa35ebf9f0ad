"""An acknowledged row is stored exactly once, whichever processes receive it and whichever of them are killed."""

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
from structlog.testing import capture_logs

from app.api.app import API
from app.core.clock import utc_now
from app.core.errors import Unavailable
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine, open_sessions
from app.push import group_commit, parser, receipts
from app.push.dedupe import ReceivedPush
from app.push.group_commit import GroupCommit, NotStored
from app.push.timestamps import PushSite, assign_slots
from tests.conftest import make_database
from tests.push.fleet import fill
from tests.support.agent_fixtures import SITES
from tests.support.demo_process import wait_for
from tests.support.killing import Api

pytestmark = pytest.mark.real_time

BOOTS = count()


@pytest.fixture
async def fleet_sessions(fleet: tuple[str, list[str]]) -> AsyncIterator[Sessions]:
    engine = open_engine(fleet[0], name="test")
    yield open_sessions(engine)
    await engine.dispose()


def received_push(site_id: int, boot: str, *seqs: int) -> ReceivedPush:
    now = utc_now()
    batch = [{"seq": seq, "uptime_s": seq, "sent": 1, "rtt_ms": [20]} for seq in seqs]
    push = parser.parse({"boot": boot, "uptime_s": max(seqs), "batch": batch})
    received_us, site = int(now.timestamp() * 1_000_000), PushSite(site_id, "active", 0, 60, 60)
    return ReceivedPush(site, now, received_us, 100, push, assign_slots(push, received_us, site))


async def receipts_of(sessions: Sessions, boot: str) -> dict[int, str]:
    async with sessions() as session:
        query = text("SELECT site_id, seen::text AS seen FROM push_receipt WHERE boot = :boot")
        return {row.site_id: row.seen for row in await session.execute(query, {"boot": boot})}


async def empty_inbox(sessions: Sessions) -> Counter[int]:
    """Delete all deliveries; return the number of rows by site, without mere arrivals."""
    async with sessions() as session, session.begin():
        deleted = await session.execute(text("DELETE FROM push_inbox RETURNING site_id, rows"))
        rows = [(row.site_id, *fields) for row in deleted if row.site_id is not None for fields in json.loads(row.rows)]
        return Counter(site_id for site_id, *_, reason in rows if reason != "arrival")


async def test_a_push_that_the_database_refuses_does_not_affect_the_others(fleet_sessions: Sessions) -> None:
    commits, boot = GroupCommit(lambda: fleet_sessions), f"b{next(BOOTS)}"
    await empty_inbox(fleet_sessions)
    sent = [received_push(site, boot, 1, 2) for site in (1, 2, 999_999, 3, 4)]
    results = await asyncio.gather(*map(commits.submit, sent), return_exceptions=True)
    assert [getattr(result, "accepted", result) for result in (*results[:2], *results[3:])] == [2] * 4
    assert isinstance(results[2], NotStored)
    assert (await receipts_of(fleet_sessions, boot)).keys() == {1, 2, 3, 4}
    assert await empty_inbox(fleet_sessions) == {1: 2, 2: 2, 3: 2, 4: 2}


async def test_a_push_on_which_our_own_code_fails_is_found_by_halves_and_no_sign_of_an_unavailable_database(
    fleet_sessions: Sessions,
) -> None:
    commits, boot = GroupCommit(lambda: fleet_sessions), f"b{next(BOOTS)}"
    await empty_inbox(fleet_sessions)
    pushes = [received_push(site, boot, 1) for site in range(1, 6)]
    pushes[3].push.agent = object()  # type: ignore[assignment]  # a TypeError, where the device's values are serialized
    with capture_logs() as logged:
        results = await asyncio.gather(*map(commits.submit, pushes), return_exceptions=True)
    assert [getattr(result, "accepted", None) for result in results] == [1, 1, 1, None, 1]
    assert isinstance(results[3], NotStored)
    assert not isinstance(results[3], Unavailable)
    assert results[3].status == 500
    assert (await receipts_of(fleet_sessions, boot)).keys() == {1, 2, 3, 5}
    (entry,) = logged
    assert (entry["event"], entry["site"], type(entry["exc_info"])) == ("push_not_stored", 4, TypeError)
    pushes[3].push.agent = "mine/1"
    assert (await commits.submit(pushes[3])).accepted == 1, "sent again, it is stored"


async def test_a_database_that_is_unavailable_fails_the_whole_group_at_once(fleet_sessions: Sessions) -> None:
    attempts: list[int] = []

    def sessions() -> Sessions:
        attempts.append(1)
        raise ConnectionRefusedError

    commits = GroupCommit(sessions)
    pushes = [received_push(site, f"b{next(BOOTS)}", 1) for site in range(1, 6)]
    results = await asyncio.gather(*map(commits.submit, pushes), return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 5
    assert len(attempts) == 1, "nothing is sought by halves"


async def test_the_push_of_a_client_that_disconnects_is_stored_and_affects_no_other(fleet_sessions: Sessions) -> None:
    commits, boot = GroupCommit(lambda: fleet_sessions), f"b{next(BOOTS)}"
    waits = [asyncio.create_task(commits.submit(received_push(site, boot, 1))) for site in (1, 2, 3)]
    await asyncio.sleep(0)
    waits[1].cancel()
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert isinstance(results[1], asyncio.CancelledError)
    assert (await receipts_of(fleet_sessions, boot)).keys() == {1, 2, 3}
    assert (await commits.submit(received_push(2, boot, 1))).duplicates == 1


async def test_pushes_beyond_the_queues_limit_are_rejected(
    fleet_sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAITING", 3)
    commits, boot = GroupCommit(lambda: fleet_sessions), f"b{next(BOOTS)}"
    pushes = [received_push(site, boot, 1) for site in range(1, 9)]
    results = await asyncio.gather(*map(commits.submit, pushes), return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["PushResult"] * 3 + ["TooBusy"] * 5


async def test_closing_writes_all_that_waits(fleet_sessions: Sessions) -> None:
    commits, boot = GroupCommit(lambda: fleet_sessions), f"b{next(BOOTS)}"
    wait = asyncio.create_task(commits.submit(received_push(1, boot, 1)))
    await asyncio.sleep(0)
    await commits.close()
    assert (await wait).accepted == 1


async def test_the_same_pushes_to_many_writers_in_any_order_count_once_without_deadlock(
    fleet_sessions: Sessions,
) -> None:
    """Every push four times, to any of four writers with connections of their own."""
    boots = [f"b{next(BOOTS)}" for _ in range(3)]
    await empty_inbox(fleet_sessions)
    sent = [(site, boot, seq) for site in range(1, SITES + 1) for boot in boots for seq in range(10)] * 4
    random.Random(6).shuffle(sent)
    writers = [GroupCommit(lambda: fleet_sessions) for _ in range(4)]
    results = await asyncio.gather(*(writers[n % 4].submit(received_push(*push)) for n, push in enumerate(sent)))
    assert sum(result.accepted for result in results) == len(sent) // 4
    assert sum(result.duplicates for result in results) == len(sent) // 4 * 3
    for boot in boots:
        assert await receipts_of(fleet_sessions, boot) == dict.fromkeys(range(1, SITES + 1), "{[0,10)}")
    assert await empty_inbox(fleet_sessions) == dict.fromkeys(range(1, SITES + 1), 30)


async def test_receipts_are_deleted_once_their_rows_would_be_too_old(fleet_sessions: Sessions) -> None:
    commits, old, new = GroupCommit(lambda: fleet_sessions), f"b{next(BOOTS)}", f"b{next(BOOTS)}"
    await commits.submit(received_push(1, old, 1))
    await commits.submit(received_push(1, new, 1))
    async with fleet_sessions() as session, session.begin():
        backdate = text("UPDATE push_receipt SET last_at = :at WHERE boot = :boot")
        await session.execute(backdate, {"at": utc_now() - timedelta(days=8, seconds=1), "boot": old})
        await receipts.delete_expired(session)
    assert await receipts_of(fleet_sessions, old) == {}
    assert (await receipts_of(fleet_sessions, new)).keys() == {1}


def beat(boot: str, seq: int) -> dict[str, Any]:
    return {"boot": boot, "seq": seq, "uptime_s": seq, "sent": 1, "rtt_ms": [20]}


async def test_the_same_beats_to_two_processes_at_once_count_once(
    apis: list[Api], fleet: tuple[str, list[str]], fleet_sessions: Sessions
) -> None:
    boot = f"b{next(BOOTS)}"
    await empty_inbox(fleet_sessions)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:

        async def send(api: Api, token: str, seq: int) -> dict[str, Any]:
            headers = {"Authorization": f"Bearer {token}"}
            answer = await client.post(f"{api.url}{API}/push", json=beat(boot, seq), headers=headers)
            return answer.raise_for_status().json()  # type: ignore[no-any-return]

        sent = [(api, token, seq) for token in fleet[1] for seq in range(4) for api in (*apis, *apis)]
        answers = await asyncio.gather(*(send(*push) for push in sent))
    assert sum(answer["accepted"] for answer in answers) == SITES * 4
    assert sum(answer["duplicates"] for answer in answers) == SITES * 12
    assert sum((await empty_inbox(fleet_sessions)).values()) == SITES * 4
    assert set((await receipts_of(fleet_sessions, boot)).values()) == {"{[0,4)}"}


async def test_a_killed_process_loses_no_row_and_counts_none_twice(
    apis: list[Api], fleet: tuple[str, list[str]], fleet_sessions: Sessions, record_property: Any
) -> None:
    """Each device repeats a request that the kill left unanswered to the other process."""
    boot, (killed, other) = f"b{next(BOOTS)}", apis
    await empty_inbox(fleet_sessions)

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
                answer = await send(client, token, seq)
                assert answer["accepted"] + answer["duplicates"] == 1
                duplicates += answer["duplicates"]
        return duplicates

    reports = [asyncio.create_task(report(token)) for token in fleet[1]]
    await asyncio.sleep(0.3)
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGSTOP)
    await asyncio.sleep(0.2)  # the database commits what it was sent, and nobody is answered
    killed.kill()
    unanswered = sum(await asyncio.gather(*reports))
    killed.start()
    assert set((await receipts_of(fleet_sessions, boot)).values()) == {"{[0,40)}"}
    assert await empty_inbox(fleet_sessions) == dict.fromkeys(range(1, SITES + 1), 40)
    record_property("stored without an answer", unanswered)


async def test_while_the_database_is_down_pushes_get_503_and_nothing_is_lost(tmp_path: Path) -> None:
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
                await asyncio.to_thread(wait_for, lambda: api.ready, 120)
                assert (await send(1)).json()["accepted"] == 1
                await asyncio.to_thread(cluster.stop)
                unavailable = await send(2)
                assert (unavailable.status_code, unavailable.headers["retry-after"]) == (503, "5")
                assert unavailable.headers["content-type"] == "application/problem+json"
                await asyncio.to_thread(cluster.start)
                for seq, expected in ((2, (1, 0)), (1, (0, 1))):
                    answer = (await send(seq)).json()
                    assert (answer["accepted"], answer["duplicates"]) == expected
            finally:
                api.close()
    finally:
        cluster.stop()
