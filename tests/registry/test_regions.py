from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.registry import regions
from tests.conftest import Cast


async def test_the_seed_is_every_region_of_kaltim_and_may_run_twice(connection: AsyncConnection) -> None:
    await connection.execute(text("UPDATE region SET name = 'wrong' WHERE code = '64.02'"))
    await regions.seed(connection)
    await regions.seed(connection)
    rows = await connection.execute(text("SELECT level, count(*) AS many FROM region GROUP BY level"))
    counts = {row.level: row.many for row in rows}
    assert counts == {"provinsi": 1, "kabupaten_kota": 10, "kecamatan": 105, "desa_kelurahan": 1038}
    name = await connection.scalar(text("SELECT name FROM region WHERE code = '64.02'"))
    assert name == "Kabupaten Kutai Kartanegara"


async def test_regions_feed_cascading_pickers(cast: Cast) -> None:
    async def codes(**params: str) -> list[str]:
        return [item["code"] for item in (await cast.ben.get("/regions", params=params)).json()["items"]]

    assert await codes(level="provinsi") == ["64"]
    assert len(await codes(parent="64")) == 10
    assert all(code.startswith("64.02.") for code in await codes(parent="64.02"))
    assert "64.02.03.2002" in await codes(q="loa duri", level="desa_kelurahan")
    assert await codes(q="64.02.03.2002") == ["64.02.03.2002"]
