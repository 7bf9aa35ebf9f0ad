"""Accounts whose read index moves: batches by column names, joined into stretches, once; what is lost is told."""

import gzip
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, utc_now
from app.postgres.engine import Sessions, transaction
from app.settings import Settings
from app.telemetry import account_batches
from app.worker.telemetry_reader import TelemetryReader
from probes.policy import AddressPolicy
from probes.starlink_account import AccountProblem, parse_batch
from probes.sweep import Prober
from probes.telemetry import LinkState
from tests.conftest import SECRET_KEY, Cast
from tests.factories import register
from tests.support.starlink_account import (
    CELL,
    DEVICE,
    AccountApi,
    answer_of,
    open_account_api,
    router_row,
    terminal_row,
)

NOW = floor_second(utc_now())
ACCOUNT = {"provider": "telkom-wms", "name": "Akun", "client_id": "c", "client_secret": "rahasia akun"}


@pytest.fixture
async def api() -> AsyncIterator[AccountApi]:
    async with open_account_api() as api:
        yield api


@pytest.fixture
async def reader(sessions: Sessions) -> AsyncIterator[TelemetryReader]:
    settings = Settings(secret_key=[SECRET_KEY])
    async with Prober.open(AddressPolicy(["127.0.0.0/8"]), packets_per_second=100) as prober:
        yield TelemetryReader(sessions, prober, settings)


async def make_account(cast: Cast, session: AsyncSession, api: AccountApi, **changes: Any) -> int:
    """An account whose address is ours: over the API only public ones are accepted."""
    answer = await cast.sari.post("/telemetry/accounts", ACCOUNT | changes)
    assert answer.status_code == 201, answer.text
    async with session.begin():
        await session.execute(text("UPDATE telemetry_account SET base_url = :url"), {"url": api.base_url})
    return int(answer.json()["id"])


async def make_site(cast: Cast, account: int, **fields: Any) -> int:
    site = await register(cast, technology="leo", probe="push", host=None, **fields)
    body = {"account": account, "device_id": DEVICE}
    answer = await cast.sari.client.put(f"/api/v1/sites/{site['id']}/telemetry/starlink_account", json=body)
    assert answer.status_code == 204, answer.text
    return int(site["id"])


async def said_of(cast: Cast, site: int) -> dict[str, Any]:
    answer = await cast.ana.get(f"/sites/{site}/telemetry")
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def test_columns_are_read_by_their_names_and_positions_are_not_read() -> None:
    body = answer_of([terminal_row(NOW, alerts=[62]), router_row(NOW), terminal_row(NOW, drop=1), ["u", 1]])
    batch = parse_batch(body)
    first, second = batch.samples
    assert (batch.rows, batch.skipped) == (4, 1)
    assert (first.device, first.at, first.state, first.alerts) == (DEVICE, NOW, LinkState.UP, ("pop_change",))
    assert (second.state, second.cause) == (LinkState.DOWN, "no_pings")
    assert first.figures() == {"drop_rate": 0.0, "latency_ms": 51.0, "obstruction": 0.0101, "uptime_s": 349_213}
    assert str(CELL) not in repr(batch)


def test_a_terminal_without_a_service_line_is_down_and_one_without_a_figure_says_neither() -> None:
    disabled, silent = parse_batch(answer_of([terminal_row(NOW, alerts=[55]), terminal_row(NOW, drop=None)])).samples
    assert (disabled.state, disabled.cause) == (LinkState.DOWN, "disabled_no_active_service_line")
    assert silent.state is LinkState.UNKNOWN


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"data": {"values": 7}}'])
def test_what_is_no_batch_is_a_problem(body: bytes) -> None:
    with pytest.raises(AccountProblem):
        parse_batch(body)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (answer_of([["u"]] * 20_001), "too_many_rows"),
        (b'{"data": {"values": [' + b"0," * 1_000_001 + b"0]}}", "too_many_values"),
    ],
)
def test_an_answer_larger_than_any_batch_is_not_worked_through(body: bytes, problem: str) -> None:
    with pytest.raises(AccountProblem, match=problem):
        parse_batch(body)


def test_a_terminal_whose_name_cannot_be_stored_is_skipped() -> None:
    batch = parse_batch(answer_of([terminal_row(NOW, device="ut-\0"), terminal_row(NOW)]))
    assert ([sample.device for sample in batch.samples], batch.skipped) == ([DEVICE], 1)


@pytest.mark.parametrize(("times", "encoding"), [(1, "gzip"), (2, "gzip, gzip"), (0, "gzip")])
async def test_an_answer_is_unpacked_no_further_than_a_batch_is_long(
    cast: Cast, session: AsyncSession, api: AccountApi, reader: TelemetryReader, times: int, encoding: str
) -> None:
    account = await make_account(cast, session, api)
    api.packed = bytes(50_000_000 if times else 0)
    for _ in range(times):
        api.packed = gzip.compress(api.packed)
    api.encoding = encoding
    await reader.read_due()
    found = (await cast.sari.get(f"/telemetry/accounts/{account}")).json()
    assert found["problem"] == {1: "too_long", 2: "unknown_encoding", 0: "no_json"}[times]
    assert [gap["reason"] for gap in found["gaps"]] == ["lost_answer"]


async def test_a_row_held_back_or_of_no_time_at_all_closes_no_gap(
    cast: Cast, session: AsyncSession, sessions: Sessions, api: AccountApi
) -> None:
    account = await make_account(cast, session, api)
    ago = [timedelta(minutes=n) for n in (30, 20, 10)]
    for n, rows in enumerate(
        (
            [terminal_row(NOW - ago[0])],
            [],  # lost
            [terminal_row(NOW + timedelta(days=3_000)), terminal_row(NOW - timedelta(days=20_000))],
            [terminal_row(NOW - ago[0] - timedelta(minutes=1)), terminal_row(NOW - ago[2])],
        )
    ):
        batch = parse_batch(answer_of(rows))
        async with transaction(sessions) as own:
            await account_batches.begin(own, account, now=NOW)
            if n == 1:
                await account_batches.fail(own, account, "cut", lost=True, now=NOW)
            else:
                await account_batches.take(
                    own, account, account_batches.AccountAnswer(batch.samples, batch.rows, batch.size), now=NOW
                )
    (gap,) = (await cast.sari.get(f"/telemetry/accounts/{account}")).json()["gaps"]
    assert datetime.fromisoformat(gap["started_at"]) == NOW - ago[0]
    assert datetime.fromisoformat(gap["ended_at"]) == NOW - ago[2]


async def test_answers_become_stretches_of_the_site_and_the_token_is_asked_once(
    cast: Cast, session: AsyncSession, api: AccountApi, reader: TelemetryReader
) -> None:
    site = await make_site(cast, await make_account(cast, session, api))
    began = NOW - timedelta(minutes=5)
    drops = [0, 0, 0, 1, 1, 0]
    api.rows = [terminal_row(began + timedelta(seconds=15 * n), drop=drop) for n, drop in enumerate(drops)]
    api.rows.append(terminal_row(began, device="ut-other"))
    await reader.read_due()
    await reader.read_due()
    await reader.read_due()
    found = await said_of(cast, site)
    assert [(row["state"], row["answers"], row["widest_gap_s"]) for row in found["stretches"]] == [
        ("up", 1, 0),
        ("down", 2, 15),
        ("up", 3, 15),
    ]
    (source,) = found["sources"]
    assert (source["state"], source["problem"], source["witness"]) == ("up", None, "provider")
    account = (await cast.sari.get("/telemetry/accounts")).json()["items"][0]
    assert (account["rows"], account["unassigned"], account["gaps"]) == (7, [], [])
    assert (api.tokens, api.asked) == (1, 3)
    assert "rahasia" not in str(found) + str(account)
    assert {headers["host"] for headers in api.headers} == {f"127.0.0.1:{api.port}"}


async def test_a_lost_answer_is_told_as_a_gap_that_ends_with_the_next_rows(
    cast: Cast, session: AsyncSession, api: AccountApi, reader: TelemetryReader
) -> None:
    site = await make_site(cast, await make_account(cast, session, api))
    api.rows = [terminal_row(NOW - timedelta(seconds=15 * n)) for n in range(12, 0, -1)]
    await reader.read_due()
    api.cut = True
    await reader.read_due()
    api.cut = False
    await release(session)
    await reader.read_due()
    found = await said_of(cast, site)
    (gap,) = found["gaps"]
    assert gap["reason"] == "lost_answer"
    assert sum(row["answers"] for row in found["stretches"]) == 8
    assert (gap["started_at"], gap["ended_at"]) == (
        found["stretches"][1]["seen_at"],
        found["stretches"][0]["started_at"],
    )


async def test_an_answer_that_is_refused_loses_nothing_and_is_asked_again_later(
    cast: Cast, session: AsyncSession, api: AccountApi, reader: TelemetryReader
) -> None:
    site = await make_site(cast, await make_account(cast, session, api))
    api.rows, api.status = [terminal_row(NOW)], 503
    await reader.read_due()
    await reader.read_due()  # not due: it waits
    account = (await cast.sari.get("/telemetry/accounts")).json()["items"][0]
    assert (api.asked, account["problem"], account["failures"], account["gaps"]) == (1, "status 503", 1, [])
    api.status = 200
    await release(session)
    await reader.read_due()
    assert len((await said_of(cast, site))["stretches"]) == 1


async def test_rows_of_a_time_that_was_taken_before_add_nothing(
    cast: Cast, session: AsyncSession, sessions: Sessions, api: AccountApi
) -> None:
    account = await make_account(cast, session, api)
    site = await make_site(cast, account)
    batch = parse_batch(answer_of([terminal_row(NOW - timedelta(seconds=15 * n)) for n in range(3)]))
    answer = account_batches.AccountAnswer(batch.samples, batch.rows, batch.size)
    for _ in range(2):
        async with transaction(sessions) as own:
            await account_batches.begin(own, account, now=NOW)
            await account_batches.take(own, account, answer, now=NOW)
    (stretch,) = (await said_of(cast, site))["stretches"]
    assert stretch["answers"] == 3
    assert (await cast.sari.get(f"/telemetry/accounts/{account}")).json()["late"] == 3


async def test_an_account_that_was_not_asked_for_nine_hours_has_lost_what_the_provider_no_longer_keeps(
    cast: Cast, session: AsyncSession, sessions: Sessions, api: AccountApi
) -> None:
    account = await make_account(cast, session, api)
    empty = account_batches.AccountAnswer([], 0, 2)
    for ago in (timedelta(hours=9), timedelta(0)):
        async with transaction(sessions) as own:
            await account_batches.begin(own, account, now=NOW - ago)
            await account_batches.take(own, account, empty, now=NOW - ago)
    (gap,) = (await cast.sari.get(f"/telemetry/accounts/{account}")).json()["gaps"]
    assert (gap["reason"], gap["ended_at"]) == ("expired", None)


async def test_an_address_that_the_policy_denies_is_never_asked(
    cast: Cast, session: AsyncSession, sessions: Sessions, api: AccountApi
) -> None:
    account = await make_account(cast, session, api)
    async with Prober.open(AddressPolicy(), packets_per_second=100) as strict:
        await TelemetryReader(sessions, strict, Settings(secret_key=[SECRET_KEY])).read_due()
    found = (await cast.sari.get(f"/telemetry/accounts/{account}")).json()
    assert (found["problem"], api.headers) == ("forbidden", [])


async def release(session: AsyncSession) -> None:
    """Let what waits after a failure be due."""
    async with session.begin():
        await session.execute(text("UPDATE telemetry_account SET retry_at = NULL"))
