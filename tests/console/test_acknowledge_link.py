"""Tangani: the link in a message leads to one button; it signs nobody in, gives no right, and is good once."""

from datetime import timedelta

from app.alerts.message_links import GOOD_FOR, links_of, make_token, read_token
from app.alerts.models import Announcement, AnnouncementState, NotificationKind
from app.core.clock import utc_now
from app.core.sealing import Sealer
from tests.access.browser import PASSWORD
from tests.conftest import SECRET_KEY
from tests.support.alerts import AlertDesk
from tests.support.console import Visitor
from tests.support.incident_scenario import IncidentScenario
from tests.support.told import CONTENTS, told

SEALER = Sealer([SECRET_KEY])


async def down(scenario: IncidentScenario, **where: str) -> int:
    """Register a site that is down, and return its incident's id."""
    site = await scenario.site(**where)
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    return max(int(incident["id"]) for incident in await scenario.list_incidents())


async def link(desk: AlertDesk, channel: int, *, good_for: timedelta = GOOD_FOR) -> str:
    """Make a notification of what is pending for the channel; return the path of its link."""
    notification = await desk.notify(channel, CONTENTS["one site down"])
    return f"/console/acknowledge/{make_token(notification, utc_now() + good_for, SEALER)}"


async def status(scenario: IncidentScenario, incident: int) -> tuple[str, str | None]:
    found = await scenario.get(incident)
    return found["status"], found["acknowledged_by"]


async def test_the_link_is_acknowledged_by_a_button_and_is_then_used(
    scenario: IncidentScenario, desk: AlertDesk, officer: Visitor, reader: Visitor
) -> None:
    channel = await desk.channel()
    await desk.rule(channel)
    first, second = await down(scenario), await down(scenario, village_code="64.02.05.2004")
    path = await link(desk, channel)
    for _ in range(2):  # a mail scanner looks first
        page = await officer.get(path)
        assert (page.status, "Tangani 2 gangguan" in page.text) == (200, True)
    assert await status(scenario, first) == ("open", None)
    assert {f"/console/incidents/{one}" for one in (first, second)} <= set(page.tree.xpath("//main//a/@href"))
    assert "Peran Anda hanya membaca" in (await reader.get(path)).text
    assert (await reader.post(path, page.form(""))).status == 403
    assert (await officer.post(path, page.form("") | {"csrf_token": "x"})).status == 403
    done = await officer.submit(page, "")
    assert (done.status, "Anda tangani: 2 gangguan" in done.text) == (200, True)
    for incident in (first, second):
        assert await status(scenario, incident) == ("acknowledged", "kukar")
    again = await officer.submit(page, "")
    assert (again.status, "oleh kukar" in again.text) == (410, True)
    used = await reader.get(path)
    assert "oleh kukar" in used.text
    assert not used.tree.xpath("//main//form")


async def test_whoever_is_not_signed_in_comes_back_to_it_after_signing_in(
    scenario: IncidentScenario, desk: AlertDesk, officer: Visitor
) -> None:
    channel = await desk.channel()
    await desk.rule(channel)
    await down(scenario)
    path = await link(desk, channel)
    officer.client.cookies.clear()
    asked = await officer.get(path)
    assert asked.status == 303
    signing_in = await officer.follow(asked)
    back = await officer.submit(signing_in, "/console/sign-in", username="kukar", password=PASSWORD)
    assert back.response.headers["location"] == path
    assert "Tangani 1 gangguan" in (await officer.follow(back)).text


async def test_one_that_is_tampered_foreign_or_over_says_so_and_does_nothing(
    scenario: IncidentScenario, desk: AlertDesk, officer: Visitor, neighbour: Visitor
) -> None:
    channel = await desk.channel()
    await desk.rule(channel)
    incident = await down(scenario)
    path, over = await link(desk, channel), await link(desk, channel, good_for=timedelta(seconds=-1))
    page = await officer.get(path)
    number, expiry, signature = path.rpartition("/")[2].split(".")
    longer = f"/console/acknowledge/{number}.{int(expiry) + 1}.{signature}"
    other = f"/console/acknowledge/{int(number) + 1}.{expiry}.{signature}"
    other_key = f"/console/acknowledge/{make_token(int(number), utc_now() + GOOD_FOR, Sealer(['x' * 40]))}"
    gone = f"/console/acknowledge/{make_token(999_999, utc_now() + GOOD_FOR, SEALER)}"
    for wrong in (longer, other, other_key, gone, path[:-1], path + "A", f"{path}/x", path + "A" * 100, path + "%00"):
        for answer in (await officer.get(wrong), await officer.post(wrong, page.form(""))):
            assert answer.status == 404, wrong
            assert "Semua gangguan" in answer.text or wrong.endswith("/x")
    for answer in (await officer.get(over), await officer.post(over, page.form(""))):
        assert (answer.status, "Tautan ini berlaku selama tujuh hari" in answer.text) == (410, True)
    foreign = await neighbour.get(path)
    assert (foreign.status, "tidak menyangkut titik akses dalam wilayah" in foreign.text) == (404, True)
    assert (await neighbour.post(path, page.form(""))).status in {403, 404}
    assert await status(scenario, incident) == ("open", None)


async def test_of_several_regions_each_acknowledges_its_own(
    scenario: IncidentScenario, desk: AlertDesk, officer: Visitor, province: Visitor
) -> None:
    channel = await desk.channel("64")
    await desk.rule(channel, office="64")
    mine, theirs = await down(scenario), await down(scenario, village_code="64.03.01.2001")
    path = await link(desk, channel)
    page = await officer.get(path)
    assert "1 gangguan lain berada di luar wilayah Anda" in page.text
    assert "Putus:" not in page.text, "the province's message is not this office's to read"
    assert "Anda tangani: 1 gangguan" in (await officer.submit(page, "")).text
    assert (await status(scenario, mine))[0] == "acknowledged"
    assert (await status(scenario, theirs))[0] == "open"
    assert "Tidak ada lagi yang perlu ditangani" in (await officer.get(path)).text
    rest = await province.get(path)
    assert "Putus: Loa Kulu Kota" in rest.text
    assert "Anda tangani: 1 gangguan" in (await province.submit(rest, "")).text
    assert (await status(scenario, theirs)) == ("acknowledged", "provinsi")


async def test_what_joined_since_the_page_was_shown_is_shown_before_it_is_acknowledged(
    scenario: IncidentScenario, desk: AlertDesk, officer: Visitor
) -> None:
    channel = await desk.channel()
    await desk.rule(channel)
    await down(scenario)
    path = await link(desk, channel)
    page = await officer.get(path)
    late = await down(scenario, village_code="64.02.05.2004")
    sent, pending = await desk.announcements(channel)
    assert pending.state is AnnouncementState.PENDING
    await desk.change(Announcement, pending.id, group_id=sent.group_id)
    stale = await officer.submit(page, "")
    assert (stale.status, "Tangani 2 gangguan" in stale.text) == (412, True)
    assert (await status(scenario, late))[0] == "open"
    await officer.submit(stale, "")
    assert (await status(scenario, late))[0] == "acknowledged"


def test_links_are_made_where_there_is_something_to_acknowledge_and_an_address() -> None:
    one_down, recovered = CONTENTS["one site down"], CONTENTS["one recovered"]
    links = links_of(7, one_down, base="https://s.example", sealer=SEALER)
    assert links.details == "https://s.example/console/notifications/7"
    made = (links.acknowledge or "").rpartition("/")[2]
    token = read_token(made, SEALER)
    assert token
    assert (token.notification_id, token.expires_at) == (7, one_down.at + GOOD_FOR)
    assert read_token(made, Sealer(["new" * 20, SECRET_KEY])) == token, "keys rotate"
    assert links_of(7, one_down, base=None, sealer=SEALER).details is None
    for nothing in (recovered, told(NotificationKind.TEST), CONTENTS["told to the provider itself"]):
        assert links_of(7, nothing, base="https://s.example", sealer=SEALER).acknowledge is None
