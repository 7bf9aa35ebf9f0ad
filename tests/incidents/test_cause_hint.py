"""The uptime that a device reports after an outage tells a power cut from a link failure."""

import pytest
from sqlalchemy import text

from app.incidents.cause_hint import DeviceUptime, hint
from app.incidents.must_act import BY_CAUSE, Actor, must_act
from app.postgres.engine import transaction
from app.registry.models import Cause
from tests.support.incident_scenario import IncidentScenario
from tests.support.push_receipts import add_receipt


def test_who_must_act_follows_from_the_cause_a_person_set_or_else_the_evidence() -> None:
    assert must_act(Cause.POWER, Cause.LINK) is Actor.POWER
    assert must_act(None, Cause.LINK) is must_act(Cause.UNCLASSIFIED, Cause.PROVIDER) is Actor.PROVIDER
    assert must_act(None, None) is must_act(Cause.UNCLASSIFIED, None) is Actor.OFFICE
    assert set(BY_CAUSE) == set(Cause) - {Cause.UNCLASSIFIED}


async def cause_hint(scenario: IncidentScenario) -> str | None:
    (incident,) = await scenario.list_incidents()
    return incident["cause_hint"]  # type: ignore[no-any-return]


def test_up_for_shorter_than_it_was_away_its_power_was_off() -> None:
    assert hint(shared=False, device=DeviceUptime(uptime_s=40, outage_s=600)) is Cause.POWER
    assert hint(shared=False, device=DeviceUptime(uptime_s=86_400, outage_s=600)) is Cause.LINK
    assert hint(shared=True, device=DeviceUptime(uptime_s=40, outage_s=600)) is Cause.PROVIDER
    assert hint(shared=False) is None


# An outage from 100 to 700, the last answer before it at 40.
@pytest.mark.parametrize(
    ("booted", "expected"),
    [(660, "power"), (90, "power"), (720, "power"), (30, "link"), (-90_000, "link"), (None, None)],
)
async def test_the_boot_that_is_alive_when_the_site_is_back_tells_what_was_off(
    scenario: IncidentScenario, booted: int | None, expected: str | None
) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    await add_receipt(scenario, site, "now", booted=booted, first=min(booted or 700, 700), last=760)
    assert await cause_hint(scenario) is None, "of an outage that lasts nothing is known"
    await scenario.write(site, (0, 100, "up"), (100, 700, "down"), (700, None, "up"))
    assert await cause_hint(scenario) == expected


async def test_boots_before_and_after_the_return_say_nothing_of_it(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await add_receipt(
        scenario, site, "before", booted=-5000, first=-4900, last=40
    )  # not heard since: is it still that one?
    await add_receipt(scenario, site, "later", booted=2000, first=2010, last=3000)
    await scenario.write(site, (0, 100, "up"), (100, 700, "down"), (700, None, "up"))
    assert await cause_hint(scenario) is None
    await add_receipt(scenario, site, "mute", booted=None, first=700, last=1900)
    await add_receipt(
        scenario, site, "before", booted=-5000, first=-4900, last=800
    )  # from its spool, it was measuring all along
    await scenario.write(site, (0, 100, "up"), (100, 710, "down"), (710, None, "up"))
    assert await cause_hint(scenario) == "link"


async def test_late_rows_that_move_the_outage_change_the_hint_and_a_persons_cause_stays(
    scenario: IncidentScenario,
) -> None:
    site = await scenario.site()
    await add_receipt(scenario, site, "now", booted=300, first=400, last=760)
    await scenario.write(site, (0, 100, "up"), (100, 700, "down"), (700, None, "up"))
    (made,) = await scenario.list_incidents()
    assert made["cause_hint"] == "power"
    await scenario.patch(made["id"], cause="billing")
    await scenario.write(site, (0, 400, "up"), (400, 700, "down"), (700, None, "up"))  # the device itself had answers
    (moved,) = await scenario.list_incidents()
    assert (moved["id"], moved["cause_hint"], moved["cause"]) == (made["id"], "link", "billing")
    events = (await scenario.get(made["id"]))["events"]
    assert [event["after"].get("cause_hint") for event in events if event["kind"] == "moved"] == ["link"]


async def test_what_a_device_said_is_remembered_when_its_receipts_are_gone(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await add_receipt(scenario, site, "now", booted=300, first=400, last=760)
    await scenario.write(site, (0, 100, "up"), (100, 700, "down"), (700, None, "up"))
    async with transaction(scenario.sessions) as session:
        await session.execute(text("DELETE FROM push_receipt"))
    await scenario.write(site, (0, 110, "up"), (110, 700, "down"), (700, None, "up"))
    assert await cause_hint(scenario) == "power"
    await scenario.write(site, (0, 110, "up"), (110, None, "down"))
    assert await cause_hint(scenario) is None, "it lasts after all"
