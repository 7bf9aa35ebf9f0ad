"""An office's first channel brings the rules that are right on the first day; later they are the office's own."""

from sqlalchemy import select

from app.alerts.default_rules import ensure_default_rules
from app.alerts.models import AlertRule
from app.core.clock import utc_now
from app.postgres.engine import transaction
from app.registry.models import Provider
from tests.factories import BERAU_VILLAGE
from tests.support.alerts import AlertDesk
from tests.support.incident_scenario import IncidentScenario


async def ensure(desk: AlertDesk, office: str, channel: int, provider_id: int | None = None) -> list[AlertRule]:
    async with transaction(desk.sessions) as session:
        return await ensure_default_rules(session, office, channel, "ana", provider_id)


async def test_each_office_begins_with_its_own_rules_and_only_once(scenario: IncidentScenario, desk: AlertDesk) -> None:
    district, province = await desk.channel(), await desk.channel("64")
    rules = await ensure(desk, "64.02", district)
    assert {kind for rule in rules for kind in rule.kinds} == {
        "down",
        "shared",
        "degraded",
        "never_seen",
        "coverage_lost",
    }
    by_kind = {kind: rule for rule in rules for kind in rule.kinds}
    assert (by_kind["down"].quiet_from, by_kind["down"].quiet_to, by_kind["shared"].quiet_from) == (1320, 360, None)
    assert {(rule.escalate_to, rule.escalate_after_min) for rule in rules} == {("64", 60), (None, None)}
    of_province = await ensure(desk, "64", province)
    assert {kind for rule in of_province for kind in rule.kinds} == {
        "shared",
        "escalated",
        "service_unwell",
        "contract_at_risk",
        "budget_spent",
        "daily_digest",
    }
    async with transaction(desk.sessions) as session:
        iconplus = await session.scalar(select(Provider.id).where(Provider.slug == "iconplus"))
    of_provider = await desk.channel(provider="iconplus")
    (rule,) = await ensure(desk, "64.02", of_provider, iconplus)
    assert (rule.kinds, rule.least_s, rule.quiet_from) == (["down", "shared"], 300, None)
    await desk.change(AlertRule, rules[0].id, deleted_at=utc_now())
    assert await ensure(desk, "64.02", await desk.channel()) == []
    assert await ensure(desk, "64.02", of_provider, iconplus) == []


async def test_with_them_a_district_hears_of_its_own_outages_and_the_province_of_shared_ones_alone(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    channels = {office: await desk.channel(office) for office in ("64", "64.02", "64.03")}
    for office, channel in channels.items():
        await ensure(desk, office, channel)
    for number in range(5):
        site = await scenario.site()
        await scenario.write(site, (0, 600, "up"), (600, None, "down"))
        if number == 3:
            assert {row.region_code for row in await desk.announcements()} == {"64.02"}
    assert [kind for kind, _ in await desk.told(channels["64.02"])] == ["down"] * 4 + ["shared"]
    assert [kind for kind, _ in await desk.told(channels["64"])] == ["shared"]
    assert await desk.told(channels["64.03"]) == []
    (row,) = (await desk.announcements(channels["64.02"]))[4:]
    async with transaction(desk.sessions) as session:
        rule = await session.get_one(AlertRule, row.rule_id)
    assert rule.quiet_from is None, "a shared outage is told also at night"
    await scenario.write(await scenario.site(village_code=BERAU_VILLAGE), (0, 600, "up"), (600, None, "down"))
    assert [kind for kind, _ in await desk.told(channels["64.03"])] == ["down"]
