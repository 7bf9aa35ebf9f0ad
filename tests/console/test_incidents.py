"""Gangguan: the inbox, bulk changes, one incident with its evidence, and what may go wrong."""

import re
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA
from app.core.i18n import write_moment
from app.measurements.near import Near
from app.postgres.engine import transaction
from tests.support.console import Page, Visitor
from tests.support.incident_scenario import IncidentScenario
from tests.support.near_looks import WELL, write_looks
from tests.support.site_histories import under_contract

HOSTILE = "<script>alert(1)</script>\u202egnp.exe"


async def down(scenario: IncidentScenario, start: int = 100, end: int | None = None, **where: str) -> int:
    """Register a site that is down from start to end; return its incident's id."""
    site = await scenario.site(**where)
    after = [] if end is None else [(end, None, "up")]
    await scenario.write(site, (0, start, "up"), (start, end, "down"), *after)
    newest = max(await scenario.list_incidents(), key=lambda incident: int(incident["id"]))
    return int(newest["id"])


def rows(page: Page) -> list[str]:
    return [row.get("id").removeprefix("incident-") for row in page.tree.xpath("//tr[starts-with(@id, 'incident-')]")]


async def test_the_inbox_shows_what_is_to_be_done_first_and_filters_by_its_address(
    scenario: IncidentScenario, officer: Visitor
) -> None:
    over = await down(scenario, end=400, name=HOSTILE)
    open_ = await down(scenario, technology="leo")
    handled = await down(scenario, provider="iconplus")
    await down(scenario, village_code="64.03.01.2001")
    await scenario.patch(handled, status="acknowledged", assignee="Budi", ticket_no="T-9")
    page = await officer.get("/console/incidents")
    assert rows(page) == [str(open_), str(handled)], "the neighbour's is not here"
    for said in ("belum ditangani", "sedang ditangani", "Budi", "tiket T-9", "satelit orbit rendah", "belum pulih"):
        assert said in page.text
    assert rows(await officer.get("/console/incidents?status=all&technology=leo")) == [str(open_)]
    all_ = await officer.get("/console/incidents?status=all")
    assert rows(all_) == [str(open_), str(handled), str(over)]
    assert "<script>alert" not in all_.response.text
    assert "gnp.exe" in all_.text
    [csv] = all_.tree.xpath("//a[contains(@href, 'format=csv') and not(contains(@href, 'rows=members'))]/@href")
    file = await officer.client.get(csv)
    assert file.text.count("\n") == 4, "a header and what the page shows"
    wrong = await officer.get("/console/incidents?status=nonsense&cause=rain")
    assert (wrong.status, rows(wrong)) == (422, [])
    assert "nonsense tidak termasuk pilihan" in wrong.text
    foreign = await officer.get("/console/incidents?region=64.03")
    assert foreign.status == 403
    nothing = await officer.get("/console/incidents?cause=weather")
    assert "Tidak ada gangguan yang cocok" in nothing.text


async def test_an_incident_shows_what_its_device_saw_nearby_and_what_that_speaks_for(
    scenario: IncidentScenario, officer: Visitor
) -> None:
    site = await scenario.site()
    seen = [(second, True, Near(True, second < 250, True)) for second in range(100, 400, 60)]
    await write_looks(scenario, site, (-90, False, WELL), *seen)
    await scenario.write(site, (0, 100, "up"), (100, 400, "down"), (400, None, "up"))
    (incident,) = await scenario.list_incidents()
    page = await officer.get(f"/console/incidents/{incident['id']}")
    told = "gateway dan terminal menjawab, di luar keduanya tidak ada yang menjawab", "gateway menjawab, terminal tidak"
    for said in ("Yang terlihat perangkatnya di dekatnya", *told, "kerusakan perangkat"):
        assert said in page.text
    why = await officer.get(f"/console/sites/{site}/why?at={scenario.at(350).isoformat().replace('+', '%2B')}")
    assert "Menurut perangkatnya sendiri" in why.text
    async with transaction(scenario.sessions) as session:
        columns = "site_id, heard_at, told_s, accepted, duplicates, rejected, lan, terminal, carrier, rx_bps, tx_bps"
        values = ":site, now(), 60, 1, 0, 0, true, false, false, 1840000, 212000"
        await session.execute(text(f"INSERT INTO device ({columns}) VALUES ({values})"), {"site": site})
    card = (await officer.get(f"/console/sites/{site}")).text
    for said in ("Gateway", "tidak menjawab", "tanpa sinyal", "1,84 / 0,21 Mbps"):
        assert said in card


async def test_ticked_incidents_are_changed_together_or_none_is_with_the_reason_beside_each(
    scenario: IncidentScenario, officer: Visitor, reader: Visitor
) -> None:
    first, second, over = await down(scenario), await down(scenario, 200), await down(scenario, end=300)
    of_site = await officer.get(f"/console/sites/{(await scenario.get(first))['sites'][0]['code']}")
    assert "belum diketahui" in of_site.text, "a cause that nobody knows yet is called the same on both pages"
    page = await officer.get("/console/incidents?status=all&technology=fiber")
    action = "/console/incidents"
    refused = await officer.post(
        action, page.form(action) | {"ids": [str(first), str(over)], "status": "acknowledged", "ticket_no": HOSTILE}
    )
    assert refused.status == 422
    [row] = refused.tree.xpath("//tr[@class='refused']")
    assert row.get("id") == f"incident-{over}"
    assert re.search(
        r"berakhir pada \d{4}-\d\d-\d\d \d\d:\d\d WITA: tidak ada lagi yang perlu ditangani", row.text_content()
    )
    assert refused.tree.xpath("//input[@name='ids' and @checked]/@value") == [str(first)], "the others stay ticked"
    assert refused.form(action)["ticket_no"] == HOSTILE
    assert (await scenario.get(first))["status"] == "open", "none was changed"
    done = await officer.post(
        action, refused.form(action) | {"ids": [str(first), str(second)], "cause": "power", "ticket_no": "T-1"}
    )
    assert done.response.headers["location"].startswith("/console/incidents?status=all&technology=fiber")
    assert "Gangguan yang dicentang sudah diubah" in (await officer.follow(done)).text
    for number in (first, second):
        incident = await scenario.get(number)
        assert (incident["status"], incident["cause"], incident["ticket_no"]) == ("acknowledged", "power", "T-1")
        assert incident["cause_confirmed_by"] == "kukar"
    nothing = await officer.post(action, page.form(action) | {"ids": "9" * 5000, "status": "acknowledged"})
    assert (nothing.status, "Centang paling sedikit satu" in nothing.text) == (422, True)
    read = await reader.get("/console/incidents?status=all")
    assert not read.tree.xpath("//input[@name='ids']"), "who only reads is shown nothing to tick"


async def test_one_incident_says_what_bounds_it_and_has_the_text_for_the_ticket(
    scenario: IncidentScenario, officer: Visitor, neighbour: Visitor
) -> None:
    incident = await down(scenario, end=400, service_no="SID-77", name=HOSTILE)
    other = await down(scenario, 150)
    page = await officer.get(f"/console/incidents/{incident}")
    assert page.status == 200
    for moment in (scenario.at(40), scenario.at(100), scenario.at(110), scenario.at(400)):
        assert write_moment(moment) in page.text
    [ticket] = page.tree.xpath("//pre[@id='ticket-1']")
    assert "Nomor layanan (SID) : SID-77" in ticket.text_content()
    assert "Pelapor : Kukar, Kabupaten Kutai Kartanegara" in ticket.text_content(), "by name, not by username"
    assert page.tree.xpath("//button[@data-copy='ticket-1']")
    assert page.tree.xpath("//svg//*[name()='rect']"), "the ribbon around it"
    assert page.tree.xpath("//a[contains(@href, '/why?at=')]")
    assert page.tree.xpath(f"//a[@href='/console/incidents/{other}']"), "the provider's others at that time"
    assert "<script>alert" not in page.response.text
    assert (await neighbour.get(f"/console/incidents/{incident}")).status == 404
    assert (await officer.get("/console/incidents/99999999999")).status == 404
    english = await officer.get(f"/console/incidents/{incident}?lang=en")
    assert "First loss" in english.text
    assert "Nomor layanan (SID) : SID-77" in english.text, "the provider reads Indonesian"


async def test_handling_it_takes_a_click_and_notes_are_for_whom_they_are_written(
    scenario: IncidentScenario, officer: Visitor
) -> None:
    incident = await down(scenario)
    path = f"/console/incidents/{incident}"
    page = await officer.get(path)
    fields = dict(page.tree.xpath(f"//form[@action='{path}']")[0].form_values())
    assert (await officer.post(path, fields)).response.headers["location"].startswith(f"{path}?notice=saved")
    page = await officer.get(path)
    assert "sedang ditangani" in page.text
    empty = await officer.submit(page, f"{path}/notes", text="")
    assert (empty.status, set(empty.errors())) == (422, {"text"})
    saved = await officer.submit(page, f"{path}/notes", text=HOSTILE, audience="telkom-wms")
    again = await officer.submit(page, f"{path}/notes", text=HOSTILE, audience="telkom-wms")
    assert (saved.status, again.status) == (303, 303)
    page = await officer.get(path)
    [note] = (await scenario.get(incident))["notes"]
    assert (note["text"], note["audience"], note["by"]) == (HOSTILE, "telkom-wms", "kukar")
    assert "Telkom WMS juga dapat membacanya" in page.text
    assert "<script>alert" not in page.response.text


async def test_a_form_changes_only_what_differs_and_says_what_others_changed_meanwhile(
    scenario: IncidentScenario, officer: Visitor
) -> None:
    incident = await down(scenario, end=400)
    await scenario.patch(incident, cause="weather")
    path = f"/console/incidents/{incident}"
    form = f"{path}#handle"
    page = await officer.get(path)
    assert (await officer.submit(page, form, ticket_no="T-5", reported_at="")).status == 303
    changed = await scenario.get(incident)
    assert (changed["ticket_no"], changed["cause_confirmed_by"]) == ("T-5", "token sari"), "the cause was not touched"
    page = await officer.get(path)
    await scenario.patch(incident, assignee="Teknisi Sari")
    stale = await officer.submit(page, form, ticket_no="T-6")
    assert stale.status == 412
    assert "Petugas: – → Teknisi Sari, token sari" in stale.text
    assert stale.form(form)["ticket_no"] == "T-6", "what was typed is kept"
    assert (await officer.submit(stale, form)).status == 303
    assert (await scenario.get(incident))["ticket_no"] == "T-6"
    page = await officer.get(path)
    early = scenario.at(-3600).astimezone(WITA).strftime("%Y-%m-%dT%H:%M")
    wrong = await officer.submit(page, form, reported_at=early)
    assert (wrong.status, set(wrong.errors())) == (422, {"reported_at"})
    assert wrong.form(form)["reported_at"] == early


async def test_a_cause_shows_what_it_changes_and_one_that_corrects_a_closed_month_is_confirmed(
    scenario: IncidentScenario, session: AsyncSession, officer: Visitor
) -> None:
    incident = await down(scenario, end=400)
    [site] = (await scenario.get(incident))["sites"]
    first = scenario.at(-100).astimezone(WITA).date() - timedelta(days=1)
    terms = [(first, {"min_outage_s": 60, "excluded_causes": ["power"]})]
    await under_contract(session, site["id"], valid_from=first, terms=terms)
    path = f"/console/incidents/{incident}"
    form = f"{path}#handle"
    shown = await officer.submit(await officer.get(path), form, cause="power", do="effects")
    assert shown.status == 200
    assert "5 menit → 0 detik" in shown.text
    assert (await scenario.get(incident))["cause"] is None, "nothing was set"
    async with transaction(scenario.sessions) as writing:
        await writing.execute(
            text(
                "INSERT INTO closed_month (site_id, month, closed_at, figures) "
                "VALUES (:site, cast(:month AS date), now(), '{}')"
            ),
            {"site": site["id"], "month": scenario.at(100).astimezone(WITA).date().replace(day=1)},
        )
    asked = await officer.submit(await officer.get(path), form, cause="power")
    assert asked.status == 200
    assert "dicatat sebagai koreksi" in asked.text
    assert (await scenario.get(incident))["cause"] is None
    assert (await officer.submit(asked, form)).status == 303
    assert (await scenario.get(incident))["cause"] == "power"
