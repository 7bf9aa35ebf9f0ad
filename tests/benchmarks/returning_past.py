"""A province whose sites all report themselves, as it was when our service stopped some hours ago: all of them up."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from app.access import api_tokens
from app.access.models import Role
from app.core.clock import floor_second, to_slot, utc_now
from app.judging.dated_profiles import record_profiles
from app.measurements import partitions
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.runtime import data_dir
from app.worker.judging_session import JudgingSessions
from app.worker.writer import write_batch, write_beat
from probes.contract import AGENT, CENTRAL, SILENCE, Outcome, Reading
from tests.benchmarks.scale_registry import fill

AWAY = 10  # devices that never come back, those of the first sites
TECHNOLOGIES = ("site", "id"), ("site_configuration", "site_id")
BEATS = 12  # a minute apart, before our stop
PUSHING = (
    "UPDATE site SET probe = 'push', host = NULL, addressed_at = addressed_at - interval '2 days'",
    """UPDATE site_configuration SET probe = 'push', started_at = started_at - interval '2 days',
        addressed_at = addressed_at - interval '2 days'""",
    """UPDATE site_status SET since = since - interval '2 days',
        addressed_at = addressed_at - interval '2 days'""",
    """INSERT INTO device_token (site_id, digest, created_by, used_at)
        SELECT id, sha256(convert_to('bench-' || id, 'UTF8')), 'bench', now() - interval '2 days' FROM site""",
)
DEVICES = """
    INSERT INTO device (site_id, heard_at, told_s, boot, booted_at, seq, measures, accepted, duplicates, rejected,
        token_id)
    SELECT s.id, :at, st.valid_s, 'bench', :booted, 0, true, 1, 0, 0, t.id
    FROM site s JOIN device_token t ON t.site_id = s.id JOIN site_status st ON st.site_id = s.id
"""
WATERMARKS = """
    UPDATE rollup_watermark SET upto = CASE
        WHEN stage IN ('days', 'looks', 'day_packs') THEN date_trunc('day', cast(:at AS timestamptz), 'Asia/Makassar')
        ELSE date_trunc('hour', cast(:at AS timestamptz)) - interval '1 hour' END
"""


def token(site_id: int) -> str:
    return f"bench-{site_id}"


def prepare(folder: Path, sites: int, stopped: datetime) -> str:
    """Make the data folder of a service that stopped at that moment; return an API token."""
    data_dir.claim(folder, data_dir.SERVICE)
    cluster = Cluster(folder)
    cluster.start()
    try:
        return asyncio.run(_prepare(cluster.url, sites, floor_second(stopped)))
    finally:
        cluster.stop()


async def _prepare(url: str, sites: int, stopped: datetime) -> str:
    of_away = [f"UPDATE {table} SET technology = 'fiber' WHERE {key} <= {AWAY}" for table, key in TECHNOLOGIES]
    await fill(url, sites, (*PUSHING, *of_away))
    engine = open_engine(url, name="bench", command_timeout_s=None)
    sessions = open_sessions(engine)
    try:
        async with transaction(sessions) as session:
            await session.execute(text(WATERMARKS), {"at": stopped})
            await record_profiles(session, stopped - timedelta(days=1))
            await partitions.create_ahead(session, utc_now())
            await partitions.create_for(session, {stopped - timedelta(hours=1), stopped})
        await _judge_beats(sessions, range(1, sites + 1), stopped)
        async with transaction(sessions) as session:
            await session.execute(text(DEVICES), {"at": stopped, "booted": stopped - timedelta(hours=1)})
            for source in (CENTRAL, SILENCE):
                began = stopped - timedelta(days=1)
                await write_beat(session, now=stopped, started_at=began, blind_since=None, figures={}, source=source)
            return await api_tokens.create_token(session, name="bench", role=Role.PROVINCE_OPERATOR)
    finally:
        await engine.dispose()


async def _judge_beats(sessions: Sessions, site_ids: range, stopped: datetime) -> None:
    judging = JudgingSessions(sessions)
    for beat in range(BEATS, 0, -1):
        slot = to_slot(stopped) - 60 * beat + 59
        readings = [Reading(site, slot, Outcome.OK, 3, (21_000, 22_000, 23_000), 60, source=AGENT) for site in site_ids]
        async with judging.transaction() as (session, _):
            await write_batch(session, [(reading, None) for reading in readings], [])
    await judging.write_moved(at_once=True)
