"""Checks of what sites that report themselves need of us: an address, an ear, and a worker that takes in what came."""

import contextlib
from collections.abc import Iterator

import asyncpg
import orjson

from app.cli.doctor.database import database
from app.cli.doctor.finding import Away, Finding, Level, in_thread
from app.core.clock import utc_now
from app.runtime import data_dir
from app.settings import Settings
from probes.contract import CENTRAL, SILENCE

LONGEST_WAIT_S = 60
BEATS = 4  # of our own, before anything is concluded from them


async def check_public_url(settings: Settings) -> Finding:
    if settings.public_url is not None:
        return Finding(Level.OK, f"public URL: sites report to {settings.public_url}")
    if await in_thread(lambda: data_dir.purpose_of(settings.data_dir)) == data_dir.DEMO:
        return Finding(Level.OK, "public URL: the demo's agents need none")
    async with database(settings) as line:
        with _of_this_release():
            pushing = await line.fetchval("SELECT count(*) FROM site WHERE probe = 'push' AND lifecycle = 'active'")
    if not pushing:
        return Finding(Level.OK, "public URL: not set, and no site reports itself")
    mend = "Set SINYAL_PUBLIC_URL to the address that sites reach us by: agents are made with it"
    return Finding(Level.WARN, f"public URL: not set, and {pushing} sites report themselves", mend)


async def check_ingest(settings: Settings) -> Finding:
    """Whether our own beat comes back, by the way that devices take."""
    async with database(settings) as line:
        with _of_this_release():
            figures = await line.fetchval("SELECT figures FROM worker_beat WHERE source = $1", CENTRAL)
            row = await line.fetchrow("SELECT blind_since FROM worker_beat WHERE source = $1", SILENCE)
    sent = orjson.loads(figures or "{}").get("own_beats_sent", 0)
    if row is None and sent < BEATS:
        return Finding(Level.OK, "ingest: nothing is known of it yet")
    if row is not None and row["blind_since"] is None:
        return Finding(Level.OK, "ingest: our own beat comes back, by the way that devices take")
    since = "" if row is None else f" since {row['blind_since']:%Y-%m-%d %H:%M:%S} UTC"
    mend = (
        "No silence is judged meanwhile, and devices may not be heard either: look at SINYAL_PUBLIC_URL, the proxy and"
        " the certificate, and for own_beat_unanswered in the worker's log"
    )
    return Finding(Level.FAIL, f"ingest: our own beat does not come back{since}", mend)


async def check_inbox(settings: Settings) -> Finding:
    async with database(settings) as line:
        with _of_this_release():
            oldest = await line.fetchval("SELECT min(received_at) FROM push_inbox WHERE refused_at IS NULL")
            refused = await line.fetchval("SELECT count(*) FROM push_inbox WHERE refused_at IS NOT NULL")
    age_s = (utc_now() - oldest).total_seconds() if oldest else 0.0
    if age_s > LONGEST_WAIT_S:
        mend = "Nothing of it is lost, and nothing of it is shown: see whether the worker runs, and what its log says"
        return Finding(Level.FAIL, f"inbox: nobody takes in what sites reported {age_s:,.0f} s ago", mend)
    if refused:
        mend = "They are kept and tried again at the worker's next start: look for push_refused in its log"
        return Finding(Level.WARN, f"inbox: {refused} pushes could not be taken in and are set aside", mend)
    return Finding(Level.OK, f"inbox: the oldest push waits {max(0.0, age_s):.1f} s")


@contextlib.contextmanager
def _of_this_release() -> Iterator[None]:
    """Raises Away where the tables are not there yet: `check_schema` says so."""
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        raise Away from None
