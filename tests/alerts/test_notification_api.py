"""The delivery ledger over the API: who was told what, when, and why somebody was not; as JSON and as a file."""

import csv
import io
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update

from app.alerts.models import (
    Announcement,
    AnnouncementKind,
    AnnouncementState,
    DeliveryAttempt,
    DropReason,
    HoldReason,
    Notification,
    NotificationKind,
    NotificationState,
)
from app.alerts.notification_schemas import AnnouncementOut, NotificationDetail
from app.core.clock import utc_now
from app.incidents.models import Incident, IncidentStatus
from app.pages.alert_words import NOTIFICATION_KINDS, NOTIFICATION_STATES
from app.postgres.engine import Sessions, transaction
from tests.conftest import Cast, Person
from tests.support.alerts import AlertDesk
from tests.support.incident_scenario import IncidentScenario

NOW = utc_now().replace(microsecond=0)
HOSTILE = '=HYPERLINK("http://x","y");\n<script>alert(1)</script>'


async def notify(sessions: Sessions, channel: int, office: str = "64.02", minute: float = 0, **fields: Any) -> int:
    """Write a notification of so many minutes ago."""
    notification = Notification(
        **{
            "key": uuid4(),
            "channel_id": channel,
            "region_code": office,
            "kind": NotificationKind.ONSET,
            "created_at": NOW - timedelta(minutes=minute),
            "content": {"kind": "onset"},
            "title": "Putus",
            "text": "Putus sejak 14.05 WITA",
            **fields,
        }
    )
    async with transaction(sessions) as session:
        session.add(notification)
    return notification.id


async def announce(sessions: Sessions, channel: int, incident: int, office: str = "64.02", **fields: Any) -> int:
    announcement = Announcement(
        **{
            "subject": f"incident:{incident}",
            "incident_id": incident,
            "kind": AnnouncementKind.DOWN,
            "region_code": office,
            "channel_id": channel,
            "version": 1,
            "due_at": NOW,
            "state": AnnouncementState.SENT,
            **fields,
        }
    )
    async with transaction(sessions) as session:
        session.add(announcement)
    return announcement.id


async def ids(person: Person, path: str = "/notifications", **params: Any) -> list[int]:
    answer = await person.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


@pytest.fixture
async def incident(scenario: IncidentScenario) -> int:
    site = await scenario.site(provider="iconplus")
    await scenario.write(site, (0, 600, "up"), (600, None, "down"))
    (found,) = await scenario.list_incidents()
    return int(found["id"])


async def test_one_notification_tells_its_text_each_attempt_and_who_acknowledged_it(
    cast: Cast, desk: AlertDesk, sessions: Sessions, incident: int
) -> None:
    channel = await desk.channel(provider="iconplus")
    told = await notify(
        sessions,
        channel,
        state=NotificationState.ACCEPTED,
        attempts=2,
        http_status=200,
        receiver_id="m-7",
        settled_at=NOW,
        acknowledged_at=NOW,
        acknowledged_by="ana",
    )
    await announce(sessions, channel, incident, notification_id=told)
    async with transaction(sessions) as session:
        session.add(
            DeliveryAttempt(
                notification_id=told, started_at=NOW, took_ms=9, outcome=NotificationState.QUEUED, problem="HTTP 500"
            )
        )
    answer = await cast.ana.get(f"/notifications/{told}")
    found = answer.json()
    NotificationDetail.model_validate(found)
    assert (found["incidents"], found["incident_ids"], found["provider"]) == (1, [incident], "iconplus")
    assert (found["text"], found["content"]) == ("Putus sejak 14.05 WITA", {"kind": "onset"})
    assert [(each["outcome"], each["problem"]) for each in found["deliveries"]] == [("queued", "HTTP 500")]
    assert (found["acknowledged_by"], found["next_attempt_at"]) == ("ana", None)
    assert found["channel"] == {"id": channel, "name": "channel 1", "service": "webhook"}, "not where it leads"
    own = (await cast.icon.get(f"/notifications/{told}")).json()
    assert own == found | {"acknowledged_by": None}, "the provider's proof that it was told, without names"


async def test_everybody_reads_what_was_told_to_their_offices_and_a_provider_what_was_told_to_it(
    cast: Cast, desk: AlertDesk, sessions: Sessions, incident: int
) -> None:
    channels = {
        "office": await desk.channel(),
        "icon": await desk.channel(provider="iconplus"),
        "telkom": await desk.channel(provider="telkom-wms"),
        "province": await desk.channel("64"),
        "berau": await desk.channel("64.03"),
    }
    offices = {"province": "64", "berau": "64.03"}
    told, announced = {}, {}
    for minute, (name, channel) in enumerate(channels.items()):
        office = offices.get(name, "64.02")
        told[name] = await notify(sessions, channel, office, minute)
        announced[name] = await announce(sessions, channel, incident, office, notification_id=told[name])
    for person, names in (
        (cast.sari, list(channels)),
        (cast.vera, list(channels)),
        (cast.ana, ["office", "icon", "telkom"]),
        (cast.ben, ["berau"]),
        (cast.icon, ["icon"]),
    ):
        assert await ids(person) == [told[name] for name in names]
        assert await ids(person, "/announcements") == [announced[name] for name in reversed(names)]
        for name in channels:
            status = (await person.get(f"/notifications/{told[name]}")).status_code
            assert status == (200 if name in names else 404)
            filtered = await person.get("/notifications", params={"channel": channels[name]})
            assert filtered.status_code == (200 if name in names else 422), "alike for a foreign one and none"
    for path in ("/notifications", "/announcements", f"/notifications/{told['office']}"):
        assert (await cast.stranger.get(path)).status_code == 401
    assert (await cast.ben.get("/notifications", params={"incident": incident})).status_code == 422
    assert (await cast.ben.get("/announcements", params={"region": "64.02"})).status_code == 403
    assert await ids(cast.sari, region="64.02", provider="iconplus") == [told["icon"]]
    assert await ids(cast.sari, "/announcements", provider="telkom-wms") == [announced["telkom"]]


async def test_filters_and_pages_lead_through_the_ledger_newest_first(
    cast: Cast, desk: AlertDesk, sessions: Sessions
) -> None:
    channel = await desk.channel()
    told = [
        await notify(sessions, channel, minute=minute, state=state, kind=kind)
        for minute, state, kind in (
            (0, NotificationState.QUEUED, NotificationKind.ONSET),
            (0, NotificationState.DEAD, NotificationKind.TEST),
            (90, NotificationState.ACCEPTED, NotificationKind.RECOVERY),
        )
    ]
    newest_first = [told[1], told[0], told[2]]
    assert await ids(cast.ana) == newest_first
    seen, cursor = [], None
    while True:
        page = (
            await cast.ana.get("/notifications", params={"limit": 1} | ({"cursor": cursor} if cursor else {}))
        ).json()
        seen += [item["id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == newest_first
    assert await ids(cast.ana, state="queued,dead") == newest_first[:2]
    assert await ids(cast.ana, kind="recovery") == [told[2]]
    hour_ago = (NOW - timedelta(hours=1)).isoformat()
    assert await ids(cast.ana, **{"from": hour_ago}) == newest_first[:2]
    assert await ids(cast.ana, to=hour_ago) == [told[2]]
    for params, field in (({"state": "lost"}, "state"), ({"incident": 999_999}, "incident"), ({"limit": 0}, "limit")):
        answer = await cast.ana.get("/notifications", params=params)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_an_incident_names_whoever_was_told_of_it_also_through_a_fallback_and_before_it_was_merged(
    cast: Cast, desk: AlertDesk, sessions: Sessions, incident: int, scenario: IncidentScenario
) -> None:
    channel, fallback = await desk.channel(), await desk.channel()
    key = uuid4()
    told = await notify(sessions, channel, minute=3, key=key, state=NotificationState.REROUTED)
    taken_over = await notify(sessions, fallback, minute=2, key=key, fallback_of=told)
    await announce(sessions, channel, incident, notification_id=told)
    other = await scenario.site(village_code="64.02.05.2004")
    await scenario.write(other, (0, 700, "up"), (700, None, "down"))
    merged_into = next(found["id"] for found in await scenario.list_incidents() if found["id"] != incident)
    assert await ids(cast.ana, incident=incident) == [taken_over, told]
    assert await ids(cast.ana, incident=merged_into) == []
    (row, _) = (await cast.ana.get("/notifications", params={"incident": incident})).json()["items"]
    assert (row["fallback_of"], row["incident_ids"]) == (told, [incident])
    async with transaction(sessions) as session:
        merged = {"merged_into": merged_into, "status": IncidentStatus.WITHDRAWN}
        await session.execute(update(Incident).where(Incident.id == incident).values(merged))
    assert await ids(cast.ana, incident=merged_into) == [taken_over, told]


async def test_what_was_not_sent_is_listed_with_its_reason(
    cast: Cast, desk: AlertDesk, sessions: Sessions, incident: int
) -> None:
    channel = await desk.channel()
    dropped = await announce(
        sessions, channel, incident, state=AnnouncementState.DROPPED, drop_reason=DropReason.IN_MAINTENANCE
    )
    held = await announce(
        sessions,
        channel,
        incident,
        version=2,
        state=AnnouncementState.PENDING,
        hold_reason=HoldReason.QUIET_HOURS,
        due_at=NOW + timedelta(hours=7),
    )
    answer = (await cast.vera.get("/announcements", params={"incident": incident})).json()["items"]
    assert [AnnouncementOut.model_validate(item).id for item in answer] == [held, dropped]
    assert (answer[0]["hold_reason"], answer[1]["drop_reason"]) == ("quiet_hours", "in_maintenance")
    assert await ids(cast.vera, "/announcements", state="dropped") == [dropped]
    assert await ids(cast.vera, "/announcements", limit=1) == [held]


async def test_the_ledger_is_a_file_in_words_that_no_spreadsheet_runs(
    cast: Cast, desk: AlertDesk, sessions: Sessions, incident: int
) -> None:
    channel = await desk.channel(name=HOSTILE, provider="iconplus")
    told = await notify(sessions, channel, title=HOSTILE, state=NotificationState.BOUNCED, problem="HTTP 404")
    await announce(sessions, channel, incident, notification_id=told)
    await notify(sessions, await desk.channel("64.03"), "64.03")
    answer = await cast.icon.get("/notifications", params={"format": "csv"})
    assert answer.headers["content-disposition"].startswith('attachment; filename="pemberitahuan-64-')
    (row,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert (row["Nomor pemberitahuan"], row["Pengiriman"], row["Jenis"]) == (
        str(told),
        "ditolak penerima",
        "gangguan baru",
    )
    assert (row["Nomor gangguan"], row["Penyedia yang diberi tahu"]) == (str(incident), "iconplus")
    assert not row["Judul"].startswith("="), "a spreadsheet would run it"
    workbook = await cast.sari.get("/notifications", params={"format": "xlsx", "incident": incident})
    assert (workbook.status_code, workbook.content[:2]) == (200, b"PK")
    paged = await cast.sari.get("/notifications", params={"format": "csv", "limit": 5})
    assert paged.status_code == 422


def test_every_kind_and_state_has_its_word() -> None:
    assert {*NOTIFICATION_KINDS, *NOTIFICATION_STATES} == {*NotificationKind, *NotificationState}
