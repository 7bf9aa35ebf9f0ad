"""Titik pantau: everybody sees from where sites are looked at; the province alone names vantages and makes probers."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.worker import writer as worker
from app.worker.counters import WorkerCounters
from tests.conftest import Cast
from tests.factories import register
from tests.support.console import Visitor
from tests.support.probers import hear, name_vantage

PATH = "/console/vantages"


async def test_a_vantage_and_its_prober_are_made_and_the_token_is_shown_once(
    session: AsyncSession, province: Visitor
) -> None:
    await province.get(PATH)
    form = await province.get(f"{PATH}/new")
    wrong = await province.submit(form, f"{PATH}/new", name="Telkom!", label="Jaringan Telkom")
    assert (wrong.status, "name" in wrong.errors()) == (422, True)
    assert (await province.submit(form, f"{PATH}/new", name="telkom", label="Jaringan Telkom")).status == 303
    form = await province.get(f"{PATH}/probers/new?vantage=telkom")
    made = await province.submit(form, f"{PATH}/probers", name="samarinda-1")
    assert made.status == 201
    (secret,) = made.tree.xpath("//code[@id='secret']/text()")
    assert secret.startswith("sp-")
    assert "sinyal prober --server http" in made.text
    again = await province.submit(form, f"{PATH}/probers", name="samarinda-1")
    assert secret not in again.response.text
    assert secret not in (await province.get(PATH)).response.text
    rename = await province.get(f"{PATH}/1")
    assert (await province.submit(rename, f"{PATH}/1", label="Telkom <b>Samarinda</b>")).status == 303
    assert "1 · Telkom <b>Samarinda</b>" in (await province.get(PATH)).text


async def test_the_page_tells_how_each_prober_is(session: AsyncSession, province: Visitor, reader: Visitor) -> None:
    form = await province.get(f"{PATH}/probers/new")
    for name in ("satu", "dua", "tiga"):
        assert (await province.submit(form, f"{PATH}/probers", name=name, vantage="central")).status == 201
        form = await province.get(f"{PATH}/probers/new")
    page = await province.get(PATH)
    one, two, three = (int(action.split("/")[-2]) for action in page.tree.xpath("//form/@action[contains(., 'token')]"))
    await hear(session, one, silent_s=2, clock_offset_ms=1_250, readings=12_345, address="10.9.8.7")
    await hear(session, two, silent_s=300, spooled_readings=4_321)
    await hear(session, three, blind_s=60)
    async with session.begin():
        now, figures = utc_now(), WorkerCounters(sites=7, prober_sites={str(one): 1_038})
        await worker.write_beat(session, now=now, started_at=now, blind_since=None, figures=figures.as_dict())
    page = await province.get(PATH)
    rows = [" ".join(row.text_content().split()) for row in page.tree.xpath("//tbody/tr")]
    assert "bawaan layanan ini" in rows[0]
    for part in ("satu", "10.9.8.7", "ada kabar", "1.038", "1.250 ms", "12.345"):
        assert part in rows[1]
    assert ("tidak ada kabar" in rows[2] or "diam" in rows[2], "4.321" in rows[2]) == (True, True)
    assert "pemantauan terhenti" in rows[3]
    assert "jam mesin meleset lebih dari satu detik di: satu (central)" in page.text
    seen = await reader.get(PATH)
    assert "satu" in seen.text
    assert "10.9.8.7" not in seen.response.text
    assert not seen.tree.xpath("//main//form")
    assert (await reader.get(f"{PATH}/probers/new")).status == 403


async def test_a_revoked_prober_stands_on_a_page_of_its_own(session: AsyncSession, province: Visitor) -> None:
    form = await province.get(f"{PATH}/probers/new")
    await province.submit(form, f"{PATH}/probers", name="gudang", vantage="central")
    page = await province.get(PATH)
    (rotate,) = page.tree.xpath("//form/@action[contains(., '/token')]")
    (revoke,) = page.tree.xpath("//form/@action[contains(., '/revoke')]")
    rotated = await province.submit(page, rotate)
    assert rotated.tree.xpath("//code[@id='secret']")
    assert (await province.submit(page, revoke)).status == 303
    assert "gudang" not in (await province.get(PATH)).text
    assert "gudang" in (await province.get(f"{PATH}?revoked=true")).text
    assert (await province.submit(page, rotate)).status == 409


async def test_a_form_ticks_the_vantages_of_a_site(cast: Cast, session: AsyncSession, province: Visitor) -> None:
    made = (await register(cast, host="198.51.100.7"))["id"]
    path = f"/console/sites/{made}/edit"
    assert not (await province.get(path)).tree.xpath('//input[@name="vantages"]')
    await name_vantage(session, 1, "telkom")
    page = await province.get(path)
    boxes = page.tree.xpath('//input[@name="vantages"][@type="checkbox"]')
    assert [(box.get("value"), box.get("checked") is not None) for box in boxes] == [("0", True), ("1", False)]

    async def tick(*numbers: str) -> list[int]:
        await province.submit(await province.get(path), path, vantages=["", *numbers])
        return list((await cast.sari.get(f"/sites/{made}")).json()["vantages"])

    assert await tick("0", "1") == [0, 1]
    await cast.sari.patch(f"/sites/{made}", {"vantages": ["telkom", "central"]})
    assert await tick("0", "1") == [1, 0]
    assert await tick("1") == [1]
    refused = await province.submit(await province.get(path), path, vantages=[""])
    assert refused.status == 422
    assert "vantages" in refused.errors()


async def test_a_sites_page_names_from_where_it_is_looked_at(
    cast: Cast, session: AsyncSession, province: Visitor, reader: Visitor
) -> None:
    await name_vantage(session, 1, "telkom")
    form = await province.get(f"{PATH}/1")
    saved = await province.submit(form, f"{PATH}/1", label="Jaringan Telkom", provider="telkom-wms")
    assert saved.status == 303
    assert "Berada di jaringan telkom-wms" in (await reader.get(PATH)).text
    both = (await register(cast, host="198.51.100.7", vantages=[1, 0]))["id"]
    alone = (await register(cast, host="198.51.100.8"))["id"]
    page = await reader.get(f"/console/sites/{both}")
    assert "Dipantau dari Jaringan Telkom utama tidak dipantau dalam enam jam terakhir" in page.text
    assert "tidak menentukan status. Pusat" in page.text
    assert "Dipantau dari" not in (await reader.get(f"/console/sites/{alone}")).text
