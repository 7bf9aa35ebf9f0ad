"""The month's list of days that are counted: its pages and sums, scopes, letter and corrections after the close."""

import io
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from openpyxl import load_workbook
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from starlette.routing import BaseRoute

from app.contracts import sla_routes
from app.core.periods import Period
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from tests.conftest import Cast
from tests.support.monthly_close import AFTERWARDS, CLOSES, END, MONTH, START, close
from tests.support.shared_start import SharedStart, savepoint, shared_start
from tests.support.site_histories import execute, set_states
from tests.support.sla_list import KINDS, kinds, sla, write_month
from tests.support.uptime import count, get


@pytest.fixture(scope="module")
async def start(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[SharedStart]:
    async with shared_start(engine, routes) as start:
        yield start


@pytest.fixture(scope="module")
async def written(start: SharedStart) -> dict[str, int]:
    """The site of each kind."""
    sites = await write_month(start.session, start.cast)
    await count(start.session)
    return sites


@pytest.fixture
async def connection(start: SharedStart, written: dict[str, int]) -> AsyncIterator[AsyncConnection]:
    async with savepoint(start.connection) as connection:
        yield connection


@pytest.fixture
def sites(written: dict[str, int]) -> dict[str, int]:
    return written


async def test_totals_add_up_whatever_page_is_read(cast: Cast, sites: dict[str, int]) -> None:
    whole = await sla(cast)
    total = whole["totals"]["all"]
    assert total["verdicts"] == dict.fromkeys(KINDS, 1)
    assert total["sites"] == len(sites)
    for name in ("service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s"):
        assert total[name] == sum(row[name] for row in whole["items"])
        for parts in ("by_contract", "by_provider", "by_district"):
            assert sum(part[name] for part in whole["totals"][parts]) == total[name], (parts, name)
    for parts in ("by_provider", "by_district"):
        for kind in KINDS:
            assert sum(part["verdicts"][kind] for part in whole["totals"][parts]) == 1
    assert {part["code"]: part["sites"] for part in whole["totals"]["by_district"]} == {"64.02": 4, "64.03": 1}
    paged, cursor = [], None
    while True:
        page = await sla(cast, limit=2, **({"cursor": cursor} if cursor else {}))
        assert page["totals"] == whole["totals"]
        paged += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert paged == whole["items"]


async def test_nobody_reads_the_list_beyond_their_scope(cast: Cast, sites: dict[str, int]) -> None:
    assert set(kinds(await sla(cast, "ben"))) == {sites["no_contract"]}
    assert set(kinds(await sla(cast, "icon"))) == {sites["missed"]}
    own = await sla(cast, "icon")
    assert [part["provider"] for part in own["totals"]["by_provider"]] == ["iconplus"]
    assert own["totals"]["all"]["sites"] == 1
    assert (await cast.ben.get("/sla?region=64.02")).status_code == 403
    assert (await cast.ben.get("/sla?region=64.03,64.02")).status_code == 403
    for person, params in ((cast.icon, {"contract": f"K-{sites['met']}"}), (cast.icon, {"provider": "telkom-wms"})):
        assert (await person.get("/sla", params=params)).status_code == 422
    assert (await cast.stranger.get("/sla")).status_code == 401


async def test_a_closed_month_keeps_its_figures_with_the_correction_beside(
    session: AsyncSession, cast: Cast, sites: dict[str, int]
) -> None:
    site_id = sites["missed"]
    before = next(row for row in (await sla(cast))["items"] if row["site_id"] == site_id)
    assert (before["closed_at"], before["correction"]) == (None, None)
    await close(session, CLOSES)
    outage = START + timedelta(days=9)
    await set_states(session, site_id, (START, "up"), (outage, "down"), (outage + timedelta(hours=2), "up"), AFTERWARDS)
    async with session.begin():
        await invalidation.invalidate(
            session, [DirtyRange(site_id, outage, outage + timedelta(hours=20))], reason="late readings"
        )
    await close(session, CLOSES + timedelta(days=1))
    answer = await sla(cast)
    row = next(row for row in answer["items"] if row["site_id"] == site_id)
    assert {name: row[name] for name in before if name not in {"closed_at", "correction"}} == {
        name: before[name] for name in before if name not in {"closed_at", "correction"}
    }
    assert datetime.fromisoformat(row["closed_at"]) == CLOSES
    assert (row["correction"]["verdict"], row["correction"]["counted_down_s"]) == ("met", 7200)
    assert row["correction"]["corrected_because"] == "late readings"
    assert answer["totals"]["all"]["verdicts"]["missed"] == 1


async def test_a_month_closed_before_the_shortfall_was_stored_is_answered_and_not_corrected_for_it(
    session: AsyncSession, cast: Cast, sites: dict[str, int]
) -> None:
    site_id = sites["missed"]
    await close(session, CLOSES)
    await execute(
        session,
        "UPDATE closed_month SET figures = figures #- '{contract,required_pct}' #- '{contract,missed_by_s}'",
    )
    async with session.begin():
        await invalidation.invalidate(session, [DirtyRange(site_id, START, END)], reason="late readings")
    await close(session, CLOSES + timedelta(days=1))
    row = next(row for row in (await sla(cast))["items"] if row["site_id"] == site_id)
    assert (row["verdict"], row["missed_by_s"], row["correction"]) == ("missed", None, None)


async def test_the_list_goes_into_a_letter(cast: Cast) -> None:
    params = {"period": f"{MONTH:%Y-%m}", "provider": "iconplus", "format": "xlsx"}
    answer = await cast.sari.get("/sla", params=params)
    assert answer.status_code == 200, answer.text
    assert f'filename="sla-iconplus-{MONTH:%Y-%m}.xlsx"' in answer.headers["content-disposition"]
    book = load_workbook(io.BytesIO(answer.content))
    sheet, sums = book.worksheets[0], book["Jumlah"]
    heading = [str(row[0].value) for row in sheet.iter_rows(max_row=9) if row[0].value]
    assert "Pemenuhan kontrak" in heading[0]
    assert "WITA" in heading[1]
    assert any(line.startswith("Ketersediaan = (masa layanan - dihitung putus") for line in heading)
    assert any("tidak menghitung: " in line for line in heading)
    header = int(str(sheet.freeze_panes).lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")) - 1
    names = [cell.value for cell in sheet[header]]
    (row,) = [dict(zip(names, (cell.value for cell in cells), strict=True)) for cells in sheet.iter_rows(header + 1)]
    assert (row["Putusan"], row["Dihitung putus (detik)"], row["Nomor layanan (SID)"]) == (
        "tidak tercapai",
        72_000,
        "SID-7",
    )
    short_s = 72_000 - round((END - START).total_seconds()) // 100
    assert (row["Target (%)"], row["Kurang dari target (detik)"]) == (99, short_s)
    rows = [[cell.value for cell in cells] for cells in sums.iter_rows()]
    of = [dict(zip(rows[0], values, strict=True)) for values in rows[1:]]
    assert [line["Jumlah menurut"] for line in of] == ["seluruhnya", "kontrak", "penyedia", "kabupaten/kota"]
    assert {line["Dihitung putus (detik)"] for line in of} == {72_000}
    assert {line["Putusan: tidak tercapai"] for line in of} == {1}
    assert not [name for name in rows[0] if str(name).startswith("Dikecualikan: cuaca")], "nothing was left out for it"


async def test_a_new_month_is_not_answered_with_the_one_before(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    for end in (START, END):
        months = Period(end - timedelta(days=20), end)
        monkeypatch.setattr(sla_routes, "last_whole_month", lambda now, months=months: months)
        begun.append(datetime.fromisoformat((await get(cast.sari, "/sla"))["to"]))
    assert begun == [START, END]


async def test_an_unchanged_list_is_a_304(cast: Cast) -> None:
    first = await cast.sari.get("/sla", params={"period": f"{MONTH:%Y-%m}"})
    again = await cast.sari.client.get(
        "/api/v1/sla", params={"period": f"{MONTH:%Y-%m}"}, headers={"If-None-Match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
