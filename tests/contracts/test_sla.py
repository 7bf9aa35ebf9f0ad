"""The month's list: a row for each site and contract, and sums that agree with whatever else tells a verdict."""

import csv
import io
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts import sla_notes, sla_routes
from app.contracts.sla_schemas import SlaOut
from app.core import tables
from app.core.clock import WITA
from app.core.periods import Period
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE
from tests.support.monthly_close import AFTERWARDS, CLOSES, END, MONTH, NEXT, START, close
from tests.support.site_histories import execute, make_contract, set_states, site_since, under_contract
from tests.support.uptime import count, get

BEGAN = START - timedelta(days=3)
TERMS: list[tuple[date, dict[str, Any]]] = [(MONTH - timedelta(days=40), {"sla_target_pct": 99})]
KINDS = ("met", "missed", "undetermined", "no_contract", "no_service")


async def sla(cast: Cast, person: str = "sari", **params: Any) -> Any:
    return await get(getattr(cast, person), "/sla", **{"period": f"{MONTH:%Y-%m}", **params})


async def site_down(session: AsyncSession, cast: Cast, hours: float, state: str = "down", **fields: Any) -> int:
    """Register a site that was out for so many hours of the month, and up for the rest of it."""
    since = START + timedelta(days=9)
    states = [(since, state), (since + timedelta(hours=hours), "up")] if hours else []
    return await site_since(session, cast, BEGAN, *states, AFTERWARDS, **fields)


async def month(session: AsyncSession, cast: Cast) -> dict[str, int]:
    """One site of each kind. The one that missed is of another provider, the one without a contract in Berau."""
    sites = {
        "met": await site_down(session, cast, 1),
        "missed": await site_down(session, cast, 20, provider="iconplus", technology="leo", service_no="SID-7"),
        "undetermined": await site_down(session, cast, 20, "unknown"),
        "no_contract": await site_down(session, cast, 2, village_code=BERAU_VILLAGE),
        "no_service": await site_since(session, cast, BEGAN, AFTERWARDS, lifecycle="planned"),
    }
    for kind in ("met", "missed", "undetermined", "no_service"):
        await under_contract(session, sites[kind], valid_from=MONTH - timedelta(days=40), terms=TERMS)
    return sites


def kinds(answer: Any) -> dict[int, str]:
    """Return what each row of the list counts as, by site."""
    return {
        row["site_id"]: row["verdict"] or ("no_service" if row["contract"] else "no_contract")
        for row in answer["items"]
    }


async def test_the_list_has_a_row_for_each_site_and_contract_and_one_for_each_site_without(
    session: AsyncSession, cast: Cast
) -> None:
    sites = await month(session, cast)
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


async def test_totals_add_up_whatever_page_is_read(session: AsyncSession, cast: Cast) -> None:
    sites = await month(session, cast)
    await count(session)
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


async def test_the_list_is_filtered_by_several_values(session: AsyncSession, cast: Cast) -> None:
    sites = await month(session, cast)
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


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"provider": "telkom-wms,iconpuls"}, "unknown_provider"),
        ({"contract": "K-none"}, "unknown_contract"),
        ({"region": "64.02,64.99"}, "unknown_region"),
        ({"technology": "fiber,fibre"}, "enum"),
        ({"verdict": "met,lost"}, "enum"),
        ({"period": "2099-01"}, "in_the_future"),
        ({"period": "October"}, "bad_period"),
        ({"step": "hour"}, "unknown_parameter"),
        ({"limit": 1001}, "less_than_equal"),
        ({"cursor": "AAAA"}, "bad_cursor"),
        ({"format": "csv", "limit": 5}, "whole_only"),
        ({"format": "pdf"}, "enum"),
    ],
)
async def test_a_wrong_parameter_is_named(cast: Cast, params: dict[str, Any], code: str) -> None:
    answer = await cast.sari.get("/sla", params={"period": f"{MONTH:%Y-%m}", **params})
    assert (answer.status_code, [fault["code"] for fault in answer.json()["errors"]]) == (422, [code])


async def test_nobody_reads_the_list_beyond_their_scope(session: AsyncSession, cast: Cast) -> None:
    sites = await month(session, cast)
    await count(session)
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


async def test_the_list_is_of_the_last_whole_month_unless_another_period_is_named(cast: Cast) -> None:
    answer = await get(cast.sari, "/sla")
    end = datetime.fromisoformat(answer["to"]).astimezone(WITA)
    start = datetime.fromisoformat(answer["from"]).astimezone(WITA)
    today = datetime.now(WITA).date()
    assert end == datetime(today.year, today.month, 1, tzinfo=WITA)
    assert (start.day, start.hour, (end - timedelta(days=1)).month) == (1, 0, start.month)
    assert answer["notes"] == []


async def test_sums_agree_with_each_sites_own_page_and_with_regions_and_rankings(
    session: AsyncSession, cast: Cast
) -> None:
    await month(session, cast)
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


async def test_a_closed_month_keeps_its_figures_with_the_correction_beside(session: AsyncSession, cast: Cast) -> None:
    site_id = (await month(session, cast))["missed"]
    await count(session)
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
    session: AsyncSession, cast: Cast
) -> None:
    site_id = (await month(session, cast))["missed"]
    await count(session)
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


async def test_the_list_goes_into_a_letter(session: AsyncSession, cast: Cast) -> None:
    await month(session, cast)
    await count(session)
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


async def test_a_file_says_which_rows_were_asked_for(session: AsyncSession, cast: Cast) -> None:
    await month(session, cast)
    params = {"period": f"{MONTH:%Y-%m}", "verdict": "no_contract,missed", "technology": "leo,fiber", "format": "xlsx"}
    answer = await cast.sari.get("/sla", params=params | {"provider": "telkom-wms,iconplus", "region": "64.02"})
    assert 'filename="sla-missed-no-contract-64.02' in answer.headers["content-disposition"].replace("_", "-")
    heading = [row[0].value for row in load_workbook(io.BytesIO(answer.content)).worksheets[0].iter_rows(max_row=6)]
    (line,) = [str(text) for text in heading if str(text).startswith("Hanya memuat: ")]
    assert "putusan tidak tercapai, tanpa kontrak; penyedia " in line
    assert "; wilayah Kabupaten Kutai Kartanegara (64.02); teknologi serat optik, " in line


async def test_a_file_lists_every_row(session: AsyncSession, cast: Cast) -> None:
    sites = await month(session, cast)
    answer = await cast.sari.get("/sla", params={"period": f"{MONTH:%Y-%m}", "format": "csv", "lang": "api"})
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len(rows) == len(sites)
    assert {row["verdict"] for row in rows} == {"met", "missed", "undetermined", ""}
    assert "under no contract" in next(row["reason"] for row in rows if not row["contract_number"])


async def test_more_rows_than_a_workbook_holds_are_refused(
    session: AsyncSession, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    await month(session, cast)
    monkeypatch.setitem(tables.MAX_CELLS, "xlsx", 200)
    answer = await cast.sari.get("/sla", params={"period": f"{MONTH:%Y-%m}", "format": "xlsx"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "too_many_rows")


async def test_a_verdict_says_of_which_days_it_speaks(session: AsyncSession, cast: Cast) -> None:
    began = MONTH + timedelta(days=10)
    changed = began + timedelta(days=5)
    site_id = await site_down(session, cast, 0)
    await under_contract(
        session,
        site_id,
        valid_from=began,
        terms=[(began, {"sla_target_pct": 99}), (changed, {"sla_target_pct": 95})],
    )
    (row,) = (await sla(cast))["items"]
    assert (row["whole_period"], row["covered"]["seconds"]) == (False, (NEXT - began).days * 86_400)
    assert "It covers" in row["reason"]["en"]
    assert [(stretch["terms_on"], stretch["target_pct"]) for stretch in row["stretches"]] == [
        (began.isoformat(), 99.0),
        (changed.isoformat(), 95.0),
    ]
    (none,) = (await get(cast.sari, "/sla", **{"from": BEGAN, "to": START}))["items"]
    assert (none["contract"], none["verdict"]) == (None, None)
    running = await get(cast.sari, "/sla", period=f"{datetime.now(WITA):%Y-%m}")
    assert "not over" in running["notes"][0]["en"]


async def test_the_list_says_whether_its_figures_are_closed(session: AsyncSession, cast: Cast) -> None:
    await month(session, cast)
    assert (await sla(cast))["notes"] == []
    for start, end in ((START, END - timedelta(seconds=1)), (START - timedelta(days=1), END)):
        (note,) = (await get(cast.sari, "/sla", **{"from": start, "to": end}))["notes"]
        assert "as known now" in note["en"]
    before_it_closes = [note["en"] for note in sla_notes.notes(Period(START, END), END, CLOSES - timedelta(hours=1))]
    assert [note[:22] for note in before_it_closes] == ["The month closes on 9 "]
    assert [*sla_notes.notes(Period(START, END), END, CLOSES)] == []


async def test_a_letter_says_what_was_left_out_before_the_terms_changed(session: AsyncSession, cast: Cast) -> None:
    site_id = await site_down(session, cast, 1)
    changed = MONTH + timedelta(days=15)
    terms = {"sla_target_pct": 99, "excluded_causes": ["power"]}
    in_month = (changed, terms | {"excluded_causes": []})
    same, after = (changed + timedelta(days=3), {**in_month[1], "sla_target_pct": 95}), (NEXT, terms)
    await under_contract(
        session, site_id, valid_from=BEGAN.date(), terms=[(BEGAN.date(), terms), in_month, same, after]
    )
    answer = await cast.sari.get("/sla", params={"period": f"{MONTH:%Y-%m}", "format": "xlsx", "lang": "en"})
    sheet = load_workbook(io.BytesIO(answer.content)).worksheets[0]
    heading = [str(row[0].value) for row in sheet.iter_rows(max_row=12)]
    number = f"Contract K-{site_id}"
    first, then = [line for line in heading if line.startswith(number)]
    assert first.startswith(f"{number} leaves out: ")
    assert "cause power" in first
    assert then.startswith(f"{number} from {changed} on leaves out: ")
    assert "power" not in then


async def test_a_new_month_is_not_answered_with_the_one_before(
    session: AsyncSession, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    await month(session, cast)
    await count(session)
    begun = []
    for end in (START, END):
        months = Period(end - timedelta(days=20), end)
        monkeypatch.setattr(sla_routes, "last_whole_month", lambda now, months=months: months)
        begun.append(datetime.fromisoformat((await get(cast.sari, "/sla"))["to"]))
    assert begun == [START, END]


async def test_an_unchanged_list_is_a_304(session: AsyncSession, cast: Cast) -> None:
    await month(session, cast)
    await count(session)
    first = await cast.sari.get("/sla", params={"period": f"{MONTH:%Y-%m}"})
    again = await cast.sari.client.get(
        "/api/v1/sla", params={"period": f"{MONTH:%Y-%m}"}, headers={"If-None-Match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


async def test_a_site_that_changed_is_told_once_and_whole_where_it_was_last(session: AsyncSession, cast: Cast) -> None:
    site_id = await site_down(session, cast, 20)
    await under_contract(session, site_id, valid_from=MONTH - timedelta(days=40), terms=TERMS)
    await execute(
        session,
        "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id",
        "INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, addressed_at, "
        "village_code) SELECT id, :at, 'active', 'leo', provider_id, :at, cast(:village AS varchar) FROM site "
        "WHERE id = :id",
        id=site_id,
        at=START + timedelta(days=20),
        village=BERAU_VILLAGE,
    )
    for counted in (False, True):
        if counted:
            await count(session)
        (whole,) = (await sla(cast))["items"]
        assert (whole["technology"], whole["district"], whole["counted_down_s"]) == ("leo", "Kabupaten Berau", 72_000)
        for params, found in (
            ({"technology": "leo"}, [whole]),
            ({"technology": "fiber"}, []),
            ({"region": "64.03"}, [whole]),
            ({"region": "64.02"}, []),
        ):
            assert (await sla(cast, **params))["items"] == found, params
        for path, missed in (("/regions/64.03/uptime", 1), ("/regions/64.02/uptime", 0), ("/regions/64/uptime", 1)):
            total = (await get(cast.sari, path, period=f"{MONTH:%Y-%m}", step="month"))["total"]
            assert total["verdicts"]["missed"] == missed, path


async def test_a_site_moved_to_another_contract_afterwards_is_corrected_in_both(
    session: AsyncSession, cast: Cast
) -> None:
    site_id = await site_down(session, cast, 20)
    await under_contract(session, site_id, valid_from=MONTH - timedelta(days=40), terms=TERMS)
    await close(session, CLOSES)
    other = await make_contract(session, "K-other", sla_target_pct=95)
    await execute(session, "UPDATE site_contract SET contract_id = :other WHERE site_id = :id", other=other, id=site_id)
    async with session.begin():
        await invalidation.invalidate(session, [DirtyRange(site_id, START, END)], reason="wrong contract")
    await close(session, CLOSES + timedelta(days=1))
    answer = await sla(cast)
    left, joined = answer["items"]
    assert (left["verdict"], left["correction"]["verdict"], left["correction"]["service_s"]) == ("missed", None, 0)
    assert (joined["contract"]["number"], joined["verdict"], joined["service_s"]) == ("K-other", None, 0)
    assert (joined["correction"]["verdict"], joined["correction"]["corrected_because"]) == ("met", "wrong contract")
    assert answer["totals"]["all"]["service_s"] == left["service_s"]
    assert [row["contract"]["number"] for row in (await sla(cast, verdict="met"))["items"]] == ["K-other"]
