"""Check packed readings: whether their bytes are what was written; a sample of them, or all."""

from collections.abc import AsyncIterator

import asyncpg

from app.cli.doctor.check_result import CheckResult, CheckStatus, NotApplicable
from app.cli.doctor.database import open_database
from app.core.clock import WITA
from app.measurements.pack import Pack, is_intact
from app.settings import Settings
from probes.reading_block import SOURCES

SAMPLE, CHUNK, MOST_NAMED = 2_000, 5_000, 3
SET_ASIDE = "SELECT count(*) FROM corrupt_pack"
STORED = """
    SELECT greatest(coalesce(sum(reltuples), 0), 1)::float8 FROM pg_class c
    JOIN pg_inherits i ON i.inhrelid = c.oid WHERE i.inhparent = 'reading_pack'::regclass
"""
PACKS = "SELECT site_id, source, hour, pack FROM reading_pack"
REMEDY = (
    "Restore a backup into another database and compare, or accept that these hours have no single readings: what was "
    "counted from them stays. Check the disk"
)


async def check_packs(settings: Settings) -> CheckResult:
    return await _check(settings, everything=False)


async def check_all_packs(settings: Settings) -> CheckResult:
    return await _check(settings, everything=True)


async def _check(settings: Settings, *, everything: bool) -> CheckResult:
    async with open_database(settings) as connection:
        try:
            set_aside = await connection.fetchval(SET_ASIDE)
        except asyncpg.UndefinedTableError:
            raise NotApplicable from None
        checked, corrupt = 0, list[asyncpg.Record]()
        async for row in _all(connection) if everything else _sample(connection):
            checked += 1
            if not is_intact(Pack(row["site_id"], row["source"], row["pack"])):
                corrupt.append(row)
    what = f"packed readings: {checked:,} packs{'' if everything else ' of a sample'} checked"
    if corrupt:
        named = ", ".join(_name(row) for row in corrupt[:MOST_NAMED])
        text = f"{what}, {len(corrupt):,} corrupt ({named}{' …' if len(corrupt) > MOST_NAMED else ''})"
        return CheckResult(CheckStatus.FAIL, text, REMEDY)
    if set_aside:
        text = f"{what}; {set_aside:,} corrupt ones were replaced by later readings and kept in the table corrupt_pack"
        return CheckResult(CheckStatus.WARN, text, REMEDY)
    return CheckResult(CheckStatus.OK, f"{what}, all intact")


def _name(row: asyncpg.Record) -> str:
    return f"site {row['site_id']} {SOURCES[row['source']]} {row['hour'].astimezone(WITA):%Y-%m-%d %H} h WITA"


async def _sample(connection: asyncpg.Connection) -> AsyncIterator[asyncpg.Record]:
    pct = min(100.0, 100 * SAMPLE / await connection.fetchval(STORED))
    for row in await connection.fetch(f"{PACKS} TABLESAMPLE SYSTEM ({pct:.9f}) LIMIT {SAMPLE}"):
        yield row


async def _all(connection: asyncpg.Connection) -> AsyncIterator[asyncpg.Record]:
    async with connection.transaction(readonly=True):
        async for row in connection.cursor(PACKS, prefetch=CHUNK):
            yield row
