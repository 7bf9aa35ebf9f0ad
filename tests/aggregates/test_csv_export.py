"""Aggregates as CSV: the JSON's rows under the JSON's names, for a spreadsheet or a script."""

import csv
import io
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.tabular import BOM
from app.registry.models import Cause
from tests.conftest import Cast, Person
from tests.support.site_histories import day, execute, record_cause, set_states, site_since, under_contract

PERIOD = f"from={day(3):%Y-%m-%dT%H:%M:%SZ}&to={day(0):%Y-%m-%dT%H:%M:%SZ}"


async def csv_rows(person: Person, path: str, delimiter: str = ",", **headers: str) -> list[dict[str, str]]:
    answer = await person.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text.startswith(BOM)
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix(BOM)), delimiter=delimiter))


def cell_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)


@pytest.fixture
async def site(session: AsyncSession, cast: Cast) -> int:
    site_id = await site_since(session, cast, day(5), (day(2, 3), "down"), (day(2, 5), "up"))
    await under_contract(session, site_id, valid_from=day(5).date(), terms=[(day(5).date(), {})])
    await record_cause(session, site_id, day(2, 3), day(2, 4), "power")
    return site_id


async def test_uptime_has_the_json_names_as_columns_and_the_total_last(cast: Cast, site: int) -> None:
    for path in (f"/sites/{site}/uptime", "/regions/64.02/uptime", "/providers/telkom-wms/uptime"):
        path = f"{path}?{PERIOD}&step=day"
        body = (await cast.sari.get(path)).json()
        rows = await csv_rows(cast.sari, path + "&format=csv")
        assert [row["row"] for row in rows] == ["part", "part", "part", "total"]
        for row, expected in zip(rows, [*body["series"], body["total"]], strict=True):
            for name in ("start", "end", "uptime_pct", "worst_pct", "outages", "countable_down_s", "sla_verdict"):
                assert row[name] == cell_text(expected[name]), name
            assert {f"seconds_{name}": str(n) for name, n in expected["seconds"].items()}.items() <= row.items()
            causes = {f"down_{cause.value}_s": str(expected["down_by_cause"].get(cause.value, 0)) for cause in Cause}
            assert causes.items() <= row.items()
            assert row.get("sites") == (cell_text(expected["sites"]) if "sites" in expected else None)
        assert (rows[-1]["down_power_s"], rows[-1]["down_unclassified_s"]) == ("3600", "3600")
        assert ("sites" in rows[0]) is ("/sites/" not in path)


async def test_a_closed_month_has_its_correction_beside_it(session: AsyncSession, cast: Cast, site: int) -> None:
    row = (await csv_rows(cast.sari, f"/sites/{site}/uptime?{PERIOD}&format=csv"))[0]
    assert {"closed_at", "correction_seconds_up", "correction_down_link_s", "correction_reason"} <= row.keys()
    assert {value for name, value in row.items() if name.startswith("correction_")} == {""}


async def test_latency_has_the_number_of_measured_sites(session: AsyncSession, cast: Cast, site: int) -> None:
    await execute(
        session,
        "INSERT INTO measurement (site_id, slot, source, outcome, sent, valid_s, rtt_us) "
        "VALUES (:id, :at, 'central', 'ok', 3, 60, ARRAY[20000, 21000, 22000])",
        "UPDATE rollup_watermark SET upto = :start",
        id=site,
        at=day(1, 3),
        start=day(4),
    )
    for path in (f"/sites/{site}/latency", "/regions/64.02/latency", "/providers/telkom-wms/latency"):
        path = f"{path}?{PERIOD}&step=day"
        body = (await cast.sari.get(path)).json()
        rows = await csv_rows(cast.sari, path, Accept="text/csv")
        assert [row["row"] for row in rows] == ["part", "part", "part", "total"]
        for row, expected in zip(rows, [*body["series"], body["total"]], strict=True):
            assert {name: cell_text(value) for name, value in expected.items()}.items() <= row.items()
        assert rows[-1]["mean_ms"] == "21"
        assert [row.get("sites") for row in rows] == (["", "", "", "1"] if "sites" in body else [None] * 4)


async def test_a_ranking_is_not_paged_and_includes_the_unranked(session: AsyncSession, cast: Cast) -> None:
    best = await site_since(session, cast, day(5))
    worst = await site_since(session, cast, day(5), (day(2), "down"), (day(1), "up"))
    unseen = await site_since(session, cast, day(5), (day(4), "unknown"))
    await execute(session, "UPDATE site SET name = '=1+1' WHERE id = :id", id=best)
    rows = await csv_rows(cast.sari, f"/ranking?by=site&{PERIOD}&format=csv")
    assert [(row["id"], row["rank"], row["reason"]) for row in rows] == [
        (str(best), "1", ""),
        (str(worst), "2", ""),
        (str(unseen), "", "no_evidence"),
    ]
    assert rows[0]["name"] == "'=1+1", "no spreadsheet runs it"
    assert {row["from"] for row in rows} == {f"{day(3):%Y-%m-%dT%H:%M:%SZ}"}
    refused = await cast.sari.get(f"/ranking?by=site&{PERIOD}&format=csv&limit=1")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "whole_only")
    nobody = await csv_rows(cast.ben, f"/ranking?by=site&{PERIOD}&format=csv")
    assert nobody == []


async def test_with_semicolons_decimals_are_written_with_a_comma(session: AsyncSession, cast: Cast, site: int) -> None:
    await set_states(session, site, (day(5), "up"), (day(2), "down"), (day(1), "up"))
    rows = await csv_rows(cast.sari, f"/sites/{site}/uptime?{PERIOD}&format=csv&separator=semicolon", delimiter=";")
    assert rows[-1]["uptime_pct"] == "66,666"


async def test_the_accept_header_selects_csv_unless_the_query_names_a_format(cast: Cast, site: int) -> None:
    path = f"/sites/{site}/uptime?{PERIOD}"
    kinds = {
        "text/csv": "csv",
        "text/csv;q=0.9, */*;q=0.1": "csv",
        "application/json, text/csv;q=0.5": "json",
        "*/*": "json",
        "text/csv;q=0": "json",
        "text/html, text/csv;q=zzz": "json",
        "text/*": "json",
    }
    for accept, kind in kinds.items():
        assert kind in (await cast.sari.get(path, headers={"Accept": accept})).headers["content-type"], accept
    answer = await cast.sari.get(path + "&format=json", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "application/json"
    assert "content-disposition" not in answer.headers
    saved = await cast.sari.get(path + "&format=csv")
    assert saved.headers["content-disposition"].startswith('attachment; filename="ketersediaan-20')
    assert saved.headers["etag"] != answer.headers["etag"]
