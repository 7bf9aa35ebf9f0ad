"""Check whether there is a way back to a point in time: WAL is archived, and a base backup is young enough."""

import json
import shutil
import subprocess
import time
from datetime import timedelta

from app.cli.doctor.check_result import CheckResult, CheckStatus, NotApplicable, in_thread
from app.cli.doctor.database import open_database
from app.cli.doctor.replication import IS_REPLICATED, require_external
from app.core.clock import utc_now
from app.settings import Settings

ARCHIVE_DELAY = timedelta(minutes=10)  # archive_timeout is a minute
BACKUP_DELAY_S, BACKUP_TIMEOUT_S = 8 * 24 * 3600, 8
NO_ARCHIVE = {"", "true", "/bin/true", ":"}

ARCHIVER = """
    SELECT current_setting('archive_mode') AS mode, current_setting('archive_command', true) AS command,
        current_setting('archive_library', true) AS library, last_archived_time, last_failed_time
    FROM pg_stat_archiver
"""


async def check_archive(settings: Settings) -> CheckResult:
    require_external(settings)
    async with open_database(settings) as connection:
        is_replicated = await connection.fetchval(IS_REPLICATED)
        row = await connection.fetchrow(ARCHIVER)
    assert row is not None
    if row["mode"] == "off" and not is_replicated:
        raise NotApplicable
    if row["mode"] == "off" or not (row["library"] or (row["command"] or "").strip() not in NO_ARCHIVE):
        remedy = "Without it there is no way back to a point in time: see docs/ha.md"
        return CheckResult(CheckStatus.WARN, "archive: WAL is not archived", remedy)
    done, failed = row["last_archived_time"], row["last_failed_time"]
    if failed is not None and (done is None or failed > done):
        since = "ever" if done is None else f"since {done:%Y-%m-%d %H:%M} UTC"
        remedy = "WAL fills the server's disk: see its log, and `pgbackrest check`"
        return CheckResult(CheckStatus.FAIL, f"archive: nothing was archived {since}", remedy)
    if done is None or utc_now() - done > ARCHIVE_DELAY:
        text = "archive: nothing was archived yet" if done is None else f"archive: last at {done:%Y-%m-%d %H:%M} UTC"
        return CheckResult(
            CheckStatus.WARN, text, "Set archive_timeout = 60s: what is not archived is lost with the servers"
        )
    return CheckResult(CheckStatus.OK, f"archive: last WAL {(utc_now() - done).total_seconds():,.0f} s ago")


async def check_base_backup(settings: Settings) -> CheckResult:
    """Check the age of the last base backup, on a machine whose pgBackRest knows it."""
    require_external(settings)
    program = shutil.which("pgbackrest")
    if program is None:
        raise NotApplicable
    newest = await in_thread(lambda: _newest_backup(program))
    if newest is None:
        remedy = "As postgres: pgbackrest --stanza=sinyal --type=full backup"
        return CheckResult(CheckStatus.WARN, "base backup: pgBackRest knows of none", remedy)
    days = (time.time() - newest) / 86400
    status = CheckStatus.WARN if days * 86400 > BACKUP_DELAY_S else CheckStatus.OK
    return CheckResult(
        status, f"base backup: {days:.1f} days old", None if status is CheckStatus.OK else "See docs/ha.md"
    )


def _newest_backup(program: str) -> float | None:
    """Seconds since 1970. Raises NotApplicable where pgBackRest is not set up, or not for us to read."""
    argv = [program, "--output=json", "info"]
    done = subprocess.run(argv, capture_output=True, timeout=BACKUP_TIMEOUT_S, check=False)  # noqa: S603 - no shell
    try:
        stanzas = json.loads(done.stdout or b"[]")
    except ValueError:
        stanzas = []
    if done.returncode or not stanzas:
        raise NotApplicable
    stops = [float(backup["timestamp"]["stop"]) for stanza in stanzas for backup in stanza.get("backup", ())]
    return max(stops, default=None)
