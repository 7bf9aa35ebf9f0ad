"""What nobody acknowledges, or is too large for one office, is told to the one above; what lasts, again each day."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alerts.conditions import ConditionWatch
from app.alerts.escalation import last_moment
from app.alerts.models import AlertKind, Announcement, AnnouncementState, Notification, NotificationKind
from app.core.clock import WITA, midnight, to_wita
from app.postgres.engine import transaction
from app.worker import writer
from tests.factories import BERAU_VILLAGE
from tests.support.alerts import AlertDesk
from tests.support.incident_scenario import IncidentScenario

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Desks:
    """A district that escalates to the province, and a courier that sends what is due."""

    def __init__(self, scenario: IncidentScenario, desk: AlertDesk) -> None:
        self.scenario, self.desk, self.now = scenario, desk, scenario.now

    async def open(self, *, province: Any = (), **district: Any) -> None:
        self.district, self.province = await self.desk.channel(), await self.desk.channel("64")
        await self.desk.rule(self.district, **district)
        kinds = [AlertKind.ESCALATED, *province]
        await self.desk.rule(self.province, office="64", kinds=kinds)

    async def go_down(self, count: int, **fields: Any) -> list[int]:
        sites = [await self.scenario.site(**fields) for _ in range(count)]
        for site in sites:
            await self.scenario.write(site, (0, 600, "up"), (600, None, "down"))
        return sites

    async def send(self, at: datetime | None = None) -> None:
        """Have everything that waits told at that moment."""
        async with transaction(self.desk.sessions) as session:
            for row in await self.desk.announcements():
                if row.state is AnnouncementState.PENDING:
                    notification = Notification(
                        key=uuid4(),
                        channel_id=row.channel_id,
                        region_code=row.region_code,
                        kind=NotificationKind.ONSET,
                        created_at=at or self.now,
                        content={},
                        title="",
                        text="",
                    )
                    session.add(notification)
                    await session.flush()
                    told = {"state": AnnouncementState.SENT, "notification_id": notification.id}
                    await self.desk.change(Announcement, row.id, **told)

    async def look(self, *moments: datetime, blind: bool = False) -> None:
        for now in moments:
            async with transaction(self.desk.sessions) as session:
                blind_since = now if blind else None
                await writer.write_beat(session, now=now, started_at=self.now, blind_since=blind_since, figures={})
            async with transaction(self.desk.sessions) as session:
                await ConditionWatch().evaluate(session, now=now)

    async def kinds(self, channel: int) -> list[str]:
        return [kind for kind, _ in await self.desk.told(channel)]


@pytest.fixture
def desks(scenario: IncidentScenario, desk: AlertDesk) -> Desks:
    return Desks(scenario, desk)


async def test_what_nobody_acknowledges_is_escalated_once_some_time_after_it_was_told(desks: Desks) -> None:
    await desks.open(escalate_to="64", escalate_after_min=60)
    (site,) = await desks.go_down(1)
    await desks.go_down(1, village_code=BERAU_VILLAGE)  # whose office has no rules
    hour = desks.now + HOUR
    await desks.look(hour + HOUR)
    assert await desks.kinds(desks.province) == [], "it is held, so nobody could acknowledge it yet"
    await desks.send()
    await desks.look(hour - MINUTE)
    assert await desks.kinds(desks.province) == []
    await desks.look(hour, blind=True)
    assert await desks.kinds(desks.province) == [], "while we are blind nothing is told of sites"
    await desks.look(hour, hour - 2 * DAY, hour + 2 * DAY, hour)
    (row,) = await desks.desk.announcements(desks.province)
    assert (row.kind, row.facts) == ("escalated", {"minutes": 60, "from": "64.02"})
    await desks.scenario.write(site, (0, 600, "up"), (600, 900, "down"), (900, None, "up"))
    assert await desks.kinds(desks.province) == ["escalated", "recovered"], "who was told of it is told of its end"


async def test_an_acknowledgement_keeps_it_from_being_escalated_and_reminded_of(desks: Desks) -> None:
    await desks.open(escalate_to="64", escalate_after_min=60, remind_at=480)
    await desks.go_down(1)
    await desks.send()
    (incident,) = await desks.scenario.list_incidents()
    await desks.scenario.patch(incident["id"], desks.scenario.cast.ana, status="acknowledged")
    await desks.look(desks.now + 2 * HOUR, desks.now + 2 * DAY)
    assert (await desks.kinds(desks.district), await desks.kinds(desks.province)) == (["down"], [])
    await desks.scenario.patch(incident["id"], desks.scenario.cast.ana, status="open")
    await desks.look(desks.now + 2 * DAY)
    assert await desks.kinds(desks.province) == ["escalated"]


async def test_a_rule_escalates_also_what_another_rule_had_announced(desks: Desks) -> None:
    await desks.open(escalate_to="64", escalate_after_min=60, remind_at=480, least_s=7200)
    await desks.desk.rule(desks.district, kinds=[AlertKind.DOWN])
    await desks.desk.rule(desks.district, kinds=[AlertKind.DOWN], remind_at=485)
    await desks.go_down(1)
    await desks.send()
    await desks.look(desks.now + HOUR, desks.now + 2 * DAY)
    assert await desks.kinds(desks.province) == ["escalated"]
    assert await desks.kinds(desks.district) == ["down", "reminder"], "one a day"


async def test_an_outage_of_more_sites_is_escalated_at_once_but_not_to_who_knows_of_it(desks: Desks) -> None:
    await desks.open(escalate_to="64", escalate_beyond_sites=5, escalate_after_min=60)
    knowing = await desks.desk.channel("64")
    await desks.desk.rule(knowing, office="64", kinds=[AlertKind.SHARED, AlertKind.ESCALATED])
    await desks.go_down(5)
    await desks.send()
    await desks.look(desks.now + MINUTE)
    assert await desks.kinds(desks.province) == []
    await desks.go_down(1)
    await desks.send()
    await desks.look(desks.now + MINUTE, desks.now + 2 * MINUTE)
    (row,) = await desks.desk.announcements(desks.province)
    assert row.facts == {"sites": 6, "beyond_sites": 5, "from": "64.02"}
    assert await desks.kinds(knowing) == ["shared"]
    await desks.look(desks.now + HOUR, desks.now + 2 * HOUR)
    assert await desks.kinds(desks.province) == ["escalated", "escalated"], "that nobody acknowledged it is news"
    assert await desks.kinds(knowing) == ["shared", "escalated"]


async def test_a_tower_counts_with_what_it_cuts_off_of_the_office_and_is_shared(desks: Desks) -> None:
    await desks.open(escalate_to="64", escalate_beyond_sites=5, kinds=[AlertKind.SHARED], remind_at=480)
    tower = await desks.scenario.site(kind="node")
    for _ in range(4):
        await desks.scenario.site(parent_id=tower)
    await desks.scenario.site(parent_id=tower, village_code=BERAU_VILLAGE)
    await desks.scenario.write(tower, (0, 600, "up"), (600, None, "down"))
    await desks.send()
    await desks.look(desks.now + MINUTE)
    assert await desks.kinds(desks.province) == [], "another district's are not among this one's five"
    await desks.scenario.site(parent_id=tower)
    await desks.look(desks.now + MINUTE, desks.now + 2 * DAY)
    (row,) = await desks.desk.announcements(desks.province)
    assert row.facts == {"sites": 6, "beyond_sites": 5, "from": "64.02"}
    assert await desks.kinds(desks.district) == ["shared", "reminder"]


async def test_a_district_that_mutes_its_rule_does_not_keep_the_province_from_hearing(desks: Desks) -> None:
    muted_until = desks.now + 31 * DAY
    await desks.open(escalate_to="64", escalate_after_min=60, muted_until=muted_until)
    await desks.go_down(1)
    await desks.look(desks.now + 2 * HOUR)
    assert await desks.kinds(desks.province) == [], "nobody has looked yet what holds it"
    await desks.desk.compose(desks.now + MINUTE)
    await desks.look(desks.now + HOUR - MINUTE)
    assert await desks.kinds(desks.province) == []
    await desks.look(desks.now + HOUR, desks.now + 2 * HOUR)
    (row,) = await desks.desk.announcements(desks.province)
    assert (row.kind, row.facts) == ("escalated", {"minutes": 60, "from": "64.02"})
    await desks.desk.compose(desks.now + 2 * HOUR)
    assert [each.channel_id for each in await desks.desk.notifications()] == [desks.province]


async def test_what_lasts_is_reminded_of_each_day_whatever_the_clock_does(desks: Desks) -> None:
    await desks.open(remind_at=480)
    (site,) = await desks.go_down(1)
    eight = midnight(to_wita(desks.now).date()) + DAY + 8 * HOUR
    await desks.send(eight - DAY - HOUR / 2)
    await desks.look(eight - MINUTE)
    assert await desks.kinds(desks.district) == ["down"], "it was told just before"
    await desks.look(eight, eight + MINUTE, eight - HOUR, eight + 12 * HOUR)
    assert await desks.kinds(desks.district) == ["down", "reminder"]
    await desks.look(eight + DAY + 20 * HOUR, eight, eight + DAY)
    assert await desks.kinds(desks.district) == ["down", "reminder", "reminder"]
    await desks.scenario.write(site, (0, 600, "up"), (600, 900, "down"), (900, None, "up"))
    await desks.look(eight + 2 * DAY)
    assert (await desks.kinds(desks.district))[2:] == ["reminder", "recovered"]


@given(st.integers(0, 1439), st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))  # noqa: DTZ001
def test_each_day_has_one_moment_of_reminders(minute: int, local: datetime) -> None:
    now = local.replace(tzinfo=WITA)
    moment = last_moment(minute, now)
    assert moment <= now < moment + DAY
    assert to_wita(moment).hour * 60 + to_wita(moment).minute == minute
