from sqlalchemy.ext.asyncio import AsyncSession

from app.console.regions_routes import side_by_side
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE
from tests.support.console import Visitor
from tests.support.site_histories import day, site_since


async def measured_sites(session: AsyncSession, cast: Cast) -> None:
    """Three of Kukar: one with an hour down, one hardly seen, one satellite; and one of Berau."""
    await site_since(session, cast, day(4), (day(2, 3), "down"), (day(2, 4), "up"))
    await site_since(session, cast, day(4), (day(3, 5), "unknown"), provider="iconplus", name="Jarang terlihat")
    await site_since(session, cast, day(4), technology="geo")
    await site_since(session, cast, day(4), village_code=BERAU_VILLAGE, name="Di Berau")


async def test_a_district_officer_sees_the_district_and_not_its_neighbour(
    session: AsyncSession, cast: Cast, officer: Visitor
) -> None:
    await measured_sites(session, cast)
    page = await officer.follow(await officer.get("/console/regions"))
    assert page.response.url.path == "/console/regions/64.02"
    assert "Kabupaten Kutai Kartanegara" in page.text
    assert "Muara Badak" in page.text
    assert "Di Berau" not in page.text
    assert (await officer.get("/console/regions/64.03")).status == 403


async def test_what_was_hardly_measured_is_said_not_to_suffice(
    session: AsyncSession, cast: Cast, officer: Visitor
) -> None:
    await measured_sites(session, cast)
    page = await officer.get("/console/regions/64.02?period=7d")
    assert "Belum cukup bukti: 1" in page.text
    [row] = page.tree.xpath('//details[@id="unranked-site"]//tbody/tr')
    assert "Jarang terlihat" in row.text_content()
    assert "terlalu sedikit waktu yang terpantau" in row.text_content()


async def test_providers_are_ranked_inside_each_technology(
    session: AsyncSession, cast: Cast, province: Visitor
) -> None:
    await measured_sites(session, cast)
    page = await province.get("/console/providers?period=7d")
    assert {"Serat optik", "Satelit GEO (VSAT)"} <= {heading.text for heading in page.tree.xpath("//h2")}
    ranking = await province.get("/console/ranking?by=provider&period=7d&technology=geo")
    assert [row.xpath("td")[1].text_content().strip() for row in ranking.tree.xpath("//tbody/tr")] == ["Telkom WMS"]


async def test_months_stand_side_by_side_also_where_a_region_was_in_one_alone() -> None:
    a, b = {"code": "64.02.01", "name": "A"}, {"code": "64.02.02", "name": "B"}
    rows = side_by_side([[a], [a, b]])
    assert [(row["code"], [bool(month) for month in row["months"]]) for row in rows] == [
        ("64.02.01", [True, True]),
        ("64.02.02", [False, True]),
    ]


async def test_the_months_of_a_region_are_shown_with_their_bounds(
    session: AsyncSession, cast: Cast, province: Visitor
) -> None:
    await measured_sites(session, cast)
    page = await province.get("/console/regions/64/months")
    assert "data terpantau" in page.text
    assert "Kabupaten Berau" in page.text


async def test_a_period_that_makes_no_sense_is_said_with_what_to_write(officer: Visitor) -> None:
    page = await officer.get("/console/regions/64.02?period=kapan")
    assert page.status == 422
    assert "Tulis seperti 24h, 7d, 30d, atau 2026-11" in page.text


async def test_the_province_registers_and_renames_a_provider(province: Visitor, officer: Visitor) -> None:
    page = await province.get("/console/providers/new")
    wrong = await province.submit(page, "", slug="Bukan Slug", name="Desa Net")
    assert set(wrong.errors()) == {"slug"}
    assert wrong.form("")["name"] == "Desa Net"
    made = await province.submit(page, "", slug="desa-net", name="Desa Net", aliases="DesaNet\nPT Desa Net")
    page = await province.follow(made)
    assert "Desa Net" in page.text
    form = await province.get(made.response.headers["location"].split("?")[0] + "/edit")
    assert form.form("")["aliases"].split() == ["DesaNet", "PT", "Desa", "Net"]
    assert (await officer.post("/console/providers/new", {"slug": "x", "name": "X"})).status == 403


async def test_a_rank_says_what_part_of_its_time_the_tower_was_down(
    province: Visitor, session: AsyncSession, cast: Cast
) -> None:
    await site_since(session, cast, day(4), (day(2, 3), "unreachable"), (day(2, 4), "up"))
    assert "0 detik + 1 jam induk putus" in (await province.get("/console/ranking?period=7d")).text
