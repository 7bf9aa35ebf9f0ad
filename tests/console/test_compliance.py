from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE
from tests.support.compliance_rows import add_looks, add_tests, sum_days
from tests.support.console import Visitor
from tests.support.monthly_close import END, MONTH, START
from tests.support.site_histories import assign, make_contract, site_since

PERIOD = f"{MONTH:%Y-%m}"
PATH = f"/console/compliance?period={PERIOD}"


async def measured(session: AsyncSession, cast: Cast) -> None:
    """Two sites of a contract of 20/10 Mbps: one of Kukar with slow tests, one of Berau that was hardly tested."""
    sites = [
        await site_since(session, cast, START - timedelta(days=2), name="Yang lambat"),
        await site_since(session, cast, START - timedelta(days=2), village_code=BERAU_VILLAGE, name="Di Berau"),
    ]
    contract = await make_contract(session, "K-1", sla_target_pct=99, bandwidth_down_mbps=20, bandwidth_up_mbps=10)
    for site in sites:
        await assign(session, site, contract, MONTH - timedelta(days=40))
    await add_tests(session, sites[0], START, 60, down=12)
    await add_tests(session, sites[0], START + timedelta(minutes=5), 3, status="skipped", reason="not_up")
    await add_looks(session, sites[0], START, END, lost=1)
    await sum_days(session, sites, START, END)


async def test_each_part_of_the_method_stands_beside_the_verdict(
    session: AsyncSession, cast: Cast, officer: Visitor
) -> None:
    await measured(session, cast)
    page = await officer.get(PATH)
    assert page.status == 200
    [row, said] = page.tree.xpath("//table[contains(@class, 'compliance')]/tbody/tr")
    text = " ".join(row.text_content().split())
    for shown in ("Tidak memenuhi", "20 / 10 Mbps", "0 dari 60 uji", "tidak lulus", "dalam 100 ms"):
        assert shown in text, shown
    assert "dilewati: titik akses tidak normal 3" in " ".join(said.text_content().split())
    [file] = page.tree.xpath("//main//a[contains(@href, 'format=csv')]/@href")
    assert PERIOD in file
    assert (await officer.client.get(file)).status_code == 200


async def test_what_was_not_measured_is_told_site_by_site_within_the_scope(
    session: AsyncSession, cast: Cast, province: Visitor, neighbour: Visitor
) -> None:
    await measured(session, cast)
    [link] = (await province.get(PATH)).tree.xpath("//tbody//a[contains(@href, '/compliance/attested')]/@href")
    page = await province.get(link)
    rows = [" ".join(row.text_content().split()) for row in page.tree.xpath("//tbody/tr")]
    assert any("Yang lambat" in row and "dilewati: titik akses tidak normal" in row for row in rows)
    assert any("Di Berau" in row for row in rows)
    assert "Yang lambat" not in (await neighbour.get(link)).text


async def test_a_quarter_is_asked_for_and_a_period_that_is_none_is_explained(
    session: AsyncSession, cast: Cast, officer: Visitor
) -> None:
    page = await officer.get("/console/compliance")
    quarters = page.tree.xpath("//select[@name='period']/option[contains(@value, 'Q')]/@value")
    assert (await officer.get(f"/console/compliance?period={quarters[1]}")).status == 200
    assert (await officer.get("/console/compliance?period=2020-13")).status == 422
