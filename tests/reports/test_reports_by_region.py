"""An office of a district sees the lines of its region, and nothing of another's."""

import csv
import hashlib
import io
import json

from app.reports.extract import extract
from app.reports.schemas import ReportData
from tests.reports.report_samples import report_data
from tests.support.report_month import FEE_IDR, PARTIES, ReportMonth
from tests.support.site_histories import execute
from tests.support.uptime import get


async def test_a_district_reads_its_own_lines_with_their_sums(month: ReportMonth) -> None:
    draft = await month.draft()
    for person, site, region in ((month.cast.ana, month.here, "64.02"), (month.cast.ben, month.there, "64.03")):
        seen = await month.read(draft["id"], person)
        assert [line["code"] for line in seen["data"]["sites"]] == [month.codes[site]]
        assert {outage["site"] for outage in seen["data"]["outages"]} <= {month.codes[site]}
        assert (seen["data"]["totals"]["fee_idr"], seen["totals"], seen["extract"]) == (FEE_IDR, None, region)
        others = ({*month.codes.values()} - {month.codes[site]}).pop()
        assert others not in json.dumps(seen)


async def test_a_district_sees_objections_about_its_sites_alone(month: ReportMonth) -> None:
    draft = await month.draft()
    url = f"/reports/{draft['id']}/objections"
    for body in ({"site": month.codes[month.here], "text": "Padam"}, {"text": "Seluruhnya"}):
        assert (await month.cast.icon.post(url, body)).status_code == 201
    assert [each["text"] for each in (await get(month.cast.ana, url))["items"]] == ["Padam"]
    assert (await get(month.cast.ben, url))["items"] == []
    assert len((await get(month.cast.vera, url))["items"]) == 2


async def test_a_district_without_a_site_in_it_does_not_see_it(month: ReportMonth) -> None:
    await execute(month.session, "UPDATE site_contract SET withdrawn_at = now() WHERE site_id = :id", id=month.there)
    await execute(month.session, "DELETE FROM closed_month WHERE site_id = :id", id=month.there)
    draft = await month.draft()
    assert (await month.cast.ben.get(f"/reports/{draft['id']}")).status_code == 404
    assert (await get(month.cast.ben, "/reports"))["items"] == []
    assert [row["id"] for row in (await get(month.cast.ana, "/reports"))["items"]] == [draft["id"]]


async def test_the_files_have_the_hash_that_the_report_tells(month: ReportMonth) -> None:
    report = await month.issued()
    names = ("sites.csv", "outages.csv", "method.json")
    files = {name: (await month.cast.icon.get(f"/reports/{report['id']}/files/{name}")).content for name in names}
    listing = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(names))
    assert hashlib.sha256(listing.encode()).hexdigest() == report["sha256"]
    again = (await month.cast.sari.get(f"/reports/{report['id']}/files/sites.csv")).content
    assert again == files["sites.csv"]
    rows = list(csv.DictReader(io.StringIO(files["sites.csv"].decode())))
    assert [(row["site"], row["fee"]) for row in rows] == [
        (code, f"{FEE_IDR}/1") for code in sorted(month.codes.values())
    ]
    outages = list(csv.DictReader(io.StringIO(files["outages.csv"].decode())))
    assert sum(int(outage["counted_s"]) for outage in outages) == sum(int(row["counted_down_s"]) for row in rows)
    method = json.loads(files["method.json"])
    assert method["contract"]["terms"][0]["restitution"]["kind"] == "proportional"
    assert method["totals"]["restitution_idr"] == report["totals"]["restitution_idr"]


async def test_files_of_a_district_hold_its_rows_alone(month: ReportMonth) -> None:
    draft = await month.draft(parties=PARTIES)
    for name in ("sites.csv", "outages.csv", "method.json"):
        answer = await month.cast.ben.get(f"/reports/{draft['id']}/files/{name}")
        assert answer.status_code == 200
        assert month.codes[month.here] not in answer.text
    assert (await month.cast.sari.get(f"/reports/{draft['id']}/files/months.csv")).status_code == 404
    assert (await month.cast.sari.get(f"/reports/{draft['id']}/files/passwd")).status_code == 422


def test_a_tower_of_another_region_is_not_named_in_an_extract() -> None:
    data = report_data(2)
    for outage, region in zip(data.outages, ("64.02", "64.03"), strict=True):
        outage.parent_code, outage.parent_name, outage.parent_ticket_no = f"{region}.05.2003-90", "Menara", "T-9"
    whole, own = extract(data, "64"), extract(data, "64.02")
    assert isinstance(whole, ReportData)
    assert isinstance(own, ReportData)
    assert [outage.parent_name for outage in whole.outages] == ["Menara", "Menara"]
    assert [(each.parent_code, each.parent_name, each.parent_ticket_no) for each in own.outages] == [
        ("64.02.05.2003-90", "Menara", "T-9"),
        (None, None, None),
    ]
