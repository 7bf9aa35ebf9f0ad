"""`sinyal status`: count the sites in each state and list those that are down, straight from the database."""

import asyncio
from collections import Counter
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError

from app.core.clock import WITA, utc_now
from app.postgres.engine import Sessions, database_url, open_engine, open_sessions
from app.registry import regions
from app.runtime.admin_session import DATABASE_UNAVAILABLE
from app.settings import Settings, SettingsError
from app.status.row import StatusEntry
from app.status.snapshot import Snapshot
from app.status.status_filter import StatusFilter

MAX_LISTED = 20
WATCH_INTERVAL_S = 5
LISTED_STATES = ("down", "unreachable")


async def run(settings: Settings, *, region: str | None, watch: bool, say: Callable[[str], None]) -> None:
    """Say the status once, or with `watch` every five seconds. Raises SettingsError."""
    if region is not None and region not in regions.names():
        raise SettingsError(f"--region {region}: no such region")
    engine = open_engine(database_url(settings), name="status")
    try:
        snapshot = Snapshot(refresh_s=0)
        while True:
            await _show(snapshot, open_sessions(engine), region or "64", say)
            if not watch:
                return
            await asyncio.sleep(WATCH_INTERVAL_S)
    except (OSError, DBAPIError) as error:
        raise SettingsError(f"{DATABASE_UNAVAILABLE} ({type(error).__name__})") from None
    finally:
        await engine.dispose()


async def _show(snapshot: Snapshot, sessions: Sessions, region: str, say: Callable[[str], None]) -> None:
    await snapshot.refresh(sessions)
    now = utc_now()
    snapshot.tick(now)
    entries = snapshot.select(StatusFilter(region))
    states = Counter(entry.published.state for entry in entries)
    counts = "  ".join(f"{state} {count}" for state, count in sorted(states.items()))
    beat = "never" if snapshot.beat_at is None else f"{(now - snapshot.beat_at).total_seconds():.0f} s ago"
    say(
        f"{now.astimezone(WITA):%Y-%m-%d %H:%M:%S} WITA  {regions.names()[region]}: {len(entries)} sites  {counts}  "
        f"(worker seen: {beat})"
    )
    if snapshot.blind_since is not None:
        say("  blind: no canary answers, so no site is judged down (see `sinyal doctor`)")
    listed = sorted((e for e in entries if e.published.state in LISTED_STATES), key=lambda entry: entry.published.since)
    for entry in listed[:MAX_LISTED]:
        say(_line(entry))
    if len(listed) > MAX_LISTED:
        say(f"  and {len(listed) - MAX_LISTED} more: GET /api/v1/status?state=down")


def _line(entry: StatusEntry) -> str:
    district = regions.names()[entry.site.village_code[:5]]
    since = entry.published.since.astimezone(WITA)
    return (
        f"  {entry.published.state:<11} {entry.site.code}  since {since:%d %b %H:%M:%S}  {entry.site.technology:<8} "
        f"{entry.site.provider:<18} {entry.site.name}, {district}"
    )
