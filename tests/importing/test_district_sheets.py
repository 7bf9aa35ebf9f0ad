"""Sheets as offices write them: which rows are understood, and what the others are told."""

from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.registry import providers
from tests.conftest import Cast
from tests.factories import register
from tests.importing import district_sheets
from tests.importing.district_sheets import DistrictSheet
from tests.support.imports import fault_codes, upload


@pytest.mark.parametrize("office", district_sheets.OFFICES, ids=lambda office: office.__name__)
async def test_rows_are_understood_and_the_others_are_told_what_is_wrong(
    office: Callable[[], DistrictSheet],
    cast: Cast,
    session: AsyncSession,
    record_property: Callable[[str, object], None],
) -> None:
    await session.rollback()
    async with session.begin():
        await providers.ensure_providers(session, district_sheets.PROVIDERS)
    for slug, aliases in district_sheets.ALIASES.items():
        assert (await cast.sari.patch(f"/providers/{slug}", {"aliases": aliases})).status_code == 200
    assert (await cast.sari.post("/contracts", district_sheets.CONTRACT)).status_code == 201
    await register(cast, host="203.0.99.1", provider="iconplus")
    sheet = office()
    answer = await upload(cast.sari, sheet.data, dry_run=True)
    assert answer.status_code == 200, answer.text
    rows = answer.json()["rows"]
    told = {
        (f"{row['sheet']}!" if row["sheet"] else "") + str(row["row"]): fault_codes(row)
        for row in rows
        if row["errors"]
    }
    probes = Counter(row["changes"]["probe"]["after"] for row in rows if row["verdict"] == "create")
    record_property("understood", f"{len(rows) - len(told)} of {len(rows)} rows of {sheet.office}")
    assert (told, len(rows), dict(probes)) == (sheet.told, sheet.sites, sheet.probes)
    assert {fault["code"] for fault in answer.json()["warnings"]} == sheet.warnings
    assert all(fault["suggestion"] or fault["code"] in {"missing", "enum"} for row in rows for fault in row["errors"])
    assert (await upload(cast.sari, sheet.data, partial=True)).json()["counts"]["create"] == sum(sheet.probes.values())
    again = (await upload(cast.sari, sheet.data, dry_run=True)).json()["counts"]
    assert (again["create"], again["update"], again["same"]) == (0, 0, sum(sheet.probes.values()))


@pytest.mark.parametrize("office", district_sheets.OFFICES, ids=lambda office: office.__name__)
async def test_a_report_is_imported_like_the_sheet_itself(office: Callable[[], DistrictSheet], cast: Cast) -> None:
    data = office().data
    original = (await upload(cast.sari, data, dry_run=True)).json()
    report = await upload(cast.sari, data, dry_run=True, format="xlsx")
    again = (await upload(cast.sari, report.content, dry_run=True)).json()
    for row, repeated in zip(original["rows"], again["rows"], strict=True):
        assert (row["row"], row["verdict"], fault_codes(row)) == (
            repeated["row"],
            repeated["verdict"],
            fault_codes(repeated),
        )
