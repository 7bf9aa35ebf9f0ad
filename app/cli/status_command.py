"""`sinyal status`: count the sites in each state and list those that do not work, straight from the database."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.exc import DBAPIError

from app.cli.prober_findings import ProberReport, read_report
from app.core.clock import WITA, utc_now
from app.core.validation import closest
from app.postgres.engine import Sessions, database_url, open_engine, open_sessions
from app.profiles import Technology
from app.registry import regions
from app.registry.models import State
from app.runtime.admin_session import DATABASE_UNAVAILABLE
from app.settings import Settings, SettingsError
from app.status.row import StatusEntry
from app.status.snapshot import Snapshot
from app.status.status_filter import StatusFilter

MAX_LISTED = 20  # of each state
WATCH_INTERVAL_S = 5
LISTED_STATES = (State.DOWN, State.UNREACHABLE, State.DEGRADED)


@dataclass(frozen=True, slots=True)
class StatusOptions:
    """As given: each one value or several, separated by commas; None: all, of states those that do not work."""

    region: str | None = None
    provider: str | None = None
    technology: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The sites that match region, provider and technology; `listed` are those of them in the states asked for."""

    now: datetime
    regions: Sequence[str]
    beat_at: datetime | None
    blind_since: datetime | None
    probers: ProberReport
    states: dict[str, int]
    listed: Sequence[StatusEntry]  # by state, those that have been in it longest first


async def run(
    settings: Settings, options: StatusOptions, *, watch: bool, as_json: bool, say: Callable[[str], None]
) -> None:
    """Say the status once, or with `watch` every five seconds. Raises SettingsError."""
    engine = open_engine(database_url(settings), name="status", pooled=settings.is_pooled)
    try:
        snapshot = Snapshot(refresh_s=0)
        while True:
            report = await _report(snapshot, open_sessions(engine), options)
            for line in [_json(report)] if as_json else _lines(report):
                say(line)
            if not watch:
                return
            await asyncio.sleep(WATCH_INTERVAL_S)
    except (OSError, DBAPIError) as error:
        raise SettingsError(f"{DATABASE_UNAVAILABLE} ({type(error).__name__})") from None
    finally:
        await engine.dispose()


async def _report(snapshot: Snapshot, sessions: Sessions, options: StatusOptions) -> StatusReport:
    await snapshot.refresh(sessions)
    async with sessions() as session:  # only reads
        probers = await read_report(session)
    now = utc_now()
    snapshot.tick(now)
    selected = StatusFilter(
        _choices("--region", options.region, regions.names()) or ("64",),
        technologies=_choices("--technology", options.technology, list(Technology)),
        providers=_choices("--provider", options.provider, snapshot.provider_names),
    )
    states = _choices("--state", options.state, list(State)) or LISTED_STATES
    entries = snapshot.select(selected)
    counts = Counter(entry.published.state for entry in entries)
    return StatusReport(
        now,
        selected.regions,
        snapshot.beat_at,
        snapshot.blind_since,
        probers,
        {state.value: counts[state.value] for state in State},
        sorted(
            (entry for entry in entries if entry.published.state in states),
            key=lambda entry: (states.index(entry.published.state), entry.published.since),
        ),
    )


def _choices(option: str, given: str | None, known: Collection[str]) -> tuple[str, ...]:
    """Return the values given. Raises SettingsError for an unknown one."""
    words = [word.strip() for word in given.split(",")] if given else []
    for word in words:
        if word not in known:
            near = closest(word, list(known))
            among = f"one of: {', '.join(known)}" if len(known) <= 50 else "a known one"
            raise SettingsError(f"{option} {word}: {f'did you mean {near}?' if near else f'not {among}'}")
    return tuple(dict.fromkeys(words))


def _lines(report: StatusReport) -> Iterator[str]:
    counts = "  ".join(f"{state} {count}" for state, count in report.states.items() if count)
    beat = "never" if report.beat_at is None else f"{(report.now - report.beat_at).total_seconds():.0f} s ago"
    where = ", ".join(regions.names()[code] for code in report.regions)
    at, total = f"{report.now.astimezone(WITA):%Y-%m-%d %H:%M:%S} WITA", sum(report.states.values())
    yield f"{at}  {where}: {total} sites  {counts}  (worker seen: {beat})"
    if report.blind_since is not None:
        yield "  blind: no canary answers, so no site is judged down (see `sinyal doctor`)"
    if report.probers.summary:
        yield f"  {report.probers.summary}"
    for finding in report.probers.findings:
        yield f"  {finding.message['en']} (see `sinyal doctor`)"
    listed = Counter(entry.published.state for entry in report.listed)
    shown: Counter[str] = Counter()
    for entry in report.listed:
        state = entry.published.state
        shown[state] += 1
        if shown[state] <= MAX_LISTED:
            yield _line(entry)
        elif shown[state] == listed[state]:
            yield f"  and {listed[state] - MAX_LISTED} more {state}: see them all with --json"


def _line(entry: StatusEntry) -> str:
    district = regions.names()[entry.site.village_code[:5]]
    since = entry.published.since.astimezone(WITA)
    return (
        f"  {entry.published.state:<11} {entry.site.code}  since {since:%d %b %H:%M:%S}  {entry.site.technology:<8} "
        f"{entry.site.provider:<18} {entry.site.name}, {district}"
    )


def _json(report: StatusReport) -> str:
    """One line; its sites are those of `GET /api/v1/status`."""
    data_age_s = None if report.beat_at is None else round((report.now - report.beat_at).total_seconds(), 1)
    summary: dict[str, Any] = {
        "generated_at": report.now,
        "data_age_s": data_age_s,
        "blind_since": report.blind_since,
        "prober_findings": [finding.check for finding in report.probers.findings],
        "regions": report.regions,
        "total": sum(report.states.values()),
        "states": report.states,
        "sites": [orjson.Fragment(entry.json) for entry in report.listed],
    }
    return orjson.dumps(summary, option=orjson.OPT_UTC_Z).decode()
