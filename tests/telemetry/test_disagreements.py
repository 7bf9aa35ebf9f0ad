"""What a provider says never overrules what was measured: it stands beside it, and where they differ it is told."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, utc_now
from app.postgres.engine import Sessions, transaction
from app.telemetry import account_batches, disagreements
from app.telemetry.statements import statements_at
from app.witnesses.kinds import Says, WitnessKind
from probes.starlink_account import parse_batch
from tests.conftest import Cast
from tests.support.registry_checks import list_findings
from tests.support.site_histories import site_since
from tests.support.starlink_account import DEVICE, answer_of, terminal_row

NOW = floor_second(utc_now())
BEGAN = NOW - timedelta(hours=6)
HOUR = 3_600


def at(second: float) -> datetime:
    return BEGAN + timedelta(seconds=second)


class Village:
    """A site that was down from the first to the second hour, and its provider's account."""

    def __init__(self, sessions: Sessions, session: AsyncSession, cast: Cast, site: int, account: int) -> None:
        self.sessions, self.session, self.cast, self.site, self.account = sessions, session, cast, site, account

    async def say(
        self, first: float, last: float, *, every: float = 15, drop: Any = 0.0, uptime_s: int = 90_000
    ) -> None:
        count = round((last - first) / every)
        rows = [
            terminal_row(at(first + every * n), drop=drop, uptime_s=round(uptime_s + every * n))
            for n in range(count + 1)
        ]
        batch = parse_batch(answer_of(rows))
        async with transaction(self.sessions) as session:
            await account_batches.begin(session, self.account, now=NOW)
            answer = account_batches.AccountAnswer(batch.samples, batch.rows, batch.size)
            await account_batches.take(session, self.account, answer, now=NOW)

    async def compare(self) -> list[tuple[str, str, int, int]]:
        async with transaction(self.sessions) as session:
            await disagreements.compare(session, since=BEGAN - timedelta(days=1))
        found = (await self.cast.ana.get(f"/sites/{self.site}/telemetry", params={"period": "7d"})).json()
        return [
            (row["said"], row["measured"], self.second(row["started_at"]), self.second(row["ended_at"]))
            for row in reversed(found["disagreements"])
        ]

    def second(self, moment: str) -> int:
        return round((datetime.fromisoformat(moment) - BEGAN).total_seconds())

    async def ledger(self) -> Any:
        async with self.session.begin():
            rows = await self.session.execute(
                text("SELECT started_at, ended_at, state FROM state_segment WHERE site_id = :id"), {"id": self.site}
            )
            return sorted(tuple(row) for row in rows)


@pytest.fixture
async def village(cast: Cast, session: AsyncSession, sessions: Sessions) -> Village:
    site = await site_since(
        session,
        cast,
        BEGAN - timedelta(days=2),
        (at(HOUR), "down"),
        (at(2 * HOUR), "up"),
        technology="leo",
    )
    body = {"provider": "telkom-wms", "name": "Akun", "client_id": "c", "client_secret": "rahasia akun"}
    account = (await cast.sari.post("/telemetry/accounts", body)).json()["id"]
    source = {"account": "Akun", "device_id": DEVICE}
    answer = await cast.sari.client.put(f"/api/v1/sites/{site}/telemetry/starlink_account", json=source)
    assert answer.status_code == 204, answer.text
    return Village(sessions, session, cast, site, account)


async def test_a_provider_that_says_up_through_an_outage_leaves_the_outage_and_raises_the_disagreement(
    village: Village,
) -> None:
    before = await village.ledger()
    await village.say(HOUR - 600, 2 * HOUR + 600)
    assert await village.compare() == [("up", "down", HOUR, 2 * HOUR)]
    assert await village.compare() == [("up", "down", HOUR, 2 * HOUR)], "compared twice, told once"
    assert await village.ledger() == before
    (finding,) = await list_findings(village.cast.ana, "telemetry_disagrees")
    assert (finding["severity"], finding["detail"]["minutes"], finding["detail"]["times"]) == ("warning", 60, 1)
    assert await list_findings(village.cast.ben, "telemetry_disagrees") == []


async def test_a_provider_that_says_down_while_its_line_answers_disagrees_as_well(village: Village) -> None:
    await village.say(0, 900, drop=1)
    assert await village.compare() == [("down", "up", 0, 900)]


async def test_answers_that_say_nothing_in_between_do_not_hide_a_disagreement(village: Village) -> None:
    for minute in range(60):
        await village.say(HOUR + 60 * minute, HOUR + 60 * minute + 30)
        await village.say(HOUR + 60 * minute + 45, HOUR + 60 * minute + 45, drop=None)
    told = await village.compare()
    assert len(told) == 60
    assert sum(end - start for *_, start, end in told) == 60 * 30


@pytest.mark.parametrize(
    ("first", "last", "every"),
    [
        (HOUR - 600, HOUR + 285, 15),  # up for less than five minutes of the outage
        (HOUR - 30, HOUR + 15, 15),
        (2 * HOUR, 2 * HOUR + 900, 15),  # beside the outage
    ],
)
async def test_what_both_may_say_is_no_disagreement(village: Village, first: float, last: float, every: float) -> None:
    await village.say(first, last, every=every)
    assert await village.compare() == []


async def test_answers_before_and_after_an_outage_say_nothing_of_it(village: Village) -> None:
    await village.say(HOUR - 600, HOUR - 15)
    await village.say(2 * HOUR, 2 * HOUR + 600)
    assert await village.compare() == []


async def test_an_outage_that_is_judged_away_takes_its_disagreement_with_it(
    village: Village, session: AsyncSession
) -> None:
    await village.say(HOUR - 600, 2 * HOUR + 600)
    assert len(await village.compare()) == 1
    async with session.begin():
        await session.execute(
            text("UPDATE state_segment SET state = 'unknown', unknown_reason = 'blind' WHERE state = 'down'")
        )
    assert await village.compare() == []


async def test_a_terminal_that_started_anew_begins_a_new_stretch(village: Village) -> None:
    await village.say(0, 60, uptime_s=9_000)
    await village.say(75, 135, uptime_s=30)
    found = (await village.cast.ana.get(f"/sites/{village.site}/telemetry")).json()["stretches"]
    assert [(row["answers"], village.second(row["booted_at"])) for row in found] == [(5, 45), (5, -9_000)]


async def test_a_statement_is_of_the_stretch_and_a_gap_says_nothing(village: Village, session: AsyncSession) -> None:
    await village.say(0, 600)
    async with session.begin():
        await session.execute(
            text(
                "INSERT INTO telemetry_gap (account_id, started_at, ended_at, reason, found_at) "
                "VALUES (:id, :start, :end, 'lost_answer', now())"
            ),
            {"id": village.account, "start": at(600), "end": at(900)},
        )
        (said,) = await statements_at(session, village.site, at(300))
        (silent,) = await statements_at(session, village.site, at(700))
        assert await statements_at(session, village.site, at(-1)) == []
    assert (said.witness, said.says, said.started_at) == (WitnessKind.PROVIDER, Says.UP, at(0))
    assert (said.detail["answers"], said.detail["alerts"]) == (41, [])
    assert (silent.witness, silent.says, silent.detail["gap"]) == (WitnessKind.PROVIDER, Says.NOTHING, "lost_answer")
