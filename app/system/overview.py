"""Composes what is known of the service itself: findings for everybody, what each part does for the province."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.measurements import corrupt_packs
from app.measurements.corrupt_packs import Damage
from app.measurements.packing_backlog import read_backlog
from app.postgres.schema import head
from app.settings import Settings
from app.status.snapshot import Snapshot
from app.status.stream import StatusStreams
from app.system import store
from app.system.findings import SystemFacts, health_of, summarize
from app.system.problems import PACKING_LATE, find_problems
from app.system.store import Stage
from app.vantages.prober_facts import read_vantages
from probes.contract import CENTRAL, SILENCE

# Names here, and in the worker's counters.
PROBING = {
    "sites": "sites",
    "sweeps": "rounds",
    "readings": "readings",
    "faults": "faults",
    "sweep_s": "sweep_seconds",
    "sweep_late_s": "sweep_late_seconds",
    "overruns": "overruns",
    "misfires": "misfires",
    "missed_slots": "missed_slots",
    "buffered": "buffered_readings",
    "buffer_limit": "buffer_limit_readings",
    "lost": "dropped_readings",
    "writes": "writes",
    "failed_writes": "failed_writes",
}


@dataclass(frozen=True, slots=True)
class ApiState:
    """What the answering process knows of itself."""

    version: str
    settings: Settings
    snapshot: Snapshot
    streams: StatusStreams
    pool: Any


async def read_overview(session: AsyncSession, api: ApiState, *, caller: Caller, now: datetime) -> dict[str, Any]:
    """Only the province's own officers read the details."""
    beats = await store.read_beats(session)
    inbox, stages = await store.read_inbox(session), await store.read_stages(session, now)
    courier = await store.read_courier(session)
    facts = await _with_packs(session, _facts(api, beats, inbox, stages, courier, now), beats, api)
    figures = beats[CENTRAL].figures if CENTRAL in beats else {}
    facts = replace(facts, vantages=await read_vantages(session, figures))
    findings = find_problems(facts)
    details = await _details(session, api, beats.get(CENTRAL), inbox) if caller.sees_addresses else None
    return {
        "generated_at": now,
        "version": api.version,
        "health": health_of(findings),
        "summary": summarize(findings),
        "findings": [asdict(finding) for finding in findings],
        "worker": _worker(facts, beats.get(CENTRAL)),
        "counting": [asdict(stage) for stage in stages],
        "details": details,
    }


def _facts(
    api: ApiState,
    beats: Mapping[str, Row[Any]],
    inbox: Row[Any],
    stages: Sequence[Stage],
    courier: Row[Any],
    now: datetime,
) -> SystemFacts:
    beat, silence = beats.get(CENTRAL), beats.get(SILENCE)
    figures = beat.figures if beat else {}
    canaries = figures.get("canaries") or dict.fromkeys(api.settings.canaries, 1)
    return SystemFacts(
        now=now,
        beat_at=beat.beat_at if beat else None,
        blind_since=beat.blind_since if beat else None,
        deaf_since=silence.blind_since if silence else None,
        has_pushing_sites=api.snapshot.has_pushing_sites,
        canaries={address: bool(answers) for address, answers in canaries.items()},
        lag_s={stage.stage: stage.lag_s for stage in stages},
        inbox_age_s=inbox.age_s,
        refused_pushes=inbox.refused,
        blocks_age_s=inbox.blocks_age_s,
        refused_blocks=inbox.refused_blocks,
        buffered=figures.get("buffered_readings", 0),
        buffer_limit=figures.get("buffer_limit_readings", 0),
        lost=figures.get("dropped_readings", 0),
        rejected_sites=len(api.snapshot.rejected),
        channels=courier.channels,
        courier_age_s=courier.age_s,
    )


async def _with_packs(
    session: AsyncSession, facts: SystemFacts, beats: Mapping[str, Row[Any]], api: ApiState
) -> SystemFacts:
    """Whoever met a corrupt pack counts it by itself: each may have met the same."""
    figures = beats[CENTRAL].figures if CENTRAL in beats else {}
    kept_since = facts.now - timedelta(days=api.settings.raw_retention_days)
    damages = [
        Damage(figures.get("corrupt_packs", 0), datetime.fromtimestamp(figures.get("corrupt_packs_since", 0), UTC)),
        corrupt_packs.met_here(),
        await corrupt_packs.read_set_aside(session, kept_since=kept_since),
    ]
    backlog = await read_backlog(session, facts.now, beyond=PACKING_LATE)
    return replace(
        facts,
        corrupt_packs=max(damage.packs for damage in damages),
        corrupt_since=min((damage.since for damage in damages if damage.packs and damage.since), default=None),
        packing_lag=backlog.lag,
        unpacked_bytes=backlog.size_bytes,
    )


def _worker(facts: SystemFacts, beat: Row[Any] | None) -> dict[str, Any]:
    age = (facts.now - facts.beat_at).total_seconds() if facts.beat_at else None
    return {
        "beat_at": facts.beat_at,
        "beat_age_s": None if age is None else round(max(0.0, age), 1),
        "started_at": beat.started_at if beat else None,
        "blind_since": facts.blind_since,
        "deaf_since": facts.deaf_since,
    }


async def _details(session: AsyncSession, api: ApiState, beat: Row[Any] | None, inbox: Row[Any]) -> dict[str, Any]:
    figures = beat.figures if beat else {}
    database = await store.read_database(session)
    return {
        "probing": {name: figures.get(counter, 0) for name, counter in PROBING.items()},
        "canaries": [
            {"canary": number, "address": address, "answers": bool(answers)}
            for number, (address, answers) in enumerate(figures.get("canaries", {}).items(), 1)
        ],
        "inbox": inbox._asdict() | {"age_s": round(max(0.0, inbox.age_s), 1)},
        "database": database
        | {
            "is_current": database["schema"] == head(),
            "raw_retention_days": api.settings.raw_retention_days,
        },
        "api": {
            "streams": api.streams.open,
            "max_streams": api.settings.status.max_streams,
            "connections_in_use": api.pool.checkedout(),
            "max_connections": api.pool.size() + api.pool._max_overflow,
            "rejected_sites": len(api.snapshot.rejected),
            "python": platform.python_version(),
        },
    }
