"""The month's list of one site: of which days it speaks, where it changed or moved, and what is refused."""

import io
from datetime import datetime, timedelta
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE
from tests.support.monthly_close import CLOSES, END, MONTH, NEXT, START, close
from tests.support.site_histories import execute, make_contract, under_contract
from tests.support.sla_list import BEGAN, TERMS, site_down, sla
from tests.support.uptime import count, get


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


async def test_the_list_is_of_the_last_whole_month_unless_another_period_is_named(cast: Cast) -> None:
    answer = await get(cast.sari, "/sla")
    end = datetime.fromisoformat(answer["to"]).astimezone(WITA)
    start = datetime.fromisoformat(answer["from"]).astimezone(WITA)
    today = datetime.now(WITA).date()
    assert end == datetime(today.year, today.month, 1, tzinfo=WITA)
    assert (start.day, start.hour, (end - timedelta(days=1)).month) == (1, 0, start.month)
    assert answer["notes"] == []


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
