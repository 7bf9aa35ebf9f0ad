"""What two do at the same time, each over a connection of its own."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from starlette.routing import BaseRoute

from app.postgres.engine import open_engine, open_sessions
from app.web.account_queues import AccountQueues
from tests.conftest import drop_database, make_app, make_database, open_cast
from tests.support.report_month import HOUR, PARTIES, PERIOD, ReportMonth, build
from tests.support.site_histories import execute


@pytest.fixture
async def alone(server_url: str, migrated_template: str, routes: list[BaseRoute]) -> AsyncIterator[ReportMonth]:
    """The month in a database of its own, of which every request has a connection."""
    engine = open_engine(await make_database(server_url, migrated_template), name="test")
    sessions = open_sessions(engine)
    app = make_app(sessions, engine, routes)
    app.state.report_drafts = AccountQueues(at_once=9, queued=9, retry_after_s=1)  # as if in several processes
    async with sessions() as session, open_cast(app, session) as cast:
        yield await build(session, cast)
    await engine.dispose()
    await drop_database(engine.url.render_as_string(hide_password=False), server_url)


async def test_of_two_that_draft_or_issue_at_once_one_does_and_there_is_one_number(alone: ReportMonth) -> None:
    url, body = f"/contracts/{alone.contract}/reports", {"period": PERIOD, "parties": PARTIES}
    drafts = await asyncio.gather(alone.cast.sari.post(url, body), alone.cast.sari.post(url, body))
    assert sorted(answer.status_code for answer in drafts) == [201, 409]
    (draft,) = [answer.json()["id"] for answer in drafts if answer.status_code == 201]
    await execute(alone.session, "UPDATE report SET objections_until = now()")
    issued = await asyncio.gather(*(alone.issue(draft) for _ in range(3)))
    assert sorted(answer.status_code for answer in issued) == [200, 409, 409]
    async with alone.session.begin():
        numbers = await alone.session.execute(text("SELECT series, last FROM report_number"))
        assert [tuple(row) for row in numbers] == [(f"BA-{PERIOD}", 1)]


async def test_who_reads_a_draft_while_another_brings_it_up_to_date_does_not_wait(alone: ReportMonth) -> None:
    draft = (await alone.draft(parties=PARTIES))["id"]
    await alone.correct_ledger(hours=6)
    async with alone.session.begin():
        await alone.session.execute(text("SELECT FROM report WHERE id = :id FOR UPDATE"), {"id": draft})
        seen = await alone.read(draft)
    assert "sedang diperbarui" in seen["notice"]["id"]
    assert seen["data"]["sites"][0]["counted_down_s"] == 4 * HOUR
    after = await alone.read(draft)
    assert (after["notice"], after["data"]["sites"][0]["counted_down_s"]) == (None, 6 * HOUR)
