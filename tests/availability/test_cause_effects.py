"""What a cause would change of the months that contracts count, before anybody sets it."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA
from app.postgres.engine import transaction
from tests.support.incident_scenario import IncidentScenario
from tests.support.site_histories import under_contract


async def effects(scenario: IncidentScenario, incident: int, cause: str) -> Any:
    answer = await scenario.cast.ana.get(f"/incidents/{incident}/cause-effects", params={"cause": cause})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_cause_is_tried_before_it_is_set(scenario: IncidentScenario, session: AsyncSession) -> None:
    site = await scenario.site()
    first = scenario.at(-100).astimezone(WITA).date() - timedelta(days=1)
    terms = {"min_outage_s": 60, "excluded_causes": ["power"]}
    await under_contract(session, site, valid_from=first, terms=[(first, terms)])
    await scenario.write(site, (0, 100, "up"), (100, 400, "down"), (400, None, "up"))
    (incident,) = await scenario.list_incidents()
    month = f"{scenario.at(100).astimezone(WITA):%Y-%m}"
    (effect,) = (await effects(scenario, incident["id"], "power"))["items"]
    assert (effect["site"]["id"], effect["month"], effect["closed_at"]) == (site, month, None)
    assert (effect["before"]["counted_down_s"], effect["after"]["counted_down_s"]) == (300, 0)
    assert effect["after"]["availability_pct"] == 100.0
    assert (await effects(scenario, incident["id"], "link"))["items"] == [], "the terms count it as before"
    async with transaction(scenario.sessions) as writing:
        await writing.execute(
            text(
                "INSERT INTO closed_month (site_id, month, closed_at, figures) "
                "VALUES (:site, cast(:month AS date), now(), '{}')"
            ),
            {"site": site, "month": scenario.at(100).astimezone(WITA).date().replace(day=1)},
        )
    (effect,) = (await effects(scenario, incident["id"], "power"))["items"]
    assert effect["closed_at"] is not None
    await scenario.patch(incident["id"], cause="power")
    assert (await effects(scenario, incident["id"], "power"))["items"] == [], "it is set now"
    (effect,) = (await effects(scenario, incident["id"], "link"))["items"]
    assert (effect["before"]["counted_down_s"], effect["after"]["counted_down_s"]) == (0, 300)
    path = f"/incidents/{incident['id']}/cause-effects"
    assert (await scenario.cast.ben.get(path, params={"cause": "power"})).status_code == 404
    assert (await scenario.cast.vera.get(path, params={"cause": "power"})).status_code == 403
