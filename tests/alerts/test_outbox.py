"""What changes in an incident is announced in the same transaction: to whom rules name, once, and its end to them."""

import random
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.alerts.matching import RuleFacts, earliest
from app.alerts.models import ONSETS, AlertKind, AlertRule, Channel, DropReason, HoldReason
from app.alerts.outbox import write_announcements
from app.core.clock import WITA, utc_now
from app.core.daily_window import DailyWindow
from app.incidents.models import Incident
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import transaction
from app.worker.recount import recount
from tests.factories import BERAU_VILLAGE
from tests.support.alerts import AlertDesk
from tests.support.incident_scenario import IncidentScenario

DOWN, BACK = (600, None, "down"), (900, None, "up")
BEFORE = (0, 600, "up")


async def go_down(scenario: IncidentScenario, *sites: int, at: int = 600) -> None:
    for site in sites:
        await scenario.write(site, (0, at, "up"), (at, None, "down"))


async def come_back(scenario: IncidentScenario, *sites: int, at: int = 600, until: int = 900) -> None:
    for site in sites:
        await scenario.write(site, (0, at, "up"), (at, until, "down"), (until, None, "up"))


async def incident_of(scenario: IncidentScenario, status: str = "") -> str:
    (incident,) = [row for row in await scenario.list_incidents() if row["status"] in (status or row["status"])]
    return f"incident:{incident['id']}"


async def test_an_outage_and_its_recovery_are_announced_once_however_often_the_ledger_is_written(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    channel = await desk.channel()
    rule = await desk.rule(channel)
    await desk.rule(channel, kinds=[AlertKind.DOWN, AlertKind.SHARED])
    site = await scenario.site()
    await go_down(scenario, site)
    await scenario.write(site, BEFORE, (601, None, "down"))
    await go_down(scenario, site)
    (onset,) = await desk.announcements()
    subject = await incident_of(scenario)
    assert (onset.subject, onset.kind, onset.region_code, onset.channel_id, onset.rule_id) == (
        subject,
        "down",
        "64.02",
        channel,
        rule,
    )
    assert (onset.due_at, onset.hold_reason) == (scenario.now + timedelta(seconds=30), HoldReason.GROUPING)
    await come_back(scenario, site)
    await come_back(scenario, site, until=901)
    assert await desk.told(channel) == [("down", subject), ("recovered", subject)]
    await go_down(scenario, site)
    assert await desk.told(channel) == [("down", subject), ("recovered", subject), ("down", subject)], "reopened"


async def test_the_worker_announces_in_the_transaction_that_writes_the_ledger(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    channel = await desk.channel()
    await desk.rule(channel)
    site = await scenario.site()
    await scenario.write(site, BEFORE, DOWN, reconcile=False)
    async with scenario.sessions() as killed_before_commit:
        await recount(killed_before_commit, [DirtyRange(site, scenario.at(0), scenario.at(3600))])
    assert (await desk.announcements(), await scenario.list_incidents()) == ([], [])
    async with transaction(scenario.sessions) as session:
        await recount(session, [DirtyRange(site, scenario.at(0), scenario.at(3600))])
    assert await desk.told(channel) == [("down", await incident_of(scenario))]


OTHERS: list[dict[str, Any]] = [
    {"office": "64.03", "within": "64.03"},
    {"within": "64.02.06"},
    {"technologies": ["geo"]},
    {"provider_ids": [0]},
    {"kinds": [AlertKind.SHARED, AlertKind.DEGRADED, AlertKind.ESCALATED]},
    {"deleted_at": utc_now()},
    {"within": "64"},  # a district's rule never reaches beyond it, whatever is written there
]


async def test_only_rules_that_cover_the_site_announce_it(scenario: IncidentScenario, desk: AlertDesk) -> None:
    village = "64.02.05.2003"
    silent = [await desk.channel(other.get("office", "64.02")) for other in OTHERS]
    for channel, other in zip(silent, OTHERS, strict=True):
        await desk.rule(channel, **other)
    gone = await desk.channel(deleted_at=utc_now())
    foreign = await desk.channel("64.03")
    of_iconplus = await desk.channel(provider="iconplus")
    await desk.rule(gone, foreign, of_iconplus)
    village_alone = await desk.channel()
    await desk.rule(village_alone, within=village, technologies=["geo", "fiber"])
    province = await desk.channel("64")
    await desk.rule(province, office="64")
    of_provider = await desk.channel("64", provider="telkom-wms")
    await desk.rule(of_provider, office="64", least_s=300)
    berau = await scenario.site(village_code=BERAU_VILLAGE)
    await go_down(scenario, await scenario.site(village_code=village))
    assert {row.channel_id for row in await desk.announcements()} == {village_alone, province, of_provider, silent[-1]}
    await go_down(scenario, berau)
    assert {row.region_code for row in (await desk.announcements())[4:]} == {"64", "64.03"}


async def test_an_outage_shorter_than_a_rule_asks_for_waits_so_long(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    patient, both = await desk.channel(), await desk.channel()
    await desk.rule(patient, least_s=4000)
    await desk.rule(both, least_s=4000, quiet_from=0, quiet_to=1)
    prompt = await desk.rule(both, least_s=60)
    await go_down(scenario, await scenario.site())
    waits, soon = await desk.announcements()
    assert (waits.due_at, waits.hold_reason) == (scenario.at(4600), HoldReason.LEAST_DURATION)
    assert (soon.rule_id, soon.due_at) == (prompt, scenario.now + timedelta(seconds=30))


async def test_whoever_heard_of_one_site_hears_of_the_shared_outage_and_its_end(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    """Also those who do not ask for it any more, and those who first come in with a site that joins."""
    first, node = await desk.channel(), await scenario.site(kind="node")
    only_shared, berau = await desk.channel(), await desk.channel("64.03")
    rule = await desk.rule(first)
    await desk.rule(only_shared, kinds=[AlertKind.SHARED])
    await desk.rule(berau, office="64.03")
    sites = [await scenario.site(parent_id=node) for _ in range(5)]
    await go_down(scenario, sites[0])
    single = await incident_of(scenario)
    assert await desk.told(first) == [("down", single)]
    await desk.change(AlertRule, rule, deleted_at=utc_now())
    await go_down(scenario, *sites[1:])
    shared = await incident_of(scenario, status="open")
    assert await desk.told(first) == [("down", single), ("shared", shared)]
    assert await desk.told(only_shared) == [("shared", shared)]
    assert await desk.told(berau) == []
    joining = await scenario.site(parent_id=node, village_code=BERAU_VILLAGE)
    await go_down(scenario, joining, at=700)
    assert await desk.told(berau) == [("shared", shared)]
    await come_back(scenario, *sites)
    await come_back(scenario, joining, at=700)
    for channel in (first, only_shared, berau):
        assert (await desk.told(channel))[-2:] == [("shared", shared), ("recovered", shared)]
    assert (await desk.announcements(first))[-1].rule_id == rule, "for its quiet hours, as long as it is there"


async def test_an_office_whose_own_sites_are_back_is_not_told_of_the_others(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    node = await scenario.site(kind="node")
    sites = [await scenario.site(parent_id=node) for _ in range(5)]
    theirs = await scenario.site(parent_id=node, village_code=BERAU_VILLAGE)
    await go_down(scenario, *sites)
    await come_back(scenario, theirs)
    berau = await desk.channel("64.03")
    await desk.rule(berau, office="64.03")
    await scenario.write(sites[0], BEFORE, (601, None, "down"))
    assert await desk.told(berau) == []


OFFICES = ("64", "64.02", "64.03", "64.11")


async def test_a_tower_is_a_shared_outage_to_each_office_whose_access_points_it_cuts_off(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    """Directly or through another node; where only the tower itself stands, it is one site that is down."""
    province, kutai, berau, mahakam = [await desk.channel(code) for code in OFFICES]
    offices = dict(zip((province, kutai, berau, mahakam), OFFICES, strict=True))
    for channel, office in offices.items():
        await desk.rule(channel, office=office, kinds=[AlertKind.SHARED])
    own = await desk.channel()
    await desk.rule(own)
    icon = await desk.channel("64", provider="iconplus")
    await desk.rule(icon, office="64", kinds=[AlertKind.SHARED])
    tower = await scenario.site(kind="node")
    relay = await scenario.site(kind="node", parent_id=tower)
    await scenario.site(parent_id=relay, village_code=BERAU_VILLAGE)
    await scenario.site(parent_id=tower, lifecycle="retired")
    await go_down(scenario, tower)
    subject = await incident_of(scenario)
    assert {channel: await desk.told(channel) for channel in (*offices, own, icon)} == {
        province: [("shared", subject)],
        kutai: [],
        berau: [("shared", subject)],
        mahakam: [],
        own: [("down", subject)],
        icon: [],
    }
    await scenario.site(parent_id=relay, provider="iconplus")
    await scenario.write(tower, BEFORE, (601, None, "down"))
    assert await desk.told(kutai) == await desk.told(icon) == [("shared", subject)]
    assert await desk.told(own) == [("down", subject)], "once, whatever it is called"
    await come_back(scenario, tower)
    for channel in (province, kutai, berau, icon):
        assert await desk.told(channel) == [("shared", subject), ("recovered", subject)]


async def test_what_evidence_takes_back_is_withdrawn_where_it_was_announced(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    told, untold = await desk.channel(), await desk.channel()
    await desk.rule(told)
    site = await scenario.site()
    await go_down(scenario, site)
    subject = await incident_of(scenario)
    await desk.rule(untold)
    await scenario.write(site, (0, None, "up"))
    assert await desk.told(told) == [("down", subject), ("withdrawn", subject)]
    assert await desk.told(untold) == []


async def test_recoveries_are_announced_also_of_what_was_not_where_a_rule_asks_for_them(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    asking, patient = await desk.channel(), await desk.channel()
    await desk.rule(asking, kinds=[AlertKind.RECOVERED])
    await desk.rule(patient, kinds=[AlertKind.RECOVERED], least_s=301)
    site, long_ago = await scenario.site(), await scenario.site()
    await go_down(scenario, site)
    await come_back(scenario, site)
    await come_back(scenario, site, until=899)
    assert [kind for kind, _ in await desk.told(asking)] == ["recovered"]
    assert await desk.told(patient) == []
    await scenario.write(long_ago, (-90, -80, "up"), (-80, -70, "down"), (-70, None, "up"))
    assert len(await desk.told(asking)) == 1, "a batch that came late tells of what is long over"


async def test_a_dropped_onset_is_announced_anew_when_the_outage_goes_on(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    short, flapping = await desk.channel(), await desk.channel()
    await desk.rule(short, flapping)
    site = await scenario.site()
    await go_down(scenario, site)
    await desk.drop(short, DropReason.TOO_SHORT)
    await desk.drop(flapping, DropReason.FLAPPING)
    await scenario.write(site, BEFORE, (601, None, "down"))
    assert [kind for kind, _ in await desk.told(short)] == ["down", "down"]
    assert [kind for kind, _ in await desk.told(flapping)] == ["down"], "it was told that the site flaps"
    await desk.change(Channel, flapping, deleted_at=utc_now())
    await come_back(scenario, site)
    assert [kind for kind, _ in await desk.told(short)] == ["down", "down", "recovered"]
    assert [kind for kind, _ in await desk.told(flapping)] == ["down"], "nobody is there any more"


async def test_however_ledgers_are_rewritten_a_channel_hears_of_each_outage_and_of_its_end_in_turns(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    channel, chance = await desk.channel(), random.Random(16)
    await desk.rule(channel)
    node = await scenario.site(kind="node")
    sites = [await scenario.site(parent_id=node) for _ in range(6)]
    for _ in range(40):
        edges = sorted(chance.sample(range(100, 3000, 100), k=chance.randint(1, 4)))
        states = [("up", "down")[number % 2] for number in range(len(edges) + 1)]
        await scenario.write(chance.choice(sites), *zip([0, *edges], [*edges, None], states, strict=True))
        async with transaction(scenario.sessions) as session:
            changed = list(await session.scalars(select(Incident)))
            await write_announcements(session, changed, now=scenario.now)
        heard: dict[int, list[bool]] = defaultdict(list)
        for row in await desk.announcements():
            heard[row.incident_id or 0].append(row.kind in ONSETS)
        assert all(turns == [number % 2 == 0 for number in range(len(turns))] for turns in heard.values())
        for incident in changed:
            lasts = incident.status in {"open", "acknowledged"}
            lives_on = incident.merged_into is not None and incident.status == "withdrawn"
            hears_of_it = len(heard[incident.id]) % 2 == 1
            assert hears_of_it == lasts or lives_on, (incident.id, incident.status, heard[incident.id])
    assert any(incident.merged_into is not None for incident in changed)


NIGHT = DailyWindow(22 * 60, 6 * 60)


@pytest.mark.parametrize(("hour", "prompt"), [(12, "quiet"), (23, "patient"), (3, "patient")])
def test_of_several_rules_the_one_that_has_its_channel_told_first_announces(hour: int, prompt: str) -> None:
    def rule(number: int, **changes: Any) -> RuleFacts:
        nothing = frozenset[Any]()
        return RuleFacts(number, 1, "64", None, frozenset({"down"}), "64", nothing, nothing, **changes)

    now = datetime(2026, 11, 28, hour, tzinfo=WITA)
    rules = {
        "muted": rule(1, muted_until=now + timedelta(days=1)),
        "quiet": rule(2, quiet=NIGHT),
        "patient": rule(3, least=timedelta(minutes=5)),
    }
    assert earliest(list(rules.values()), now, now) is rules[prompt]
