from datetime import date, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.console.numbers import read_number
from app.core.clock import today
from tests.conftest import Cast
from tests.factories import register
from tests.support.console import Visitor
from tests.support.site_histories import day, site_since, under_contract

LONG_AGO = date(2020, 1, 1)
FIELDS = {"number": "027/9/2026", "provider": "telkom-wms", "valid_from": "2026-01-01", "sla_target_pct": "99,5"}


async def test_the_province_writes_a_contract_with_a_decimal_comma_and_changes_its_terms_by_day(
    cast: Cast, province: Visitor
) -> None:
    page = await province.get("/console/contracts/new")
    wrong = await province.submit(page, "", **FIELDS | {"sla_target_pct": "sembilan", "monthly_fee_idr": "4.500.000"})
    assert set(wrong.errors()) == {"sla_target_pct"}
    assert wrong.form("")["number"] == FIELDS["number"]
    made = await province.submit(page, "", **FIELDS, monthly_fee_idr="4.500.000")
    again = await province.submit(page, "", **FIELDS, monthly_fee_idr="4.500.000")
    assert again.response.headers["location"] == made.response.headers["location"], "sent twice, made once"
    path = made.response.headers["location"].split("?")[0]
    shown = (await province.get(path)).text
    assert "99,5%" in shown
    assert "Rp 4.500.000" in shown
    form = await province.get(f"{path}/edit")
    tomorrow = (today() + timedelta(days=1)).isoformat()
    await province.submit(form, "", sla_target_pct="98", effective_from=tomorrow)
    contract = (await cast.sari.get(path.removeprefix("/console"))).json()
    assert [terms["sla_target_pct"] for terms in contract["terms"]] == [99.5, 98.0]
    assert contract["monthly_fee_idr"] == 4_500_000


async def test_a_restitution_rule_is_written_in_a_plain_form_shown_in_words_and_changed_from_a_day_on(
    cast: Cast, province: Visitor
) -> None:
    rule = {"restitution.kind": "banded", "restitution.bands": "99,5 5\n98; 20\n", "restitution.cap_pct": "15"}
    page = await province.get("/console/contracts/new")
    mixed = await province.submit(page, "", **FIELDS, **rule | {"restitution.below_pct": "95"})
    assert set(mixed.errors()) == {"restitution.below_pct"}
    assert mixed.form("")["restitution.bands"].split() == ["99,5", "5", "98;", "20"]
    upside_down = await province.submit(page, "", **FIELDS, **rule | {"restitution.bands": "98 20\n99,5 5"})
    assert upside_down.status == 422
    assert "restitution.bands.1.below_pct" in upside_down.text
    made = await province.submit(page, "", **FIELDS, **rule, monthly_fee_idr="4.500.000", fee_per="site")
    path = made.response.headers["location"].split("?")[0]
    shown = (await province.get(path)).text
    assert "Restitusi di bawah ketersediaan 98%: 20% dari biaya" in shown
    assert "Di bawah 99,5%: 5% × Rp 4.500.000 = Rp 225.000." in shown
    form = await province.get(f"{path}/edit")
    assert form.form("")["restitution.bands"].split() == ["99.5", "5", "98", "20"]
    await province.submit(form, "")
    contract = (await cast.sari.get(path.removeprefix("/console"))).json()
    assert len(contract["terms"]) == 1, "sent back as it was shown, nothing changes"
    tomorrow = (today() + timedelta(days=1)).isoformat()
    other = {"restitution.kind": "per_incident", "restitution.bands": "", "restitution.after_s": "14.400"}
    await province.submit(form, "", **other, **{"restitution.per_hour_pct": "0,5"}, effective_from=tomorrow)
    form = await province.get(f"{path}/edit")
    await province.submit(form, "", **{"restitution.kind": "", "restitution.bands": ""})
    contract = (await cast.sari.get(path.removeprefix("/console"))).json()
    assert [each["restitution"] and each["restitution"]["kind"] for each in contract["terms"]] == [
        "banded",
        None,
        "per_incident",
    ]
    assert contract["terms"][2]["restitution"]["after_s"] == 14_400


async def test_sites_are_put_under_a_contract_moved_and_taken_back(cast: Cast, province: Visitor) -> None:
    site = await register(cast)
    made = await cast.sari.post("/contracts", {**FIELDS, "sla_target_pct": 99.5})
    path = f"/console/contracts/{made.json()['id']}"
    page = await province.get(path)
    unknown = await province.submit(page, f"{path}/sites", sites="64.02.05.2003-99", **{"from": "2026-11-01"})
    assert unknown.status == 422
    assert unknown.form(f"{path}/sites")["sites"].strip() == "64.02.05.2003-99"
    line = f"{site['code']}; 2026-11-01; 1.250.000"
    done = await province.submit(page, f"{path}/sites", sites=line, reason="Adendum", **{"from": "2026-11-02"})
    page = await province.follow(done)
    assert "Rp 1.250.000" in page.text
    [change] = page.tree.xpath('//a[contains(@href, "/sites/") and contains(@href, "/contracts/")]/@href')
    form = await province.get(change)
    await province.submit(form, "", to="2026-11-20", monthly_fee_idr="1.100.000", reason="Dialihkan")
    moved = (await province.get(path)).text
    assert "20 November 2026" in moved
    assert "Rp 1.100.000" in moved
    await province.submit(await province.get(change), "", withdraw="1", reason="Salah kontrak")
    assert "Ditarik kembali" in (await province.get(change)).text


async def test_the_months_list_says_who_missed_by_how_much_and_filters_by_it(
    session: AsyncSession, cast: Cast, officer: Visitor
) -> None:
    broken = await site_since(session, cast, day(4), (day(2, 3), "down"), (day(1, 3), "up"), name="Yang putus")
    good = await site_since(session, cast, day(4), name="Yang baik")
    for site in (broken, good):
        await under_contract(session, site, valid_from=LONG_AGO, terms=[(LONG_AGO, {"sla_target_pct": 99})])
    page = await officer.get(f"/console/sla?period={day(2):%Y-%m}")
    assert "Tidak tercapai" in page.text
    assert {"Yang putus", "Yang baik"} <= {link.text_content() for link in page.tree.xpath("//tbody//td[1]//a")}
    missed = await officer.get(f"/console/sla?period={day(2):%Y-%m}&verdict=missed")
    assert [link.text_content() for link in missed.tree.xpath("//tbody//td[1]//a")] == ["Yang putus"]
    assert "belum ditutup" in missed.text
    [outages] = missed.tree.xpath('//a[text()="Putus layanannya"]/@href')
    month = await officer.get(outages)
    assert month.status == 200
    assert "Tidak tercapai" in month.text, "the site's page says the verdict of the month that was asked for"
    [before] = month.tree.xpath('//a[starts-with(text(), "Capaian ")][contains(@href, "period=")]/@href')
    assert before < outages
    assert (await officer.get(before)).status == 200


async def test_an_officer_of_a_district_reads_contracts_and_writes_none(cast: Cast, officer: Visitor) -> None:
    made = (await cast.sari.post("/contracts", {**FIELDS, "sla_target_pct": 99.5})).json()
    page = await officer.get(f"/console/contracts/{made['id']}")
    assert FIELDS["number"] in page.text
    assert not page.tree.xpath('//a[contains(@href, "/edit") or contains(@href, "/audit")]'), (
        "no link to what is refused"
    )
    assert "Telkom WMS" in page.text
    assert (await officer.post(f"/console/contracts/{made['id']}/edit", FIELDS)).status == 403


def test_numbers_are_read_as_people_write_them() -> None:
    written = ("99,5", "99.5", "4.500.000", "300", "", " 1 000 ", "dua")
    assert [read_number(text) for text in written] == [99.5, 99.5, 4_500_000, 300, None, 1000, "dua"]
