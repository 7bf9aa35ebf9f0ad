"""Check what agents need: a public URL, a push endpoint within their reach, a worker that empties the inbox."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import asyncpg
import orjson

from app.cli.doctor.check_result import CheckResult, CheckStatus, NotApplicable, in_thread
from app.cli.doctor.database import open_database
from app.core.clock import utc_now
from app.runtime import data_dir
from app.settings import Settings
from probes.contract import CENTRAL, SILENCE

MAX_WAIT_S = 60
STARTING = timedelta(seconds=60)  # of a worker: as long as four of its own push beats take


async def check_public_url(settings: Settings) -> CheckResult:
    if (url := settings.ingest_url or settings.public_url) is not None:
        if urlsplit(url).port == settings.port != settings.port_of_ingest:
            remedy = f"Set SINYAL_INGEST_URL to the port of ingest ({settings.port_of_ingest}), or put a proxy in front"
            text = f"public URL: agents report to {url}, the API itself, which a report may stall"
            return CheckResult(CheckStatus.WARN, text, remedy)
        return CheckResult(CheckStatus.OK, f"public URL: agents report to {url}")
    if await in_thread(lambda: data_dir.purpose_of(settings.data_dir)) == data_dir.DEMO:
        return CheckResult(CheckStatus.OK, "public URL: the demo's agents need none")
    async with open_database(settings) as connection:
        with _current_schema():
            pushing = await connection.fetchval(
                "SELECT count(*) FROM site WHERE probe = 'push' AND lifecycle = 'active'"
            )
    if not pushing:
        return CheckResult(CheckStatus.OK, "public URL: not set, and no site reports through an agent")
    remedy = "Set SINYAL_PUBLIC_URL to the address that agents reach this service by: their scripts contain it"
    return CheckResult(CheckStatus.WARN, f"public URL: not set, and {pushing} sites report through an agent", remedy)


async def check_ingest(settings: Settings) -> CheckResult:
    """Check that the worker's own push beat comes back, sent the way that devices send theirs."""
    async with open_database(settings) as connection:
        with _current_schema():
            worker = await connection.fetchrow("SELECT started_at, figures FROM worker_beat WHERE source = $1", CENTRAL)
            ingest = await connection.fetchrow("SELECT blind_since FROM worker_beat WHERE source = $1", SILENCE)
    if ingest is not None and ingest["blind_since"] is None:
        return CheckResult(
            CheckStatus.OK, "ingest: the worker's own push beat comes back, sent the way that devices send theirs"
        )
    if worker is None or (ingest is None and not orjson.loads(worker["figures"] or "{}").get("own_beats_sent", 0)):
        return CheckResult(CheckStatus.OK, "ingest: no worker has sent a push beat of its own yet")
    if utc_now() - worker["started_at"] < STARTING:
        remedy = "Run doctor again in a minute"
        return CheckResult(
            CheckStatus.WARN, "ingest: just starting, the worker's own push beat has not come back yet", remedy
        )
    since = "" if ingest is None else f" since {ingest['blind_since']:%Y-%m-%d %H:%M:%S} UTC"
    remedy = (
        "Until it does, silent sites are not judged, and devices may not get through either: check that ingest runs, "
        "SINYAL_PUBLIC_URL or SINYAL_INGEST_URL, the proxy and the certificate, and look for own_beat_unanswered in "
        "the worker's log"
    )
    return CheckResult(CheckStatus.FAIL, f"ingest: the worker's own push beat has not come back{since}", remedy)


async def check_inbox(settings: Settings) -> CheckResult:
    async with open_database(settings) as connection:
        with _current_schema():
            oldest = await connection.fetchval("SELECT min(received_at) FROM push_inbox WHERE refused_at IS NULL")
            refused = await connection.fetchval("SELECT count(*) FROM push_inbox WHERE refused_at IS NOT NULL")
    age_s = (utc_now() - oldest).total_seconds() if oldest else 0.0
    if age_s > MAX_WAIT_S:
        remedy = "No report is lost, but none is shown: check that the worker runs, and read its log"
        return CheckResult(CheckStatus.FAIL, f"inbox: the oldest push has waited for {age_s:,.0f} s", remedy)
    if refused:
        remedy = "They are kept, and retried at the worker's next start: look for push_rejected in its log"
        return CheckResult(
            CheckStatus.WARN, f"inbox: {refused} pushes could not be processed and are set aside", remedy
        )
    return CheckResult(CheckStatus.OK, f"inbox: the oldest push has waited for {max(0.0, age_s):.1f} s")


@contextlib.contextmanager
def _current_schema() -> Iterator[None]:
    """Raises NotApplicable where the tables do not exist yet: `check_schema` says so."""
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        raise NotApplicable from None
