"""What several do to the same channels and rules at the same moment, on connections of their own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from app.access.models import Role
from app.access.scope import Caller
from app.alerts import channel_changes, rule_changes
from app.alerts.channel_schemas import ChannelPatch
from app.alerts.channel_sealing import Sealing
from app.alerts.models import AlertRule, Channel
from app.alerts.rule_schemas import RuleIn, RulePatch
from app.core.errors import Conflict, Invalid, Stale
from app.postgres.engine import transaction
from tests.courier.conftest import CourierDesk
from tests.support.alerts import AlertDesk
from tests.support.receivers import HttpReceiver, Reply, http_receiver

ANA = Caller(1, "ana", Role.DISTRICT_OPERATOR, "64.02")
AT_ONCE = 5
WAITS = text("""
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
""")


@pytest.fixture(scope="module")
def http() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


async def at_once(courier: CourierDesk, *changes: Callable[[AsyncSession], Awaitable[object]]) -> list[str]:
    """Make the changes in transactions beside each other; return `ok` or the error's kind for each, sorted."""

    async def make(change: Callable[[AsyncSession], Awaitable[object]]) -> str:
        try:
            async with transaction(courier.sessions) as session:
                await change(session)
        except (Conflict, Invalid, Stale) as error:
            return type(error).__name__
        return "ok"

    return sorted(await asyncio.gather(*map(make, changes)))


async def test_of_those_who_change_what_they_saw_at_once_one_does(courier: CourierDesk) -> None:
    channel = await courier.channel("http://127.0.0.1/one")
    rule = await AlertDesk(courier.sessions).rule(channel)
    async with transaction(courier.sessions) as session:
        await session.execute(text("UPDATE change_counter SET version = 10000 WHERE name = 'alert'"))  # beyond both
        seen = await session.scalar(select(Channel.version)), await session.scalar(select(AlertRule.version))
    sealing = Sealing(courier.sealer, courier.settings.receiver_policy)

    def name_channel(number: int) -> Callable[[AsyncSession], Awaitable[object]]:
        body = ChannelPatch(name=f"channel {number}")
        return lambda session: channel_changes.patch_channel(
            session, channel, body, caller=ANA, if_match=seen[0], sealing=sealing
        )

    def name_rule(number: int) -> Callable[[AsyncSession], Awaitable[object]]:
        body = RulePatch(name=f"rule {number}")
        return lambda session: rule_changes.patch_rule(session, rule, body, caller=ANA, if_match=seen[1])

    for change in (name_channel, name_rule):
        assert await at_once(courier, *map(change, range(AT_ONCE))) == ["Stale"] * (AT_ONCE - 1) + ["ok"]


async def test_no_rule_names_a_channel_that_was_deleted_meanwhile(courier: CourierDesk) -> None:
    for number in range(3):
        channel = await courier.channel(f"http://127.0.0.1/{number}")
        body = RuleIn(name=f"Aturan {number}", office="64.02", kinds=["down"], channels=[channel])
        outcome = await at_once(
            courier,
            lambda session, channel=channel: channel_changes.delete_channel(session, channel, caller=ANA),  # type: ignore[misc]
            lambda session, body=body: rule_changes.create_rule(session, body, caller=ANA),  # type: ignore[misc]
        )
        assert outcome in (["Conflict", "ok"], ["Invalid", "ok"])
    async with transaction(courier.sessions) as session:
        rules = await session.scalars(select(AlertRule))
        named = {channel for rule in rules for channel in rule.channel_ids}
        deleted = set(await session.scalars(select(Channel.id).where(Channel.deleted_at.is_not(None))))
    assert named.isdisjoint(deleted)


async def test_a_channel_is_deleted_while_its_receiver_answers_without_a_deadlock(
    courier: CourierDesk, http: HttpReceiver
) -> None:
    channel = await courier.channel(f"{http.url}/deleted")
    told = await courier.notify(channel)
    with capture_logs() as logged:
        await _delete_while_it_delivers(courier, channel)
    assert logged == []
    assert len(http.accepted("/deleted")) == 1
    assert await courier.state(told) == "dead", "it was deleted first"
    assert len(await courier.attempts(told)) == 1, "and its attempt is in the ledger"


async def _delete_while_it_delivers(courier: CourierDesk, channel: int) -> None:
    async with transaction(courier.sessions) as session:
        await session.execute(select(Channel).where(Channel.id == channel).with_for_update(key_share=True))
        delivery = asyncio.create_task(courier.run())
        async with asyncio.timeout(20):
            while not await _waits(courier):  # noqa: ASYNC110  # for another connection, as it were
                await asyncio.sleep(0.05)
        await channel_changes.delete_channel(session, channel, caller=ANA)
    await delivery


async def _waits(courier: CourierDesk) -> bool:
    async with courier.sessions() as session:
        return bool(await session.scalar(WAITS))


WARNS_ONCE = (
    """CREATE FUNCTION warn_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT count(*) FROM delivery_attempt) = 1 THEN RAISE WARNING 'committed here alone'; END IF;
        RETURN NULL;
    END $$""",
    """CREATE CONSTRAINT TRIGGER warn_once AFTER INSERT ON delivery_attempt DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION warn_once()""",
)


async def test_an_attempt_whose_commit_was_of_unknown_outcome_is_written_once(
    courier: CourierDesk, http: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written twice, it would count as two, and what a fallback took over would be given up."""
    monkeypatch.setattr("app.courier.deliverer.RECORD_AGAIN_S", 0.05)
    http.reply("/no", Reply(403))
    channel = await courier.channel(f"{http.url}/no", fallback_id=await courier.channel(f"{http.url}/taker"))
    original = await courier.notify(channel)
    async with transaction(courier.sessions) as session:
        for statement in WARNS_ONCE:
            await session.execute(text(statement))
    try:
        with capture_logs() as logged:
            await courier.run()
        assert [entry["event"] for entry in logged] == ["delivery_not_recorded"]
        assert len(await courier.attempts(original)) == 1
        assert (await courier.state(original), (await courier.get(original)).attempts) == ("queued", 1)
        await courier.retry()
        assert len(http.accepted("/taker")) == 1
    finally:
        async with transaction(courier.sessions) as session:
            await session.execute(text("DROP FUNCTION warn_once() CASCADE"))
