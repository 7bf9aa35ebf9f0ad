"""Import a messy workbook of 1,038 rows: exactly the planted errors are found, and all other rows are written."""

from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Audit
from app.registry import providers, regions
from app.registry.models import Provider, Region, Site
from tests.conftest import Cast
from tests.importing import workbooks
from tests.support.imports import fault_codes, upload


async def test_exactly_the_planted_errors_are_reported_and_everything_else_is_written(
    cast: Cast, session: AsyncSession
) -> None:
    await session.rollback()
    async with session.begin():
        await providers.ensure_providers(session, workbooks.PROVIDERS)
    book = workbooks.messy()
    assert (book.rows, len(book.wrong)) == (1038, len(workbooks.PLANTED) + 4)

    dry = await upload(cast.sari, book.data, dry_run=True)
    assert dry.status_code == 200, dry.text[:500]
    assert errors(dry.json()) == book.wrong
    assert dry.json()["columns"]["sheet"] == "Titik Akses 2026"
    assert dry.json()["columns"]["ignored"] == []
    warned = sum(1 for row in dry.json()["rows"] if row["warnings"])
    right = book.rows - len(book.wrong) - len(book.repeated)
    assert dry.json()["counts"] == {
        "create": right,
        "update": 0,
        "same": 2,
        "error": len(book.wrong),
        "warning": warned,
    }
    assert {row["row"] for row in dry.json()["rows"] if row["verdict"] == "same"} == book.repeated

    refused = await upload(cast.sari, book.data)
    assert refused.status_code == 422
    assert {fault["row"] for fault in refused.json()["errors"]} == set(book.wrong)
    async with session.begin():
        assert await session.scalar(select(func.count()).select_from(Site)) == 0

    real = (await upload(cast.sari, book.data, partial=True)).json()
    assert (real["applied"], errors(real), real["counts"]) == (True, book.wrong, dry.json()["counts"])
    await assert_sites_match_their_rows(session, real)

    async with session.begin():
        recorded = await session.scalar(select(func.count()).select_from(Audit))
    again = (await upload(cast.sari, book.data, partial=True)).json()
    assert again["counts"] == {"create": 0, "update": 0, "same": right + 2, "error": len(book.wrong), "warning": warned}
    async with session.begin():
        assert await session.scalar(select(func.count()).select_from(Audit)) == recorded == right + 1


def errors(answer: dict[str, Any]) -> dict[int, dict[str, str]]:
    """Return the fault codes by row and field."""
    return {row["row"]: fault_codes(row) for row in answer["rows"] if row["errors"]}


async def assert_sites_match_their_rows(session: AsyncSession, answer: dict[str, Any]) -> None:
    """Rows are the villages by code, each positioned at its village's centre."""
    villages = [row for row in regions.read_csv() if row["level"] == "desa_kelurahan"]
    async with session.begin():
        rows = await session.execute(
            select(Site, Region, Provider.slug)
            .join(Region, Region.code == Site.village_code)
            .join(Provider, Provider.id == Site.provider_id)
        )
        sites = {site.code: (site, region, slug) for site, region, slug in rows}
    made = [row for row in answer["rows"] if row["verdict"] == "create"]
    assert len(sites) == len(made)
    for row in made:
        n = row["row"] - workbooks.FIRST_ROW
        site, region, slug = sites[row["code"]]
        assert region.code == villages[n]["code"]
        assert (site.latitude, site.longitude) == pytest.approx((region.latitude, region.longitude), abs=1e-5)
        assert slug == ("telkom-wms", "telkom-wms", "iconplus", "orbit")[n % 4]
        assert site.contact_phone == (f"0812{n:08d}", f"0{81200000000 + n}", "+62 812 0000", None)[n % 4]
        assert site.bandwidth_down_mbps == (50, 50, 12.5, 20, 1000, None)[n % 6]
        assert site.power_source == ("pln", "pln_limited", "genset", "solar", "none", None)[n % 6]
        assert site.service_no == str(workbooks.service_no(n)).strip().removesuffix(".0")
