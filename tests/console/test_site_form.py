"""Registering and changing a site in the console."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.registry import providers
from tests.access.browser import PASSWORD
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, VILLAGE, register
from tests.support.console import Page, Visitor

NEW = "/console/sites/new"
TYPED: dict[str, Any] = {
    "district": "64.02",
    "subdistrict": "64.02.05",
    "village_code": VILLAGE,
    "technology": "fiber",
    "provider": "telkom-wms",
    "probe": "icmp",
    "host": "198.51.100.20",
    "latitude": "0°21'42\" LS",
    "longitude": "117,4391",
    "bandwidth_down_mbps": "12,5 Mbps",
    "notes": '<script>alert(1)</script>\r\n\u202egnp.exe "x"',
}


@pytest.fixture(autouse=True)
async def registered_providers(session: AsyncSession) -> None:
    async with session.begin():
        await providers.ensure_providers(session, {"telkom-wms": "Telkom WMS", "iconplus": "Icon+"})


async def stored(session: AsyncSession) -> list[dict[str, Any]]:
    return [dict(row) for row in (await session.execute(text("SELECT * FROM site ORDER BY id"))).mappings()]


def options(page: Page, name: str) -> list[str]:
    return [
        str(option.get("value"))
        for option in page.tree.xpath(f'//select[@name="{name}"]/option')
        if option.get("value")
    ]


async def test_pickers_offer_what_lies_below_and_lose_nothing_typed(officer: Visitor) -> None:
    page = await officer.get(NEW)
    assert options(page, "district") == ["64.02"]
    assert "64.02.05" in options(page, "subdistrict")
    assert options(page, "village_code") == []
    page = await officer.submit(
        page, NEW, subdistrict="64.02.05", provider="telkom-wms", notes=TYPED["notes"], step="pick"
    )
    assert VILLAGE in options(page, "village_code")
    assert page.form(NEW)["notes"].replace("\n", "\r\n").replace("\r\r", "\r") == TYPED["notes"]
    assert "<script>alert" not in page.response.text
    page = await officer.submit(page, NEW, village_code=VILLAGE, probe="push", step="pick")
    assert "Titik tengah Muara Badak Ulu" in page.text
    assert "kartu pemasangannya" in page.text
    prefilled = await officer.get(f"{NEW}?village={VILLAGE}")
    assert prefilled.form(NEW)["village_code"] == VILLAGE


async def test_a_site_is_registered_once_as_people_write_it(officer: Visitor, session: AsyncSession) -> None:
    page = await officer.get(NEW)
    fields = page.form(NEW) | TYPED
    first, again = await officer.post(NEW, fields), await officer.post(NEW, fields)
    assert (first.status, again.status) == (303, 303), first.errors()
    assert first.response.headers["location"] == again.response.headers["location"]
    [site] = await stored(session)
    assert (round(site["latitude"], 4), site["longitude"], site["bandwidth_down_mbps"]) == (-0.3617, 117.4391, 12.5)
    assert (site["name"], site["parent_id"], site["lifecycle"]) == ("Muara Badak Ulu", None, "active")
    done = await officer.follow(first)
    assert site["code"] in done.text
    assert "Diukur dalam semenit" in done.text


async def test_every_fault_stands_beside_its_field_and_nothing_typed_is_lost(
    officer: Visitor, session: AsyncSession
) -> None:
    page = await officer.get(NEW)
    wrong = TYPED | {"host": "10.0.0.1", "latitude": "utara", "port": "x", "provider": "", "technology": ""}
    page = await officer.submit(page, NEW, **wrong)
    assert page.status == 422
    assert set(page.errors()) == {"host", "latitude", "port", "provider", "technology"}
    assert "bukan koordinat" in page.errors()["latitude"]
    again = page.form(NEW)
    assert {name: again[name] for name in wrong if name != "notes"} == {n: v for n, v in wrong.items() if n != "notes"}
    assert await stored(session) == []
    refused = await officer.submit(
        page, NEW, **(TYPED | {"district": "64.03", "subdistrict": "64.03.01", "village_code": BERAU_VILLAGE})
    )
    assert refused.status in {403, 422}
    assert await stored(session) == []


async def test_leaving_a_field_says_what_is_wrong_with_it_but_not_with_those_to_come(officer: Visitor) -> None:
    fields = (await officer.get(NEW)).form(NEW)
    checked = await officer.post(f"{NEW}/check", fields | {"host": "10.0.0.1", "probe": "icmp"})
    assert set(checked.errors()) == {"host"}
    assert (await officer.post(f"{NEW}/check", fields | TYPED)).errors() == {}


async def test_a_warning_is_asked_about_before_anything_is_saved(officer: Visitor, session: AsyncSession) -> None:
    page = await officer.get(NEW)
    page = await officer.submit(
        page, NEW, **(TYPED | {"latitude": "-1.2, 116.8", "longitude": "", "technology": "leo"})
    )
    assert "km dari titik tengah Muara Badak Ulu" in page.text
    assert "Belum ada yang disimpan" in page.text
    assert await stored(session) == []
    fields = page.form(NEW)
    assert (fields["latitude"], fields["longitude"]) == ("-1.2", "116.8")
    assert (await officer.post(NEW, fields)).status == 303
    assert len(await stored(session)) == 1


async def test_a_form_whose_session_ended_registers_after_signing_in(officer: Visitor, session: AsyncSession) -> None:
    fields = (await officer.get(NEW)).form(NEW) | TYPED
    await officer.post("/console/sign-out", fields)
    page = await officer.post(NEW, fields)
    page = await officer.submit(page, "/console/sign-in", username="kukar", password=PASSWORD)
    done = await officer.submit(page, NEW)
    assert done.status == 303
    assert [site["notes"] for site in await stored(session)] == [TYPED["notes"].replace("\r\n", "\n")]


async def test_a_push_site_gets_the_card_for_its_technician(officer: Visitor) -> None:
    page = await officer.get(NEW)
    done = await officer.follow(await officer.submit(page, NEW, **(TYPED | {"probe": "push", "host": ""})))
    action = done.response.url.path
    card = await officer.submit(done, action)
    assert any("page=card" in link for link in card.tree.xpath("//a/@href"))


async def test_a_change_sends_only_what_was_typed_anew(officer: Visitor, cast: Cast, session: AsyncSession) -> None:
    made = await register(cast, contact_name="Budi", bandwidth_down_mbps=12.5, latitude=-0.3617, longitude=117.4391)
    path = f"/console/sites/{made['id']}/edit"
    page = await officer.get(path)
    unchanged = await officer.submit(page, path)
    assert "nothing_changed" in unchanged.response.headers["location"]
    done = await officer.submit(page, path, name="Balai Desa", contact_name="")
    assert done.status == 303
    [site] = await stored(session)
    assert (site["name"], site["contact_name"], site["bandwidth_down_mbps"]) == ("Balai Desa", None, 12.5)
    audited = await session.scalar(text("SELECT after FROM audit WHERE object = 'site' ORDER BY id DESC LIMIT 1"))
    assert set(audited) == {"name", "contact_name"}


async def test_of_two_who_change_a_site_the_second_chooses_and_loses_nothing(
    officer: Visitor, cast: Cast, session: AsyncSession
) -> None:
    made = await register(cast)
    path = f"/console/sites/{made['id']}/edit"
    page = await officer.get(path)
    changes = {"name": "Nama Sari", "ssid": "Sari", "technology": "radio", "device_model": "hAP"}
    assert (await cast.sari.patch(f"/sites/{made['id']}", changes)).status_code == 200
    conflict = await officer.submit(page, path, name="Nama Kukar", ssid="Kukar", notes="milik saya")
    assert conflict.status == 412
    for said in ("Nama Kukar", "Nama Sari", "Versi Anda", "Versi tersimpan", "serat optik", "hAP"):
        assert said in conflict.text, said
    back = await officer.submit(conflict, path, step="edit")
    assert back.form(path)["notes"] == "milik saya"
    done = await officer.submit(conflict, path, **{"choose.ssid": "stored"})
    assert done.status == 303, done.text
    [site] = await stored(session)
    assert (site["name"], site["ssid"], site["notes"], site["technology"], site["device_model"]) == (
        *("Nama Kukar", "Sari", "milik saya", "radio"),
        "hAP",
    )


async def test_a_site_is_suspended_retired_and_put_into_service_again(
    officer: Visitor, cast: Cast, session: AsyncSession
) -> None:
    made = await register(cast)
    path, action = f"/console/sites/{made['id']}/edit", f"/console/sites/{made['id']}/lifecycle"
    for wanted in ("suspended", "retired", "active"):
        page = await officer.get(path)
        [form] = [
            form
            for form in page.tree.xpath("//form")
            if form.get("action") == action and form.xpath(f'.//button[@value="{wanted}"]')
        ]
        done = await officer.post(action, dict(form.form_values()) | {"lifecycle": wanted})
        assert done.response.headers["location"].endswith(f"notice=now_{wanted}")
        assert [site["lifecycle"] for site in await stored(session)] == [wanted]
    stale = await officer.post(action, dict(form.form_values()) | {"lifecycle": "retired"})
    assert stale.status == 412


async def test_a_foreign_site_is_not_found_and_a_reader_registers_nothing(
    officer: Visitor, reader: Visitor, cast: Cast
) -> None:
    foreign = await register(cast, village_code=BERAU_VILLAGE)
    assert (await officer.get(f"/console/sites/{foreign['id']}/edit")).status == 404
    assert (await reader.get(NEW)).status == 403
    assert "Register a site" in (await officer.get(f"{NEW}?lang=en")).text


async def test_a_click_on_the_map_fills_in_the_position_and_enter_does_not(
    officer: Visitor, session: AsyncSession
) -> None:
    page = await officer.get(f"{NEW}?village={VILLAGE}")
    fields = page.form(NEW) | TYPED | {"latitude": "", "longitude": ""}
    [image] = page.tree.xpath('//input[@type="image"]')
    assert image.get("src").startswith("data:image/svg+xml;base64,")
    clicked = await officer.post(NEW, fields | {"map.x": "140", "map.y": str(int(image.get("height")) // 2)})
    filled = clicked.form(NEW)
    assert (abs(float(filled["latitude"]) + 0.36) < 0.3, abs(float(filled["longitude"]) - 117.4) < 0.3) == (True, True)
    assert filled["host"] == TYPED["host"]
    assert await stored(session) == []
    assert (await officer.post(NEW, fields | {"map.x": "0", "map.y": "0"})).status == 303
    assert len(await stored(session)) == 1
