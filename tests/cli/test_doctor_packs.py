"""`sinyal doctor` on packs: a damaged one is named."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.cli.doctor import checkup, packs
from app.cli.doctor.check_result import CheckStatus
from app.core.clock import from_slot, to_slot, utc_now
from app.measurements import pack_store, partitions
from app.postgres.engine import open_engine, open_sessions, transaction
from app.settings import Settings
from probes.contract import Outcome, Reading
from probes.reading_block import ReadingBlock
from tests.conftest import drop_database, make_database

HOUR = to_slot(utc_now()) // 3600 * 3600 - 86_400


@pytest.fixture
async def packed_url(server_url: str, migrated_template: str) -> AsyncIterator[str]:
    """A database of its own: what doctor sees must be committed."""
    url = await make_database(server_url, migrated_template)
    engine = open_engine(url, name="test")
    async with transaction(open_sessions(engine)) as session:
        await partitions.create_pack_days(session, [from_slot(HOUR)])
        readings = [Reading(site, HOUR + n, Outcome.OK, 3, (20_000,), 60) for site in (1, 2) for n in range(60)]
        await pack_store.merge(session, ReadingBlock.of(readings))
    await engine.dispose()
    yield url
    await drop_database(url, server_url)


async def test_a_damaged_pack_is_found_and_named(packed_url: str) -> None:
    for check in (packs.check_packs, packs.check_all_packs):
        result = await checkup.run_check(check, Settings(database_url=packed_url))
        assert result is not None
        assert (result.status, "2 packs" in result.text) == (CheckStatus.OK, True)
    connection = await asyncpg.connect(packed_url.replace("+asyncpg", ""))
    await connection.execute(
        "UPDATE reading_pack SET pack = set_byte(pack, 20, 255 - get_byte(pack, 20)) WHERE site_id = 2"
    )
    for check in (packs.check_packs, packs.check_all_packs):
        result = await checkup.run_check(check, Settings(database_url=packed_url))
        assert result is not None
        assert (result.status, "1 corrupt (site 2 central" in result.text) == (CheckStatus.FAIL, True)
    await connection.execute("DELETE FROM reading_pack WHERE site_id = 2")
    await connection.execute("INSERT INTO corrupt_pack (hour, site_id, source, pack) VALUES (now(), 2, 0, '')")
    await connection.close()
    result = await checkup.run_check(packs.check_packs, Settings(database_url=packed_url))
    assert result is not None
    assert result.status is CheckStatus.WARN
