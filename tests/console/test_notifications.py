"""Notifikasi: who was told what and when, with every attempt; and the same on an incident's page."""

from sqlalchemy import insert

from app.alerts.models import DeliveryAttempt, NotificationState
from app.core.clock import utc_now
from app.postgres.engine import Sessions, transaction
from tests.support.alerts import AlertDesk
from tests.support.console import Visitor
from tests.support.incident_scenario import IncidentScenario
from tests.support.told import CONTENTS

HOSTILE = "<script>alert(1)</script>"


async def test_the_ledger_is_listed_filtered_and_shown_with_every_attempt(
    scenario: IncidentScenario, desk: AlertDesk, sessions: Sessions, officer: Visitor, neighbour: Visitor
) -> None:
    channel = await desk.channel(name=HOSTILE)
    await desk.rule(channel)
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    (incident,) = await scenario.list_incidents()
    told = await desk.notify(
        channel,
        CONTENTS["one site down"],
        state=NotificationState.ACCEPTED,
        settled_at=utc_now(),
        acknowledged_at=utc_now(),
        acknowledged_by="ana",
    )
    dead = await desk.notify(channel, CONTENTS["daily digest"], state=NotificationState.DEAD, problem=HOSTILE)
    async with transaction(sessions) as session:
        tried = {"notification_id": told, "started_at": utc_now(), "took_ms": 1234, "problem": None}
        failed = {"outcome": NotificationState.QUEUED, "http_status": 502, "problem": HOSTILE}
        went = {"outcome": NotificationState.ACCEPTED, "http_status": 200}
        await session.execute(insert(DeliveryAttempt), [tried | failed, tried | went])
    page = await officer.get("/console/notifications")
    for said in ("Putus: Loa Kulu Kota", "Ringkasan harian", "diterima", "tidak terkirim", "ditangani lewat tautannya"):
        assert said in page.text
    assert HOSTILE not in page.response.text
    only = await officer.get("/console/notifications?state=dead")
    assert f"/console/notifications/{dead}" in only.response.text
    assert f"/console/notifications/{told}" not in only.response.text
    [csv] = only.tree.xpath("//a[contains(@href, 'format=csv')]/@href")
    assert "Ringkasan harian" in (await officer.client.get(csv)).text
    assert "Putus: Loa Kulu Kota" not in (await officer.client.get(csv)).text
    assert (await officer.get("/console/notifications?state=odd&from=kemarin")).status == 422
    assert "Tidak ada notifikasi yang cocok" in (await neighbour.get("/console/notifications")).text
    shown = await officer.get(f"/console/notifications/{told}")
    for said in ("PUTUS: Loa Kulu Kota", "1.234 ms", "502", "dicoba lagi", "Ditangani lewat tautannya", "ana"):
        assert said in shown.text
    assert HOSTILE not in shown.response.text
    assert shown.tree.xpath(f"//main//a[@href='/console/incidents/{incident['id']}']")
    assert (await neighbour.get(f"/console/notifications/{told}")).status == 404
    of_incident = await officer.get(f"/console/incidents/{incident['id']}")
    [row] = of_incident.tree.xpath("//h2[@id='told']/following-sibling::div[1]//tbody/tr")
    assert "Putus: Loa Kulu Kota" in row.text_content()


async def test_an_incident_says_what_is_held_and_what_was_not_sent(
    scenario: IncidentScenario, desk: AlertDesk, officer: Visitor
) -> None:
    held, dropped = await desk.channel(name="Jaga"), await desk.channel(name="Arsip")
    await desk.rule(held, dropped, least_s=600)
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    await desk.drop(dropped, "in_maintenance")
    (incident,) = await scenario.list_incidents()
    page = await officer.get(f"/console/incidents/{incident['id']}")
    assert "Belum ada yang diberi tahu" in page.text
    assert "Arsip: tidak dikirim: selama pemeliharaan" in page.text
    assert "Jaga: ditahan sampai" in page.text
    assert (await officer.get(f"/console/notifications?incident={incident['id']}")).status == 200
