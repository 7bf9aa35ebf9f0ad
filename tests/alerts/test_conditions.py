"""Conditions of sites, contracts and this service are announced when they have lasted, once, and so is their end."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import dialect

from app.alerts.conditions import ConditionWatch, select_unsettled
from app.alerts.contract_conditions import find_at_risk
from app.alerts.models import AlertKind, AlertRule, Channel, Notification, NotificationKind, NotificationState
from app.core.clock import WITA, midnight, month_of
from app.judging.models import Blind
from app.postgres.engine import transaction
from app.worker import writer
from tests.support.alerts import AlertDesk
from tests.support.incident_scenario import IncidentScenario
from tests.support.site_histories import assign, execute, make_contract, set_states, site_since

HOUR = timedelta(hours=1)
SITE_KINDS = (AlertKind.DEGRADED, AlertKind.NEVER_SEEN, AlertKind.COVERAGE_LOST, AlertKind.BUDGET_SPENT)


class Watched:
    """A district whose rules ask for conditions, and the worker's beat."""

    def __init__(self, scenario: IncidentScenario, desk: AlertDesk) -> None:
        self.scenario, self.desk, self.now = scenario, desk, scenario.now
        self.sessions = desk.sessions
        self.watch = ConditionWatch()

    async def look(self, now: datetime | None = None, *, blind_since: datetime | None = None) -> None:
        now = now or self.now
        async with transaction(self.sessions) as session:
            await writer.write_beat(session, now=now, started_at=self.now, blind_since=blind_since, figures={})
        await self.evaluate(now)

    async def evaluate(self, now: datetime) -> None:
        async with transaction(self.sessions) as session:
            await self.watch.evaluate(session, now=now)

    async def site(self, state: str, *, since: datetime, reason: str | None = None, **changes: Any) -> int:
        site = await self.scenario.site(**changes)
        await self.execute(
            "UPDATE site_configuration SET started_at = :since, addressed_at = :since WHERE site_id = :site",
            site=site,
            since=since,
        )
        await self.become(site, state, since=since, reason=reason)
        return site

    async def become(
        self, site: int, state: str, *, since: datetime, reason: str | None = None, evidence_at: datetime | None = None
    ) -> None:
        """Go from what it was to another state, in the ledger and in its status."""
        values = {"site": site, "state": state, "since": since, "reason": reason}
        await self.execute(
            "UPDATE state_segment SET ended_at = :since WHERE site_id = :site AND ended_at IS NULL", **values
        )
        await self.execute(
            "INSERT INTO state_segment (site_id, started_at, state, unknown_reason) "
            "VALUES (:site, :since, cast(:state AS text), cast(:reason AS text))",
            **values,
        )
        await self.execute(
            "UPDATE site_status SET state = cast(:state AS text), unknown_reason = cast(:reason AS text), "
            "since = :since, addressed_at = least(addressed_at, :since), evidence_at = :evidence, valid_s = 60, "
            "loss_pct = 42.04, rtt_us = 250040 WHERE site_id = :site",
            **values,
            evidence=evidence_at or self.now,
        )

    async def execute(self, statement: str, **values: Any) -> None:
        async with self.sessions() as session:
            await execute(session, statement, **values)


@pytest.fixture
def watched(scenario: IncidentScenario, desk: AlertDesk) -> Watched:
    return Watched(scenario, desk)


async def test_the_end_of_a_condition_is_looked_for_where_one_lasts_however_many_were_ever_announced(
    watched: Watched, desk: AlertDesk
) -> None:
    channel = await desk.channel()
    await desk.rule(channel, kinds=[AlertKind.DEGRADED])
    await watched.execute(
        "INSERT INTO announcement (subject, kind, region_code, channel_id, version, due_at, state, facts, settled_at) "
        "SELECT 'site:1', kind, '64.02', :channel, n, now(), 'sent', '{}', CASE kind WHEN 'degraded' THEN now() END "
        "FROM generate_series(1, 2500) n, unnest(ARRAY['degraded', 'recovered']) kind",
        channel=channel,
    )
    site = await watched.site("degraded", since=watched.now - 7 * HOUR)
    await watched.look()
    await watched.become(site, "up", since=watched.now + HOUR, evidence_at=watched.now + HOUR)
    await watched.look(watched.now + HOUR)
    assert (await desk.told(channel))[5000:] == [("degraded", f"site:{site}"), ("recovered", f"site:{site}")]
    async with transaction(desk.sessions) as session:
        await session.execute(text("ANALYZE announcement"))
        of = dialect()  # type: ignore[no-untyped-call]
        unsettled = select_unsettled(watched.now).compile(dialect=of, compile_kwargs={"literal_binds": True})
        plan = list(await session.scalars(text(f"EXPLAIN (ANALYZE, COSTS off) {unsettled}")))
    assert max(int(rows) for rows in re.findall(r"(?:rows=|Removed by Filter: )(\d+)", "".join(plan))) < 10, plan


async def test_a_site_degraded_for_as_long_as_a_rule_says_is_announced_until_it_answers_as_it_should(
    watched: Watched, desk: AlertDesk
) -> None:
    soon, late = await desk.channel(), await desk.channel()
    rule = await desk.rule(soon, kinds=[AlertKind.DEGRADED], degraded_hours=4)
    await desk.rule(late, kinds=[AlertKind.DEGRADED], degraded_hours=6)
    since = watched.now - 5 * HOUR
    site = await watched.site("degraded", since=since)
    await watched.look()
    await watched.look()
    (onset,) = await desk.announcements()
    assert (onset.channel_id, onset.subject, onset.kind, onset.version) == (
        soon,
        f"site:{site}",
        "degraded",
        int(since.timestamp()),
    )
    assert onset.facts == {"loss_pct": 42.0, "rtt_ms": 250.0, "hours": 5}
    later = watched.now + HOUR
    await watched.become(site, "unknown", reason="blind", since=later - HOUR / 2)
    await watched.become(site, "degraded", since=later, evidence_at=later)
    await watched.look(later)
    assert [kind for kind, _ in await desk.told(late)] == ["degraded"], "a gap in what we saw does not begin it anew"
    await desk.change(AlertRule, rule, deleted_at=watched.now)
    await watched.become(site, "down", since=later + HOUR, evidence_at=later + HOUR)
    await watched.look(later + HOUR)
    assert len(await desk.announcements()) == 2, "it has not recovered"
    await watched.become(site, "up", since=later + 2 * HOUR, evidence_at=later + 2 * HOUR)
    await watched.look(later + 2 * HOUR)
    await watched.look(later + 2 * HOUR)
    assert await desk.told(soon) == [("degraded", f"site:{site}"), ("recovered", f"site:{site}")]
    end = (await desk.announcements(soon))[1]
    assert (end.version, (end.facts or {})["of"]) == (onset.version, "degraded")


async def test_two_conditions_of_one_site_that_began_in_the_same_second_both_end(
    watched: Watched, desk: AlertDesk
) -> None:
    channel, since = await desk.channel(), watched.now - 7 * HOUR
    await desk.rule(channel, kinds=[AlertKind.DEGRADED, AlertKind.COVERAGE_LOST])
    site = await watched.site("degraded", since=since)
    await watched.look()
    await watched.execute(
        "UPDATE site_status SET state = 'unknown', unknown_reason = 'silent', evidence_at = since "
        "WHERE site_id = :site",
        site=site,
    )
    await watched.look()
    await watched.become(site, "up", since=watched.now)
    for _ in range(2):
        await watched.look()
    assert [kind for kind, _ in await desk.told(channel)] == ["degraded", "coverage_lost", "recovered", "recovered"]


async def test_sites_of_which_nothing_is_known_are_announced_after_hours_in_which_we_could_see(
    watched: Watched, desk: AlertDesk
) -> None:
    channel = await desk.channel()
    await desk.rule(channel, kinds=SITE_KINDS)
    day_ago = watched.now - 24 * HOUR
    never = await watched.site("unknown", since=day_ago, reason="never_seen")
    other = await watched.site("unknown", since=day_ago + HOUR, reason="never_seen")
    silent = await watched.site("unknown", since=watched.now - 6 * HOUR, reason="silent")
    await watched.site("unknown", since=watched.now - 8 * HOUR, reason="blind")
    lapsed = await watched.site("up", since=day_ago)
    await watched.become(lapsed, "up", since=watched.now - 9 * HOUR, evidence_at=watched.now - 7 * HOUR)
    async with transaction(watched.sessions) as session:
        blind = [(watched.now - 3 * HOUR, HOUR), (watched.now - 3 * HOUR, HOUR / 2)]
        session.add_all(
            Blind(source="central", started_at=start, ended_at=start + long, reason="uplink") for start, long in blind
        )
    await watched.look()
    assert await desk.told(channel) == []
    await watched.look(watched.now + HOUR)
    told = {subject: kind for kind, subject in await desk.told(channel)}
    assert told == {f"site:{never}": "never_seen", f"site:{silent}": "coverage_lost", f"site:{lapsed}": "coverage_lost"}
    later = watched.now + 2 * HOUR
    await watched.become(never, "up", since=later, evidence_at=later)
    await watched.become(silent, "down", since=later, evidence_at=later)
    await watched.execute("UPDATE site SET lifecycle = 'suspended' WHERE id = :site", site=lapsed)
    await watched.look(later)
    ends = {subject: kind for kind, subject in (await desk.told(channel))[3:]}
    assert ends == {
        f"site:{never}": "recovered",
        f"site:{other}": "never_seen",
        f"site:{silent}": "recovered",
        f"site:{lapsed}": "withdrawn",
    }


async def test_while_we_do_not_see_that_is_announced_once_and_nothing_of_sites(
    watched: Watched, desk: AlertDesk
) -> None:
    province, district = await desk.channel("64"), await desk.channel()
    await desk.rule(province, office="64", kinds=[AlertKind.SERVICE_UNWELL, *SITE_KINDS])
    await desk.rule(district, kinds=SITE_KINDS)
    await watched.evaluate(watched.now)
    assert await desk.announcements() == [], "nothing was ever measured"
    await watched.site("unknown", since=watched.now - 48 * HOUR, reason="never_seen")
    since = watched.now - timedelta(minutes=3)
    await watched.look(since + timedelta(minutes=2), blind_since=since)
    assert await desk.announcements() == []
    for minute in range(3):
        await watched.look(watched.now + timedelta(minutes=minute), blind_since=since)
    assert await desk.told(province) == [("service_unwell", "service:blind")]
    await watched.evaluate(watched.now + timedelta(minutes=10))
    assert await desk.told(province) == [
        ("service_unwell", "service:blind"),
        ("recovered", "service:blind"),
        ("service_unwell", "service:worker"),
    ]
    assert await desk.told(district) == []
    await watched.look(watched.now + timedelta(minutes=11))
    assert [kind for kind, _ in await desk.told(province)][-2:] == ["recovered", "never_seen"]


async def test_a_channel_that_fails_is_announced_through_the_others(watched: Watched, desk: AlertDesk) -> None:
    channels = {
        name: await desk.channel(office) for name, office in [("ok", "64"), ("failing", "64.02"), ("silent", "64.03")]
    }
    for name, office in [("ok", "64"), ("failing", "64.02"), ("silent", "64.03")]:
        await desk.rule(channels[name], office=office, kinds=[AlertKind.SERVICE_UNWELL])
    async with transaction(watched.sessions) as session:
        for name in ("failing", "silent"):
            session.add(
                Notification(
                    key="00000000-0000-0000-0000-000000000000",
                    channel_id=channels[name],
                    region_code="64",
                    kind=NotificationKind.WEEKLY_TEST,
                    created_at=watched.now - 25 * HOUR,
                    content={},
                    title="",
                    text="",
                    state=NotificationState.QUEUED if name == "failing" else NotificationState.DEAD,
                )
            )
    failed = watched.now - timedelta(minutes=16)
    await watched.execute(
        "INSERT INTO delivery_attempt (notification_id, started_at, took_ms, outcome) "
        "SELECT id, :at, 1, 'queued' FROM notification WHERE channel_id = :channel",
        at=failed,
        channel=channels["failing"],
    )
    await desk.change(
        Channel, channels["failing"], accepted_at=failed - HOUR, failures=2, problem="HTTP 404", name="Telegram"
    )  # refused for good, so that nothing waits for a next try
    await watched.execute("UPDATE notification SET created_at = :at WHERE state = 'queued'", at=failed)
    await watched.look()
    await watched.look()
    told = {row.subject: row for row in await desk.announcements()}
    assert len(await desk.announcements()) == 2
    assert {row.channel_id for row in told.values()} == {channels["ok"]}
    assert told[f"channel:{channels['failing']}"].facts == {
        "what": "channel_failing",
        "channel": "Telegram",
        "problem": "HTTP 404",
    }
    assert (told[f"channel:{channels['silent']}"].facts or {})["what"] == "channel_silent"
    await desk.change(Channel, channels["failing"], accepted_at=watched.now, failures=0)
    await watched.look()
    assert (await desk.told(channels["ok"]))[-1] == ("recovered", f"channel:{channels['failing']}")


async def test_a_spent_budget_is_announced_once_a_month(watched: Watched, desk: AlertDesk) -> None:
    channel = await desk.channel()
    await desk.rule(channel, kinds=[AlertKind.BUDGET_SPENT])
    site = await watched.site("up", since=watched.now, technology="geo", probe="push", speed_budget_mb=50)
    month = month_of(watched.now)
    await watched.execute(
        "INSERT INTO push_traffic (site_id, month, bytes, requests) VALUES (:site, :month, 50000001, 10)",
        site=site,
        month=month,
    )
    await watched.look()
    await watched.look(watched.now + HOUR)
    (onset,) = await desk.announcements()
    assert (onset.version, onset.facts) == (
        int(midnight(month).timestamp()),
        {"budget_mb": 50.0, "spent_mb": 50.0, "month": f"{month:%Y-%m}"},
    )
    await watched.look(watched.now + timedelta(days=32))
    assert len(await desk.announcements()) == 1, "the month is over, and nobody needs to be told that"
    await watched.execute("UPDATE site SET speed_budget_mb = 60 WHERE id = :site", site=site)
    await watched.look()
    assert [kind for kind, _ in await desk.told(channel)] == ["budget_spent", "recovered"]


async def test_a_contract_is_at_risk_once_most_of_the_downtime_that_its_target_allows_is_used(
    watched: Watched, desk: AlertDesk
) -> None:
    channel, elsewhere = await desk.channel(), await desk.channel("64.03")
    await desk.rule(channel, kinds=[AlertKind.CONTRACT_AT_RISK])
    await desk.rule(elsewhere, office="64.03", kinds=[AlertKind.CONTRACT_AT_RISK])
    month = datetime(2026, 10, 1, tzinfo=WITA)
    async with watched.sessions() as session:
        sites = [await site_since(session, watched.scenario.cast, month - HOUR) for _ in range(2)]
        contract = await make_contract(session, "K-1", sla_target_pct=99)  # 26,784 s of the month for each
        for site in sites:
            await assign(session, site, contract, month.date())
        began = month + timedelta(days=2)
        for down, expected in ((10, []), (12, [f"contract:{contract}"]), (16, [f"contract:{contract}"])):
            await set_states(session, sites[0], (month - HOUR, "up"), (began, "down"), (began + down * HOUR, "up"))
            await execute(session, "UPDATE site_status SET evidence_at = :at", at=month + timedelta(days=5))
            async with session.begin():
                finding = await find_at_risk(session, [f"contract:{contract}"], now=month + timedelta(days=5))
            assert [each.subject for each in finding.conditions] == expected
    assert finding.conditions[0].facts == {
        "contract": "K-1",
        "month": "2026-10",
        "target_pct": 99.0,
        "best_pct": 98.924,
        "worst_pct": 98.924,
        "allowed_s": 53_568,
        "down_s": 57_600,
        "used_pct": 107.526,
        "sites": 2,
        "sites_missed": 1,
    }
    await watched.look(month + timedelta(days=5))
    await watched.look(month + timedelta(days=5, minutes=59))
    assert [row.channel_id for row in await desk.announcements()] == [channel]
    async with watched.sessions() as session:
        await set_states(session, sites[0], (month - HOUR, "up"))
    await watched.look(month + timedelta(days=5, minutes=30))
    assert len(await desk.announcements()) == 1, "its figures are looked at each hour"
    await watched.look(month + timedelta(days=5, hours=1))
    assert [kind for kind, _ in await desk.told(channel)] == ["contract_at_risk", "recovered"]
