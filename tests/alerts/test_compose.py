"""What channels are told of outages: from the ledger through announcements, gate and groups to the stored message."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from app.alerts import notification_writer
from app.alerts.content import Content
from app.alerts.message_values import Links
from app.alerts.models import (
    AlertGroup,
    AlertKind,
    AlertRule,
    Announcement,
    AnnouncementKind,
    AnnouncementState,
    Channel,
    DropReason,
    HoldReason,
    MessageForm,
)
from app.alerts.texts import Rendered, render
from app.core.clock import to_wita
from app.judging.models import WorkerBeat
from app.postgres.engine import transaction
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE
from tests.support.alerts import AlertDesk
from tests.support.incident_scenario import IncidentScenario

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


async def go_down(scenario: IncidentScenario, *sites: int, at: int = 600) -> None:
    for site in sites:
        await scenario.write(site, (0, at, "up"), (at, None, "down"))


async def come_back(scenario: IncidentScenario, *sites: int, at: int = 600, until: int = 900) -> None:
    for site in sites:
        await scenario.write(site, (0, at, "up"), (at, until, "down"), (until, None, "up"))


def minute_of(moment: datetime) -> int:
    local = to_wita(moment)
    return local.hour * 60 + local.minute


async def kinds(desk: AlertDesk, *channels: int) -> list[str]:
    return [each.kind.value for each in await desk.notifications(*channels)]


async def states(desk: AlertDesk, *channels: int) -> list[tuple[str, str | None]]:
    rows = await desk.announcements(*channels)
    return [
        (row.kind.value, row.drop_reason or (row.hold_reason if row.state == "pending" else row.state)) for row in rows
    ]


async def test_an_outage_is_told_once_after_the_grouping_wait_and_so_is_its_recovery(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    channel, now = await desk.channel(), scenario.now
    await desk.rule(channel)
    site = await scenario.site(service_no="SID-77")
    await go_down(scenario, site)
    assert await desk.compose(now + 10 * SECOND) == now + 30 * SECOND, "due then, and not before"
    assert await desk.notifications() == []
    await desk.compose(now + 30 * SECOND)
    await desk.compose(now + 31 * SECOND)
    (onset,) = await desk.contents(channel)
    (told,) = onset.down.sites
    assert (onset.kind, onset.office.name, told.village, told.service_no) == (
        "onset",
        "Kabupaten Kutai Kartanegara",
        "Muara Badak Ulu",
        "SID-77",
    )
    assert (told.started_at, told.last_ok_at) == (scenario.at(600), scenario.at(540))
    assert [incident.sites_down for incident in onset.incidents] == [1]
    await come_back(scenario, site)
    await desk.compose(now + 40 * MINUTE)
    recovery = (await desk.contents(channel))[-1]
    assert (recovery.kind, recovery.recovered.total, recovery.down.total) == ("recovery", 1, 0)
    rows = await desk.notifications()
    assert len({row.key for row in rows}) == len(rows) == 2
    assert "Muara Badak Ulu" in rows[0].text
    assert {(row.state, row.notification_id) for row in await desk.announcements()} == {
        ("sent", row.id) for row in rows
    }


async def test_what_fails_for_one_channel_is_composed_for_all_others(
    scenario: IncidentScenario, desk: AlertDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, other, now = await desk.channel(language="en"), await desk.channel(), scenario.now
    await desk.rule(broken, other)
    await go_down(scenario, await scenario.site())

    def render_indonesian_alone(content: Content, *, language: str, form: MessageForm, links: Links) -> Rendered:
        assert language == "id"
        return render(content, language=language, form=form, links=links)

    with monkeypatch.context() as patched:
        patched.setattr(notification_writer, "render", render_indonesian_alone)
        with pytest.raises(AssertionError):
            await desk.compose(now + 30 * SECOND)
    assert (await kinds(desk, other), await kinds(desk, broken)) == (["onset"], [])
    await desk.compose(now + 31 * SECOND)
    assert await kinds(desk, broken) == ["onset"], "it is composed once that can be"


async def test_what_holds_back_a_rule_holds_the_message_and_never_the_judgement(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    """Over quiet hours: one digest of what is still down, what came and went, and what recovered."""
    channel, other, now = await desk.channel(), await desk.channel(), scenario.now
    quiet: dict[str, Any] = {"quiet_from": minute_of(now + 5 * MINUTE), "quiet_to": minute_of(now + 65 * MINUTE)}
    await desk.rule(channel, **quiet)
    await desk.rule(other)
    before, lasting, brief = [
        await scenario.site(village_code=f"64.02.05.20{n:02}", provider=p)
        for n, p in ((3, "telkom-wms"), (4, "telkom-wms"), (5, "iconplus"))
    ]
    await go_down(scenario, before)
    await desk.compose(now + 30 * SECOND)
    scenario.now = now + 10 * MINUTE
    await go_down(scenario, lasting, brief, at=3000)
    await come_back(scenario, before, until=4100)
    await desk.compose(now + 11 * MINUTE)
    scenario.now = now + 20 * MINUTE
    await come_back(scenario, brief, at=3000, until=4500)
    for minutes in (21, 40, 64):
        await desk.compose(now + minutes * MINUTE)
    assert await kinds(desk, channel) == ["onset"]
    assert {reason for _, reason in await states(desk, channel)} == {"sent", HoldReason.QUIET_HOURS}
    assert "recovery" in await kinds(desk, other), "another channel's rule has no quiet hours"
    await desk.compose(now + 66 * MINUTE)
    _, digest = await desk.contents(channel)
    assert (digest.kind, digest.held) == ("held", "quiet_hours")
    assert [section.total for section in (digest.down, digest.came_and_went, digest.recovered)] == [1, 1, 1]
    assert digest.came_and_went.sites[0].ended_at == scenario.at(4500)
    scenario.now = now + 70 * MINUTE
    await come_back(scenario, lasting, at=3000, until=7000)
    await desk.compose(now + 72 * MINUTE)
    assert await kinds(desk, channel) == ["onset", "held", "recovery"], "whoever heard it in a digest hears its end"


async def test_a_mute_swallows_nothing_and_what_a_deleted_rule_announced_is_told_to_its_end(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    channel, now = await desk.channel(), scenario.now
    rule = await desk.rule(channel, muted_until=now + HOUR)
    site, later = await scenario.site(), await scenario.site()
    await go_down(scenario, site)
    await desk.compose(now + 30 * SECOND)
    assert await desk.notifications() == []
    await desk.compose(now + HOUR)
    assert await kinds(desk) == ["held"]
    await go_down(scenario, later, at=700)
    await desk.change(AlertRule, rule, deleted_at=now, muted_until=now + 90 * HOUR)
    await come_back(scenario, site, later)
    await desk.compose(now + 2 * HOUR)
    assert (await desk.contents())[-1].recovered.total >= 1


async def test_what_a_rule_held_is_due_when_that_is_changed(
    scenario: IncidentScenario, desk: AlertDesk, cast: Cast
) -> None:
    channel = await desk.channel()
    rule = await desk.rule(channel, muted_until=scenario.now + 90 * HOUR)
    await go_down(scenario, await scenario.site())
    await desk.compose(scenario.now + MINUTE)
    assert await desk.notifications() == []
    answer = await cast.ana.patch(f"/rules/{rule}", {"muted_until": None})
    assert answer.status_code == 200, answer.text
    await desk.compose(scenario.now + 2 * MINUTE)
    assert await kinds(desk) == ["held"]


async def test_maintenance_announces_nothing_and_its_overrun_does(
    scenario: IncidentScenario, desk: AlertDesk, cast: Cast
) -> None:
    channel, now = await desk.channel(), scenario.now
    await desk.rule(channel)
    within, beyond = await scenario.site(), await scenario.site()
    ends_at = now + 30 * MINUTE
    for site in (within, beyond):
        window = {
            "site": site,
            "started_at": scenario.at(0).isoformat(),
            "ended_at": ends_at.isoformat(),
            "title": "Tower",
        }
        answer = await cast.sari.post("/maintenance", window | {"reason": "late"})
        assert answer.status_code == 201, answer.text
    await desk.announce_windows(scenario.at(0))
    await go_down(scenario, within, beyond)
    await desk.compose(now + 30 * SECOND)
    await come_back(scenario, within)
    await desk.compose(now + 2 * MINUTE)
    assert await desk.notifications() == []
    await desk.compose(ends_at + 2 * MINUTE)
    (overrun,) = await desk.contents()
    assert (overrun.kind, overrun.maintenance_overrun, overrun.down.total) == ("onset", True, 1)
    assert await states(desk) == [
        ("down", DropReason.IN_MAINTENANCE),
        ("down", AnnouncementState.SENT),
        ("recovered", DropReason.IN_MAINTENANCE),
    ]


async def test_maintenance_that_is_planned_once_a_site_is_down_keeps_nobody_from_hearing_of_it(
    scenario: IncidentScenario, desk: AlertDesk, cast: Cast
) -> None:
    """Else windows that follow each other would."""
    await desk.rule(await desk.channel())
    site, now = await scenario.site(), scenario.now
    times = {"started_at": scenario.at(0).isoformat(), "ended_at": (now + HOUR).isoformat()}
    await go_down(scenario, site)
    answer = await cast.ana.post("/maintenance", {"site": site, **times, "title": "x", "reason": "y"})
    assert answer.status_code == 201, answer.text
    await desk.compose(now + 30 * SECOND)
    (onset,) = await desk.contents()
    assert (onset.kind, onset.maintenance_overrun) == ("onset", False)
    await come_back(scenario, site)
    await desk.compose(now + 2 * MINUTE)
    assert await kinds(desk) == ["onset", "recovery"]


async def test_a_cancelled_maintenance_holds_nothing_any_more(
    scenario: IncidentScenario, desk: AlertDesk, cast: Cast
) -> None:
    await desk.rule(await desk.channel())
    site, now = await scenario.site(), scenario.now
    window = {
        "site": site,
        "started_at": scenario.at(0).isoformat(),
        "ended_at": (now + HOUR).isoformat(),
        "title": "x",
        "reason": "y",
    }
    answer = await cast.sari.post("/maintenance", window)
    await desk.announce_windows(scenario.at(0))
    await go_down(scenario, site)
    await desk.compose(now + 30 * SECOND)
    assert await desk.notifications() == []
    cancelled = await cast.sari.delete(f"/maintenance/{answer.json()['id']}?reason=postponed")
    assert cancelled.status_code == 204, cancelled.text
    await desk.compose(now + 2 * MINUTE)
    assert await kinds(desk) == ["onset"]


async def test_while_we_are_blind_nothing_is_told_of_sites(scenario: IncidentScenario, desk: AlertDesk) -> None:
    channel, now = await desk.channel("64"), scenario.now
    await desk.rule(channel, office="64")
    async with transaction(scenario.sessions) as session:
        session.add(WorkerBeat(source="central", beat_at=now + HOUR, started_at=now, blind_since=now, figures={}))
    await go_down(scenario, await scenario.site())
    await _announce_service(scenario, channel, now)
    await desk.compose(now + 30 * SECOND)
    (blind,) = await desk.contents()
    assert ([each.subject for each in blind.conditions], blind.down.total) == (["service:blind"], 0)
    async with transaction(scenario.sessions) as session:
        await session.execute(text("UPDATE worker_beat SET blind_since = NULL"))
    await desk.compose(now + MINUTE)
    assert (await desk.contents())[-1].down.total == 1


async def _announce_service(scenario: IncidentScenario, channel: int, now: datetime) -> None:
    async with transaction(scenario.sessions) as session:
        session.add(
            Announcement(
                subject="service:blind",
                kind=AnnouncementKind.SERVICE_UNWELL,
                region_code="64",
                channel_id=channel,
                version=int(now.timestamp()),
                created_at=now,
                due_at=now,
                facts={"what": "blind"},
            )
        )


async def test_an_outage_shorter_than_the_rule_asks_for_is_never_told(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    channel, now = await desk.channel(), scenario.now
    await desk.rule(channel, least_s=4000)
    site = await scenario.site()
    await go_down(scenario, site)
    await come_back(scenario, site)
    await desk.compose(now + 2 * HOUR)
    assert await desk.notifications() == []
    assert {reason for _, reason in await states(desk)} == {DropReason.TOO_SHORT}


async def test_sites_that_turn_out_to_share_a_cause_are_one_message_and_one_recovery(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    """The outages that were told one by one live on in the shared one: its end is theirs."""
    district, province, now = await desk.channel(), await desk.channel("64"), scenario.now
    await desk.rule(district)
    await desk.rule(province, office="64", kinds=[AlertKind.SHARED])
    sites = [await scenario.site() for _ in range(6)]
    await go_down(scenario, sites[0])
    await desk.compose(now + 30 * SECOND)
    scenario.now = now + 20 * SECOND
    await go_down(scenario, *sites[1:])
    await desk.compose(now + 50 * SECOND)
    await desk.compose(now + 30 * SECOND + 5 * MINUTE)
    assert await kinds(desk, district) == ["onset", "update"]
    assert await kinds(desk, province) == ["onset"]
    update = (await desk.contents(district))[-1]
    assert (update.down.total, [incident.kind for incident in update.incidents]) == (6, ["shared"])
    assert update.shared_by is not None
    assert update.shared_by.code == "telkom-wms"
    scenario.now = now + 20 * MINUTE
    await come_back(scenario, *sites, until=4700)
    await desk.compose(now + 21 * MINUTE)
    assert await kinds(desk, district) == ["onset", "update", "recovery"]
    assert [(each.kind, each.recovered.total) for each in (await desk.contents(province))[1:]] == [("recovery", 6)]
    scenario.now = now + 30 * MINUTE
    await go_down(scenario, await scenario.site(), at=3500)
    await desk.compose(now + 31 * MINUTE)
    again = (await desk.contents(district))[-1]
    assert (again.recurred, again.down.total) == (True, 1), "the merged ones are over, too"


async def test_sites_that_join_a_shared_outage_are_an_update_though_nothing_announces_them(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    channel, now = await desk.channel(), scenario.now
    await desk.rule(channel)
    sites = [await scenario.site() for _ in range(8)]
    await go_down(scenario, *sites[:6])
    await desk.compose(now + 30 * SECOND)
    announced = len(await desk.announcements())
    await go_down(scenario, *sites[6:], at=700)
    assert len(await desk.announcements()) == announced
    await desk.compose(now + MINUTE)
    await desk.compose(now + 6 * MINUTE)
    await desk.compose(now + 30 * MINUTE)
    assert [(each.kind, each.down.total) for each in await desk.contents()] == [("onset", 6), ("update", 8)]


async def test_members_are_those_of_the_office_and_of_the_provider_that_a_channel_tells(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    kutai, province = await desk.channel(), await desk.channel("64")
    icon = await desk.channel("64", provider="iconplus")
    await desk.rule(kutai)
    await desk.rule(province, icon, office="64")
    node = await scenario.site(kind="node", provider="iconplus")
    sites = [await scenario.site(parent_id=node) for _ in range(4)]
    sites += [await scenario.site(parent_id=node, village_code=BERAU_VILLAGE, provider="iconplus") for _ in range(2)]
    await go_down(scenario, *sites)
    await desk.compose(scenario.now + MINUTE)
    assert {channel: (await desk.contents(channel))[0].down.total for channel in (kutai, province, icon)} == {
        kutai: 4,
        province: 6,
        icon: 2,
    }
    assert "Berau" not in (await desk.notifications(kutai))[0].text
    assert (await desk.contents(icon))[0].provider == "iconplus"


async def test_a_tower_is_told_with_the_access_points_of_the_office_that_it_cuts_off(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    kutai, berau, now = await desk.channel(), await desk.channel("64.03"), scenario.now
    await desk.rule(kutai)
    await desk.rule(berau, office="64.03", kinds=[AlertKind.SHARED])
    tower = await scenario.site(kind="node", name="Menara Loa Kulu")
    for _ in range(12):
        await scenario.site(parent_id=tower)
    await scenario.site(parent_id=tower, village_code=BERAU_VILLAGE, name="Kantor Desa Merancang")
    await go_down(scenario, tower)
    await desk.compose(now + MINUTE)
    ((here,), (there,)) = await desk.contents(kutai), await desk.contents(berau)
    assert (here.down.total, here.down.cut_off, len(here.down.sites)) == (13, 12, 10)
    assert [site.is_cut_off for site in here.down.sites] == [False, *[True] * 9], "the tower first"
    assert (there.down.total, there.down.cut_off) == (1, 1)
    (to_kutai,) = await desk.notifications(kutai)
    assert to_kutai.title == "Putus: 12 titik akses di balik Menara Loa Kulu di Kab. Kutai Kartanegara"
    assert "dan 3 titik akses lain" in to_kutai.text
    (to_berau,) = await desk.notifications(berau)
    assert "Kantor Desa Merancang" in to_berau.text
    assert "Loa Kulu" not in to_berau.text.replace("Menara Loa Kulu", "")
    await come_back(scenario, tower)
    await desk.compose(now + 40 * MINUTE)
    assert [each.recovered.total for each in (await desk.contents(kutai, berau))[2:]] == [13, 1]


async def test_a_tower_within_maintenance_is_told_to_no_office_that_hangs_on_it(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    berau = await desk.channel("64.03")
    await desk.rule(berau, office="64.03")
    tower = await scenario.site(kind="node")
    await scenario.site(parent_id=tower, village_code=BERAU_VILLAGE)
    window = {
        "site": tower,
        "started_at": scenario.at(500).isoformat(),
        "ended_at": (scenario.now + HOUR).isoformat(),
        "title": "Tower",
        "reason": "late",
    }
    answer = await scenario.cast.sari.post("/maintenance", window)
    assert answer.status_code == 201, answer.text
    await desk.announce_windows(scenario.at(0))
    await go_down(scenario, tower)
    await desk.compose(scenario.now + MINUTE)
    assert await states(desk, berau) == [("shared", HoldReason.MAINTENANCE)]


async def test_conditions_of_sites_are_told_together_and_apart_from_outages(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    channel, now = await desk.channel(), scenario.now
    since = int((now - 7 * HOUR).timestamp())
    sites = [await scenario.site() for _ in range(3)]
    async with transaction(scenario.sessions) as session:
        for site in sites:
            session.add(
                Announcement(
                    subject=f"site:{site}",
                    kind=AnnouncementKind.DEGRADED,
                    region_code="64.02",
                    channel_id=channel,
                    version=since,
                    created_at=now,
                    due_at=now + 30 * SECOND,
                    facts={"hours": 6, "loss_pct": 20.0},
                )
            )
    await desk.compose(now + 30 * SECOND)
    async with transaction(scenario.sessions) as session:
        for site in sites:
            session.add(
                Announcement(
                    subject=f"site:{site}",
                    kind=AnnouncementKind.RECOVERED,
                    region_code="64.02",
                    channel_id=channel,
                    version=since,
                    created_at=now + HOUR,
                    due_at=now + HOUR,
                    facts={"of": "degraded"},
                )
            )
    await desk.compose(now + HOUR)
    onset, end = await desk.contents()
    assert (onset.kind, onset.conditions_total, end.kind, end.conditions_total) == ("onset", 3, "recovery", 3)
    assert onset.conditions[0].site is not None
    assert (onset.conditions[0].since, end.conditions[0].ended_at) == (now - 7 * HOUR, now + HOUR)


async def test_an_escalation_is_the_onset_of_those_who_had_not_heard_and_ends_with_the_outage(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    district, province, now = await desk.channel(), await desk.channel("64"), scenario.now
    await desk.rule(district)
    site = await scenario.site()
    await go_down(scenario, site)
    await desk.compose(now + 30 * SECOND)
    (onset,) = await desk.announcements(district)
    async with transaction(scenario.sessions) as session:
        for channel, office in ((province, "64"), (district, "64.02")):
            session.add(
                Announcement(
                    subject=onset.subject,
                    incident_id=onset.incident_id,
                    kind=AnnouncementKind.ESCALATED,
                    region_code=office,
                    channel_id=channel,
                    version=1,
                    created_at=now,
                    due_at=now + HOUR,
                    facts={"from": "64.02", "minutes": 60},
                )
            )
    await desk.compose(now + HOUR)
    (escalated,) = await desk.contents(province)
    assert (escalated.kind, escalated.escalated_after_min, escalated.down.total) == ("onset", 60, 1)
    assert [office.code for office in escalated.escalated_from] == ["64.02"]
    assert await kinds(desk, district) == ["onset", "update"]
    scenario.now = now + 2 * HOUR
    await come_back(scenario, site, until=9000)
    await desk.compose(now + 3 * HOUR)
    assert await kinds(desk, province) == ["onset", "recovery"]


async def test_a_deleted_channel_is_told_nothing_more(scenario: IncidentScenario, desk: AlertDesk) -> None:
    channel = await desk.channel()
    await desk.rule(channel)
    await go_down(scenario, await scenario.site())
    await desk.change(Channel, channel, deleted_at=scenario.now)
    await desk.compose(scenario.now + MINUTE)
    assert (await desk.notifications(), await states(desk)) == ([], [("down", DropReason.CHANNEL_DELETED)])


async def test_a_recovery_that_did_not_last_is_not_told(scenario: IncidentScenario, desk: AlertDesk) -> None:
    channel, now = await desk.channel(), scenario.now
    await desk.rule(channel)
    site = await scenario.site()
    await go_down(scenario, site)
    await desk.compose(now + 30 * SECOND)
    scenario.now = now + MINUTE
    await come_back(scenario, site)
    await go_down(scenario, site)
    await desk.compose(now + 2 * MINUTE)
    assert await kinds(desk) == ["onset"]
    scenario.now = now + 5 * MINUTE
    await come_back(scenario, site)
    await desk.compose(now + 6 * MINUTE)
    assert await kinds(desk) == ["onset", "recovery"]


async def test_what_later_evidence_refutes_is_taken_back_where_it_was_told(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    channel, now = await desk.channel(), scenario.now
    await desk.rule(channel)
    told, untold = await scenario.site(), await scenario.site(village_code=BERAU_VILLAGE)
    await go_down(scenario, told)
    await desk.compose(now + 30 * SECOND)
    await scenario.write(told, (0, None, "up"))
    await desk.compose(now + 2 * MINUTE)
    withdrawn = (await desk.contents())[-1]
    assert (withdrawn.withdrawn.total, withdrawn.recovered.total) == (1, 0)
    assert untold


async def test_a_group_is_closed_half_an_hour_after_its_recovery(scenario: IncidentScenario, desk: AlertDesk) -> None:
    await desk.rule(await desk.channel())
    site, now = await scenario.site(), scenario.now
    await go_down(scenario, site)
    await desk.compose(now + MINUTE)
    await come_back(scenario, site)
    await desk.compose(now + 2 * MINUTE)
    await desk.compose(now + 40 * MINUTE)
    async with transaction(scenario.sessions) as session:
        assert [group.closed_at is None for group in await session.scalars(select(AlertGroup))] == [False]


async def test_no_other_site_waits_for_those_that_flap(scenario: IncidentScenario, desk: AlertDesk) -> None:
    await desk.rule(await desk.channel())
    flapping, other = await scenario.site(), await scenario.site()
    now = scenario.now
    await go_down(scenario, flapping)
    await desk.compose(now + MINUTE)
    await come_back(scenario, flapping)
    await desk.compose(now + 2 * MINUTE)
    async with transaction(scenario.sessions) as session:
        since = {"flapping_since": now + 2 * MINUTE, "due_at": now + 32 * MINUTE}
        await session.execute(update(AlertGroup).values(**since))
    scenario.now = now + 5 * MINUTE
    await scenario.write(flapping, (0, 600, "up"), (600, 900, "down"), (900, 1200, "up"), (1200, None, "down"))
    await go_down(scenario, other, at=1190)
    await desk.compose(now + 6 * MINUTE)
    await desk.compose(now + 7 * MINUTE)
    told = await desk.contents()
    assert [each.kind for each in told] == ["onset", "recovery", "onset"]
    assert told[2].down.total == 1, "the other one alone"


async def test_a_thousand_outages_due_at_once_are_one_message_in_few_statements(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    """And nothing waits: the next composer finds nothing to do."""
    channel, now = await desk.channel("64"), scenario.now
    await desk.rule(channel, office="64")
    site = await scenario.site()
    await go_down(scenario, site)
    async with transaction(scenario.sessions) as session:
        await session.execute(text(COPIES), {"now": now})
    await desk.compose(now + MINUTE)
    (storm,) = await desk.contents()
    assert (storm.down.total, len(storm.down.sites), storm.incidents_total) == (1000, 10, 1000)
    async with transaction(scenario.sessions) as session:
        pending = select(func.count()).select_from(Announcement).where(Announcement.state == AnnouncementState.PENDING)
        assert await session.scalar(pending) == 0


COPIES = """
    WITH number AS (SELECT n, (SELECT max(id) FROM incident) + n AS id FROM generate_series(1, 999) n),
    incidents AS (
        INSERT INTO incident (id, kind, status, opened_at, started_at, version)
        SELECT number.id, 'single', 'open', i.opened_at, i.started_at, i.version FROM number, incident i
        RETURNING id, started_at),
    members AS (
        INSERT INTO incident_site (incident_id, site_id, started_at, unseen_s)
        SELECT incidents.id, (SELECT id FROM site LIMIT 1), incidents.started_at, 0 FROM incidents)
    INSERT INTO announcement (subject, incident_id, kind, region_code, channel_id, version, rule_id, due_at, created_at)
    SELECT 'incident:' || n.id, n.id, a.kind, a.region_code, a.channel_id, a.version, a.rule_id, a.due_at, :now
    FROM number n, announcement a
"""


async def test_an_outage_that_was_merged_into_another_is_over_for_a_channel_when_that_one_is(
    scenario: IncidentScenario, desk: AlertDesk
) -> None:
    """Both were told before they were found to be one."""
    channel, now = await desk.channel(), scenario.now
    await desk.rule(channel)
    merged, other, third = [await scenario.site() for _ in range(3)]
    await go_down(scenario, merged, other)
    await desk.compose(now + 31 * SECOND)
    first, second = [each.id for each in (await desk.contents(channel))[0].incidents]
    async with transaction(desk.sessions) as session:
        statement = "UPDATE incident SET status = 'withdrawn', merged_into = :into WHERE id = :id"
        await session.execute(text(statement), {"id": first, "into": second})
    await come_back(scenario, other)
    await desk.compose(now + 2 * MINUTE)
    scenario.now = now + 9 * MINUTE
    await go_down(scenario, third, at=3590)
    await desk.compose(now + 10 * MINUTE)
    *_, recovery, onset = await desk.contents(channel)
    assert (recovery.kind, onset.kind) == ("recovery", "onset")
    assert (onset.recurred, onset.down.total) == (False, 1), "another site"
