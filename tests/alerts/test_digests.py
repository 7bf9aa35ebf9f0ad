"""The digest of a day or a week, for offices that chose it."""

from datetime import date, datetime, timedelta
from typing import Any

from app.alerts.digests import write_digests
from app.alerts.models import AlertKind, Channel
from app.availability.models import ALL_PROVIDERS, ALL_TECHNOLOGIES, RegionAvailabilityDay
from app.core.clock import WITA, midnight
from app.postgres.engine import transaction
from tests.factories import BERAU_VILLAGE
from tests.support.alerts import AlertDesk
from tests.support.incident_scenario import IncidentScenario

DAY, MINUTE, HOUR = timedelta(days=1), timedelta(minutes=1), timedelta(hours=1)
WEDNESDAY, MONDAY = date(2031, 1, 8), date(2031, 1, 6)
LONG_AGO: dict[str, Any] = {"created_at": datetime(2030, 1, 1, tzinfo=WITA)}


def at(day: date, hour: int, minute: int) -> datetime:
    return midnight(day) + hour * HOUR + minute * MINUTE


async def write(scenario: IncidentScenario, now: datetime) -> int:
    async with transaction(scenario.sessions) as session:
        return await write_digests(session, now=now, base="https://sinyal.example")


async def count_day(scenario: IncidentScenario, region: str, day: date, **seconds: int) -> None:
    counts: dict[str, Any] = dict.fromkeys(
        ("up", "degraded", "down", "unreachable", "unknown", "maintenance", "claimed", "outages", "longest_outage_s"), 0
    )
    counts |= {"countable_down_s": 0, "contract_s": 0, "down_by_cause": {}, **seconds}
    async with transaction(scenario.sessions) as session:
        session.add(
            RegionAvailabilityDay(
                region_code=region, provider_id=ALL_PROVIDERS, technology=ALL_TECHNOLOGIES, day=day, **counts
            )
        )


async def test_a_day_is_told_once_from_half_past_seven_on(scenario: IncidentScenario, desk: AlertDesk) -> None:
    asks, other = await desk.channel(**LONG_AGO), await desk.channel(**LONG_AGO)
    await desk.rule(asks, kinds=[AlertKind.DAILY_DIGEST], **LONG_AGO)
    await desk.rule(other, **LONG_AGO)
    scenario.start, scenario.now = at(WEDNESDAY, 0, 0) - 10 * HOUR, at(WEDNESDAY, 7, 0)
    down, back, berau = [await scenario.site(village_code=v) for v in ("64.02.05.2003", "64.02.05.2004", BERAU_VILLAGE)]
    await scenario.write(down, (0, 600, "up"), (600, None, "down"))
    await scenario.write(back, (0, 600, "up"), (600, 4200, "down"), (4200, None, "up"))
    await scenario.write(berau, (0, 600, "up"), (600, None, "down"))
    await count_day(scenario, "64.02", WEDNESDAY - DAY, up=900, down=100, unknown=1000)
    assert await write(scenario, at(WEDNESDAY, 7, 29)) == 0
    counts = [await write(scenario, at(WEDNESDAY, 15, minute)) for minute in (0, 1)]
    assert counts == [1, 0], "also hours later, when the courier did not run at half past seven"
    (digest,) = await desk.contents()
    assert (digest.kind, digest.down.total, digest.recovered.total) == ("daily_digest", 1, 1)
    assert digest.down.sites[0].started_at == scenario.at(600)
    figures = digest.figures
    assert (figures["uptime_pct"], figures["coverage_pct"], figures["worst_pct"], figures["best_pct"]) == (
        90,
        50,
        45,
        95,
    )
    assert (figures["opened"], figures["resolved"], figures["unacknowledged"], figures["sites"]) == (2, 1, 1, 2)
    assert figures["providers"] == [{"name": "Telkom WMS", "outages": 2}]
    (row,) = await desk.notifications(asks)
    for told in ("90%", "45%", "95%", "50%", "Telkom WMS (2)"):
        assert told in row.text
    assert "https://sinyal.example/console/notifications/" in row.text


async def test_a_week_is_told_on_monday_and_a_day_that_was_missed_is_named_the_next_time(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    channel = await desk.channel("64", **LONG_AGO)
    await desk.rule(channel, office="64", kinds=[AlertKind.DAILY_DIGEST, AlertKind.WEEKLY_DIGEST], **LONG_AGO)
    for day in (MONDAY, MONDAY + DAY, MONDAY + 3 * DAY):
        await write(scenario, at(day, 7, 31))
    told = await desk.contents()
    assert [content.kind.value for content in told] == ["daily_digest", "weekly_digest", "daily_digest", "daily_digest"]
    assert [content.figures.get("skipped_on") for content in told] == [None, None, None, "2031-01-08"]
    assert "8 Januari 2031 tidak terkirim" in (await desk.notifications())[-1].text
    assert told[1].figures["from"] == midnight(MONDAY - 7 * DAY).isoformat()
    assert told[0].figures["uptime_pct"] is None, "no day is counted: nothing is claimed"


async def test_a_digest_is_not_sent_at_once_to_who_has_just_asked_nor_to_a_deleted_channel(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    fresh, gone, muted = [await desk.channel(**LONG_AGO) for _ in range(3)]
    await desk.rule(fresh, kinds=[AlertKind.DAILY_DIGEST], created_at=at(WEDNESDAY, 9, 0))
    await desk.rule(gone, kinds=[AlertKind.DAILY_DIGEST], **LONG_AGO)
    await desk.rule(muted, kinds=[AlertKind.DAILY_DIGEST], muted_until=at(WEDNESDAY, 12, 0), **LONG_AGO)
    await desk.change(Channel, gone, deleted_at=at(WEDNESDAY, 1, 0))
    assert await write(scenario, at(WEDNESDAY, 10, 0)) == 0
    assert await write(scenario, at(WEDNESDAY, 13, 0)) == 1
    assert {row.channel_id for row in await desk.notifications()} == {muted}
