"""The month's list: a row for each site and contract, and sums that agree with whatever else tells a verdict."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from openpyxl import load_workbook
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from starlette.routing import BaseRoute

from app.contracts import sla_notes
from app.contracts.sla_schemas import SlaOut
from app.core import tables
from app.core.periods import Period
from tests.conftest import Cast
from tests.support.monthly_close import CLOSES, END, MONTH, START
from tests.support.shared_start import SharedStart, savepoint, shared_start
from tests.support.sla_list import KINDS, kinds, sla, write_month
from tests.support.uptime import count, get


@pytest.fixture(scope="module")
async def start(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[SharedStart]:
    async with shared_start(engine, routes) as start:
        yield start


@pytest.fixture(scope="module")
async def written(start: SharedStart) -> dict[str, int]:
    """The site of each kind."""
    return await write_month(start.session, start.cast)


@pytest.fixture
async def connection(start: SharedStart, written: dict[str, int]) -> AsyncIterator[AsyncConnection]:
    async with savepoint(start.connection) as connection:
        yield connection


@pytest.fixture
def sites(written: dict[str, int]) -> dict[str, int]:
    return written


async def test_the_list_has_a_row_for_each_site_and_contract_and_one_for_each_site_without(
    session: AsyncSession, cast: Cast, sites: dict[str, int]
) -> None:
    for counted in (False, True):
        if counted:
            await count(session)
        answer = await sla(cast)
        SlaOut.model_validate(answer)
        assert kinds(answer) == {site_id: kind for kind, site_id in sites.items()}
        missed = next(row for row in answer["items"] if row["site_id"] == sites["missed"])
        assert (missed["provider"], missed["technology"], missed["service_no"]) == ("iconplus", "leo", "SID-7")
        assert (missed["subdistrict"], missed["district"]) == ("Muara Badak", "Kabupaten Kutai Kartanegara")
        assert missed["contract"]["number"] == f"K-{sites['missed']}"
        seconds = round((END - START).total_seconds())
        assert (missed["service_s"], missed["counted_down_s"], missed["target_pct"]) == (seconds, 20 * 3600, 99.0)
        assert missed["availability_pct"] == (seconds - 72_000) * 100_000 // seconds / 1000
        none = next(row for row in answer["items"] if row["site_id"] == sites["no_contract"])
        assert (none["contract"], none["verdict"], none["service_s"]) == (None, None, 0)
        assert none["reason"]["id"] != none["reason"]["en"] != ""


async def test_the_list_is_filtered_by_several_values(cast: Cast, sites: dict[str, int]) -> None:
    icon_contract = next(row for row in (await sla(cast))["items"] if row["site_id"] == sites["missed"])["contract"]
    for params, found in (
        ({"verdict": "missed,undetermined"}, ["missed", "undetermined"]),
        ({"verdict": "no_contract"}, ["no_contract"]),
        ({"provider": "iconplus"}, ["missed"]),
        ({"provider": "telkom-wms,iconplus", "verdict": "met,missed"}, ["met", "missed"]),
        ({"region": "64.03"}, ["no_contract"]),
        ({"region": "64.02,64.03", "technology": "leo,geo"}, ["missed"]),
        ({"technology": "geo"}, []),
        ({"contract": icon_contract["number"]}, ["missed"]),
        ({"contract": f"{icon_contract['id']},K-{sites['met']}"}, ["met", "missed"]),
    ):
        answer = await sla(cast, **params)
        assert sorted(kinds(answer).values()) == found, params
        counts = answer["totals"]["all"]["verdicts"]
        assert {kind: counts[kind] for kind in KINDS if counts[kind]} == dict.fromkeys(found, 1), params


async def test_sums_agree_with_each_sites_own_page_and_with_regions_and_rankings(
    session: AsyncSession, cast: Cast, sites: dict[str, int]
) -> None:
    period = f"{MONTH:%Y-%m}"
    for counted in (False, True):
        if counted:
            await count(session)
        answer = await sla(cast)
        for row in answer["items"]:
            own = (await get(cast.sari, f"/sites/{row['site_id']}/uptime", period=period, step="month"))["total"]
            if row["contract"] is None:
                assert own["contract"] is None
            else:
                assert {name: row[name] for name in own["contract"]} == own["contract"]
        for path, filters in (
            ("/regions/64/uptime", {}),
            ("/regions/64.02/uptime", {"region": "64.02"}),
            ("/providers/iconplus/uptime", {"provider": "iconplus"}),
            ("/providers/telkom-wms/uptime?technology=fiber", {"provider": "telkom-wms", "technology": "fiber"}),
        ):
            whole = (await sla(cast, **filters))["totals"]["all"]["verdicts"]
            path, _, query = path.partition("?")
            extra = dict(pair.split("=") for pair in query.split("&") if pair)
            total = (await get(cast.sari, path, period=period, step="month", **extra))["total"]
            assert total["verdicts"] == whole, path
        for by in ("site", "region", "provider"):
            ranking = await get(cast.sari, "/ranking", by=by, period=period)
            entries = [*ranking["items"], *ranking["unranked"]]
            for kind in KINDS[:4]:
                assert sum(entry["verdicts"][kind] for entry in entries) == 1, (by, kind)


async def test_a_file_says_which_rows_were_asked_for(cast: Cast) -> None:
    params = {"period": f"{MONTH:%Y-%m}", "verdict": "no_contract,missed", "technology": "leo,fiber", "format": "xlsx"}
    answer = await cast.sari.get("/sla", params=params | {"provider": "telkom-wms,iconplus", "region": "64.02"})
    assert 'filename="sla-missed-no-contract-64.02' in answer.headers["content-disposition"].replace("_", "-")
    heading = [row[0].value for row in load_workbook(io.BytesIO(answer.content)).worksheets[0].iter_rows(max_row=6)]
    (line,) = [str(text) for text in heading if str(text).startswith("Hanya memuat: ")]
    assert "putusan tidak tercapai, tanpa kontrak; penyedia " in line
    assert "; wilayah Kabupaten Kutai Kartanegara (64.02); teknologi serat optik, " in line


async def test_a_file_lists_every_row(cast: Cast, sites: dict[str, int]) -> None:
    answer = await cast.sari.get("/sla", params={"period": f"{MONTH:%Y-%m}", "format": "csv", "lang": "api"})
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len(rows) == len(sites)
    assert {row["verdict"] for row in rows} == {"met", "missed", "undetermined", ""}
    assert "under no contract" in next(row["reason"] for row in rows if not row["contract_number"])


async def test_more_rows_than_a_workbook_holds_are_refused(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tables.MAX_CELLS, "xlsx", 200)
    answer = await cast.sari.get("/sla", params={"period": f"{MONTH:%Y-%m}", "format": "xlsx"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "too_many_rows")


async def test_the_list_says_whether_its_figures_are_closed(cast: Cast) -> None:
    assert (await sla(cast))["notes"] == []
    for start, end in ((START, END - timedelta(seconds=1)), (START - timedelta(days=1), END)):
        (note,) = (await get(cast.sari, "/sla", **{"from": start, "to": end}))["notes"]
        assert "as known now" in note["en"]
    before_it_closes = [note["en"] for note in sla_notes.notes(Period(START, END), END, CLOSES - timedelta(hours=1))]
    assert [note[:22] for note in before_it_closes] == ["The month closes on 9 "]
    assert [*sla_notes.notes(Period(START, END), END, CLOSES)] == []
