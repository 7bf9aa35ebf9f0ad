"""A site's history as files: its states with their evidence, and its outages as contracts count them."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import to_wita
from tests.conftest import Cast
from tests.support.files import read_csv, read_xlsx
from tests.support.site_histories import day, site_since, under_contract

PERIOD = f"from={day(3):%Y-%m-%dT%H:%M:%SZ}&to={day(0):%Y-%m-%dT%H:%M:%SZ}"


async def test_segments_come_whole_as_csv_and_xlsx(session: AsyncSession, cast: Cast) -> None:
    states = [(day(2, hour), "down" if hour % 2 else "up") for hour in range(1, 7)]
    site = await site_since(session, cast, day(5), *states)
    path = f"/sites/{site}/segments?{PERIOD}"
    body = (await cast.ana.get(path)).json()
    rows = read_csv(await cast.ana.get(path + "&format=csv&lang=api"))
    assert len(rows) == len(body["items"]) == 7
    for row, item in zip(rows, body["items"], strict=True):
        assert (row["started_at"], row["state"], row["duration_s"]) == (
            item["started_at"],
            item["state"],
            str(item["duration_s"]),
        )
        assert (row["village"], row["provider"]) == ("Muara Badak Ulu", "Telkom WMS")
    book = read_xlsx(await cast.ana.get(path + "&format=xlsx"))
    assert [row["Status"] for row in book.rows] == ["normal", "putus"] * 3 + ["normal"]
    assert book.rows[1]["Mulai (WITA)"] == to_wita(day(2, 1)).replace(tzinfo=None)
    assert [row["Lama (detik)"] for row in book.rows] == [int(row["duration_s"]) for row in rows]


async def test_a_file_of_segments_has_no_pages_and_respects_the_scope(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(5))
    for paging in ("limit=1", "cursor=eA"):
        refused = await cast.ana.get(f"/sites/{site}/segments?{PERIOD}&format=csv&{paging}")
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "whole_only")
    for format in ("csv", "xlsx"):
        assert (await cast.ben.get(f"/sites/{site}/segments?{PERIOD}&format={format}")).status_code == 404


async def test_the_outages_behind_a_verdict_come_as_an_annex(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(5), (day(2, 1), "down"), (day(2, 3), "up"))
    await under_contract(session, site, valid_from=day(5).date(), terms=[(day(5).date(), {})])
    path = f"/sites/{site}/contract-outages?{PERIOD}"
    (outage,) = (await cast.ana.get(path)).json()["items"]
    (row,) = read_csv(await cast.ana.get(path + "&format=csv&lang=api"))
    assert (row["started_at"], row["counted_s"], row["why"]) == (outage["started_at"], "7200", outage["why"]["en"])
    assert (row["contract_number"], row["village"]) == (f"K-{site}", "Muara Badak Ulu")
    (annexed,) = read_xlsx(await cast.ana.get(path + "&format=xlsx")).rows
    assert (annexed["Dihitung putus (detik)"], annexed["Penjelasan"]) == (7200, outage["why"]["id"])
    assert (await cast.ben.get(path + "&format=xlsx")).status_code == 404
