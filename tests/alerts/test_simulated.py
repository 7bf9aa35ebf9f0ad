"""What a demo tells says so, in whichever form."""

from datetime import timedelta

import pytest

from app.alerts import message_facts
from app.alerts.models import MessageForm
from app.settings import AlertsSettings, Settings
from tests.support.alerts import AlertDesk
from tests.support.incident_scenario import IncidentScenario


async def test_each_message_of_a_demo_says_that_it_is_simulated(
    scenario: IncidentScenario, desk: AlertDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.rule(await desk.channel(), await desk.channel(form=MessageForm.SHORT))
    site = await scenario.site()
    await scenario.write(site, (0, 600, "up"), (600, None, "down"))
    demo = Settings(alerts=AlertsSettings(simulated=True))
    monkeypatch.setattr(message_facts, "settings", lambda: demo)
    await desk.compose(scenario.now + timedelta(minutes=1))
    long, short = await desk.notifications()
    for told in (long.title, long.text, short.text):
        assert told.startswith("SIMULASI")
