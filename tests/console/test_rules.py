"""Aturan: a form with every field, what last week would have sent, muting, and deleting."""

from datetime import UTC, datetime

import pytest

from app.console.rules_routes import muted_until
from tests.conftest import Cast
from tests.support.alerts import AlertDesk
from tests.support.console import Page, Visitor

NEW = "/console/rules/new"
GIVEN = {
    "name": "Malam <b>tenang</b>",
    "region": "64.02.05",
    "least_s": "300",
    "degraded_hours": "12",
    "quiet_from": "22:00",
    "quiet_to": "06:30",
    "remind_at": "08:00",
    "after_min": "60",
    "beyond_sites": "10",
}


async def create(officer: Visitor, channel: int, **fields: str) -> Page:
    page = await officer.get(NEW)
    ticked = {"kinds": ["down", "recovered"], "technologies": ["leo"], "providers": ["iconplus"]}
    form = page.form(NEW) | GIVEN | ticked | {"channels": [str(channel)], "do": "save"} | fields
    return await officer.post(NEW, form)


async def test_every_field_is_saved_shown_again_and_changed(cast: Cast, desk: AlertDesk, officer: Visitor) -> None:
    channel, other = await desk.channel(), await desk.channel()
    await desk.channel("64.03", name="Saluran Berau")
    made = await create(officer, channel)
    assert made.status == 303, made.text
    path = made.response.headers["location"].partition("?")[0]
    (rule,) = (await cast.sari.get("/rules")).json()["items"]
    assert rule["escalate"] == {"after_min": 60, "beyond_sites": 10, "to": "64"}
    wanted = GIVEN.items() - {("after_min", "60"), ("beyond_sites", "10")}
    assert {(name, str(rule[name])) for name, _ in wanted} == wanted
    assert (rule["kinds"], rule["technologies"], rule["providers"]) == (["down", "recovered"], ["leo"], ["iconplus"])
    page = await officer.get(path)
    assert "Saluran Berau" not in page.text, "another office's"
    assert "<b>tenang" not in page.response.text
    same = await officer.post(path, dict(page.form(path)) | _ticks(page) | {"do": "save"})
    assert same.response.headers["location"].endswith("notice=nothing_changed")
    emptied = {"quiet_from": "", "quiet_to": "", "after_min": "", "beyond_sites": "", "channels": [str(other)]}
    changed = await officer.post(path, dict(page.form(path)) | _ticks(page) | {"do": "save"} | emptied)
    assert changed.response.headers["location"].endswith("notice=saved")
    (rule,) = (await cast.sari.get("/rules")).json()["items"]
    assert (rule["quiet_from"], rule["escalate"], rule["channels"], rule["remind_at"]) == (None, None, [other], "08:00")
    stale = await officer.post(path, dict(page.form(path)) | _ticks(page) | {"do": "save", "name": "Lain"})
    assert stale.status == 412
    for text in ("Malam", "titik akses putus", "Muara Badak"):
        assert text in (await officer.get("/console/rules")).text


async def test_what_is_wrong_with_the_escalation_stands_beside_its_fields(desk: AlertDesk, officer: Visitor) -> None:
    refused = await create(officer, await desk.channel(), after_min="3", beyond_sites="0")
    assert refused.status == 422
    assert {"after_min", "beyond_sites"} <= refused.errors().keys()
    assert "escalate." not in refused.text


def _ticks(page: Page) -> dict[str, list[str]]:
    names = ("kinds", "technologies", "providers", "channels")
    return {name: page.tree.xpath(f"//input[@name='{name}'][@checked]/@value") for name in names}


async def test_what_last_week_would_have_sent_is_shown_before_it_is_saved(
    cast: Cast, desk: AlertDesk, officer: Visitor
) -> None:
    channel = await desk.channel()
    page = await create(officer, channel, do="preview")
    assert (page.status, "Minggu lalu akan terkirim 0 pesan" in page.text) == (200, True)
    assert page.form(NEW)["name"] == GIVEN["name"]
    assert _ticks(page)["kinds"] == ["down", "recovered"]
    assert (await cast.sari.get("/rules")).json()["items"] == []
    rule = await desk.rule(channel)
    path = f"/console/rules/{rule}"
    shown = await officer.get(path)
    again = await officer.post(path, dict(shown.form(path)) | _ticks(shown) | {"do": "preview", "least_s": "60"})
    assert (again.status, "Minggu lalu akan terkirim" in again.text) == (200, True)
    assert again.form(path)["least_s"] == "60"


async def test_what_is_wrong_stands_beside_its_field(desk: AlertDesk, officer: Visitor, reader: Visitor) -> None:
    channel = await desk.channel()
    page = await create(officer, channel, least_s="sebentar", quiet_to="22:00", name="")
    assert page.status == 422
    assert {"least_s", "name"} <= page.errors().keys()
    assert page.form(NEW)["least_s"] == "sebentar"
    assert (await create(officer, channel, kinds=[])).status == 422  # type: ignore[arg-type]
    assert (await reader.get(NEW)).status == 403
    rule = await desk.rule(channel)
    assert not (await reader.get(f"/console/rules/{rule}")).tree.xpath("//main//form")


async def test_it_is_muted_for_a_while_and_deleted(cast: Cast, desk: AlertDesk, officer: Visitor) -> None:
    rule = await desk.rule(await desk.channel())
    path = f"/console/rules/{rule}"
    for chosen, said in (("8h", "Dibisukan sampai"), ("morning", "Dibisukan sampai"), ("", "tidak lagi dibisukan")):
        done = await officer.submit(await officer.get(path), f"{path}/mute", **{"for": chosen})
        assert said in (await officer.follow(done)).text
    assert (await cast.sari.get(f"/rules/{rule}")).json()["muted_until"] is None
    gone = await officer.submit(await officer.get(path), f"{path}/delete")
    assert gone.response.headers["location"].endswith("notice=rule_deleted")
    assert (await officer.get(path)).status == 404


async def test_the_province_chooses_whose_rule_it_is_before_its_channels(desk: AlertDesk, province: Visitor) -> None:
    await desk.channel("64.03", name="Saluran Berau")
    page = await province.get(NEW)
    assert "Saluran Berau" not in page.text
    berau = await province.submit(page, NEW, office="64.03", do="office")
    assert "Saluran Berau" in berau.text
    assert berau.form(NEW)["office"] == "64.03"


@pytest.mark.parametrize(
    ("chosen", "until"),
    [
        ("1h", datetime(2026, 11, 28, 21, 0, tzinfo=UTC)),
        ("8h", datetime(2026, 11, 29, 4, 0, tzinfo=UTC)),
        ("morning", datetime(2026, 11, 28, 23, 0, tzinfo=UTC)),
        ("", None),
        ("9h", None),
    ],
)
def test_until_the_morning_is_seven_in_wita(chosen: str, until: datetime | None) -> None:
    assert muted_until(chosen, datetime(2026, 11, 28, 20, 0, tzinfo=UTC)) == until, "20.00 UTC is 04.00 WITA"
