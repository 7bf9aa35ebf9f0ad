"""What would last week have sent? The ledger answers, by the same gate and groups as the courier's."""

from datetime import datetime, timedelta
from typing import Any

from app.alerts.preview_schemas import RulePreview
from app.core.clock import WITA
from tests.conftest import Cast, Person
from tests.factories import BERAU_VILLAGE
from tests.support.alerts import AlertDesk
from tests.support.incident_scenario import IncidentScenario


async def previewed(person: Person, **changes: Any) -> dict[str, Any]:
    rule = {"name": "Percobaan", "office": "64.02", "kinds": ["down"], "least_s": 0, **changes}
    answer = await person.post("/rules/preview", rule)
    assert answer.status_code == 200, answer.text
    RulePreview.model_validate(answer.json())
    return answer.json()  # type: ignore[no-any-return]


def kinds(preview: dict[str, Any]) -> list[tuple[str, int]]:
    return [(item["kind"], item["sites"]) for item in preview["items"]]


async def test_an_outage_would_have_been_told_with_its_end_and_nothing_is_stored(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    cast = scenario.cast
    await desk.channel()
    site = await scenario.site()
    await scenario.write(site, (0, 600, "up"), (600, 1200, "down"), (1200, None, "up"))
    preview = await previewed(cast.ana)
    assert (kinds(preview), preview["notifications"]) == ([("onset", 1), ("recovery", 1)], 2)
    onset, recovery = (scenario.second(item["at"]) for item in preview["items"])
    assert onset is not None
    assert recovery is not None
    assert 640 <= onset <= 645, "confirmed, and then the wait of its group"
    assert 1230 <= recovery <= 1235
    assert sum(day["notifications"] for day in preview["days"]) == 2
    assert (await cast.ana.get("/rules")).json()["items"] == []
    assert (await cast.ana.get("/notifications")).json()["items"] == []
    assert kinds(await previewed(cast.ana, kinds=["shared"])) == []
    assert kinds(await previewed(cast.ana, kinds=["shared", "recovered"])) == [("recovery", 1)]
    assert kinds(await previewed(cast.ana, technologies=["geo"])) == []
    longer = await previewed(cast.ana, least_s=3600)
    assert (longer["items"], longer["not_sent"]) == ([], {"too_short": 1})


async def test_what_one_provider_lost_at_once_is_one_message_and_quiet_hours_make_one_digest(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    await desk.channel()
    for number in range(4):
        site = await scenario.site()
        await scenario.write(site, (0, 600 + number, "up"), (600 + number, 1200, "down"), (1200, None, "up"))
    assert kinds(await previewed(scenario.cast.ana)) == [("onset", 4), ("recovery", 4)]
    begins = _minute(scenario.at(0) - timedelta(minutes=2))
    quiet = await previewed(scenario.cast.ana, quiet_from=begins, quiet_to=_minute(scenario.at(1500)))
    assert kinds(quiet) == [("held", 4)]
    assert (quiet["items"][0]["held"], quiet["held"]) == ("quiet_hours", {"quiet_hours": 4})


async def test_planned_work_would_not_have_been_told_and_what_outlasts_it_would(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    await desk.channel()
    sites = [await scenario.site(), await scenario.site(provider="iconplus")]
    for site in sites:
        window = {
            "site": site,
            "title": "Ganti kabel",
            "reason": "terlambat dicatat",
            "started_at": scenario.at(500).isoformat(),
            "ended_at": scenario.at(1300).isoformat(),
        }
        assert (await scenario.cast.ana.post("/maintenance", window)).status_code == 201
    await desk.announce_windows(scenario.at(0))
    await scenario.write(sites[0], (0, 600, "up"), (600, 1200, "down"), (1200, None, "up"))
    await scenario.write(sites[1], (0, 600, "up"), (600, 1800, "down"), (1800, None, "up"))
    preview = await previewed(scenario.cast.ana)
    assert kinds(preview) == [("onset", 1), ("recovery", 1)], "of the one that outlasted it"
    assert (preview["not_sent"], preview["held"]) == ({"in_maintenance": 1}, {"maintenance": 2})
    assert scenario.second(preview["items"][0]["at"]) in range(1300, 1306)


async def test_a_tower_elsewhere_would_have_been_told_with_what_it_cut_off_here(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    await desk.channel()
    tower = await scenario.site(kind="node", village_code=BERAU_VILLAGE)
    await scenario.write(tower, (0, 600, "up"), (600, 1200, "down"), (1200, None, "up"))
    assert kinds(await previewed(scenario.cast.ana)) == []
    for _ in range(3):
        await scenario.site(parent_id=tower)
    assert kinds(await previewed(scenario.cast.ana, kinds=["shared"])) == [("onset", 3), ("recovery", 3)]


async def test_a_channel_that_tells_a_provider_hears_of_its_own_sites_alone(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    to_provider = await desk.channel(provider="iconplus")
    for slug in ("iconplus", "telkom-wms"):
        site = await scenario.site(provider=slug)
        await scenario.write(site, (0, 600, "up"), (600, None, "down"))
    preview = await previewed(scenario.cast.ana, channels=[to_provider])
    assert kinds(preview) == [("onset", 1)]


async def test_only_who_may_write_the_rule_previews_it(cast: Cast, desk: AlertDesk) -> None:
    await desk.channel()
    rule = {"name": "Percobaan", "office": "64.02", "kinds": ["down"]}
    statuses = [(await person.post("/rules/preview", rule)).status_code for person in (cast.ben, cast.vera, cast.icon)]
    assert statuses == [403, 403, 403]
    empty = await previewed(cast.ana)
    assert (empty["items"], empty["days"], empty["held"], empty["not_sent"]) == ([], [], {}, {})


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(WITA):%H:%M}"
