"""A clock that is set back, or ran ahead for a while, delays no message for as long and repeats none."""

from datetime import timedelta

from tests.support.alerts import AlertDesk
from tests.support.incident_scenario import IncidentScenario

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


async def go_down(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 600, "up"), (600, None, "down"))


async def kinds(desk: AlertDesk) -> list[str]:
    return [each.kind.value for each in await desk.notifications()]


async def test_what_was_announced_before_the_clock_was_set_back_is_told_now_and_once(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    await desk.rule(await desk.channel())
    await go_down(scenario)
    for after in (0, 1, 40, 3600, 3640):
        await desk.compose(scenario.now - HOUR + after * SECOND)
        assert await kinds(desk) == ["onset"]


async def test_what_was_told_by_a_clock_that_ran_ahead_keeps_nothing_waiting(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    await desk.rule(await desk.channel())
    await go_down(scenario)
    await desk.compose(scenario.now + HOUR)
    await go_down(scenario)
    await desk.compose(scenario.now + 40 * SECOND)
    assert await kinds(desk) == ["onset", "update"]
    await go_down(scenario)
    await desk.compose(scenario.now + 80 * SECOND)
    assert await kinds(desk) == ["onset", "update"], "from then on its interval counts"
    await desk.compose(scenario.now + 6 * MINUTE)
    assert await kinds(desk) == ["onset", "update", "update"]
    assert [content.down.total for content in await desk.contents()] == [1, 2, 3]
