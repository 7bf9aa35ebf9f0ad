"""What the worker reads and writes: plans out of the registry, batches into the ledger, its own beat."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.incidents.reconcile import reconcile_incidents
from app.judging import ingest as ledger
from app.judging import invalidation, propagation
from app.judging.blind_ranges import BlindRange
from app.judging.dirty_range import DirtyRange
from app.judging.ingest import AddressedReading, JudgedSite
from app.judging.models import WorkerBeat
from app.latency import rollup
from app.profiles import Profile, Technology
from app.registry.models import SiteKind, State
from app.worker.ingest_heartbeat import Proof
from app.worker.schedule import Plan
from probes.contract import CENTRAL, SILENCE, Outcome, ProbeKind, Reading, Target

SITES = text("""
    SELECT s.id, s.host, s.probe, s.port, s.url, s.technology, s.lifecycle, s.addressed_at, s.version,
        s.parent_id, s.kind, st.state, st.since, st.seen_at, st.pending_at, c.started_at AS setup_at
    FROM site s JOIN site_status st ON st.site_id = s.id
        JOIN site_configuration c ON c.site_id = s.id AND c.ended_at IS NULL
    WHERE s.version > :seen
""")
BEAT = text("""
    INSERT INTO worker_beat (source, beat_at, started_at, blind_since, figures)
    VALUES (:source, :now, :started_at, :blind_since, cast(:figures AS jsonb))
    ON CONFLICT (source) DO UPDATE SET beat_at = excluded.beat_at, started_at = excluded.started_at,
        blind_since = excluded.blind_since, figures = excluded.figures
""")


OUT_OF_SERVICE = text("""
    SELECT n.site_id, n.slot FROM unnest(cast(:sites AS int[]), cast(:slots AS bigint[])) AS n(site_id, slot)
        JOIN site_configuration c ON c.site_id = n.site_id AND c.lifecycle <> 'active'
            AND c.started_at <= to_timestamp(n.slot) AND (c.ended_at IS NULL OR c.ended_at > to_timestamp(n.slot))
""")


async def list_changed_sites(session: AsyncSession, seen: int) -> tuple[int, Sequence[Any]]:
    """The registry's version, and the sites that changed since `seen`. The version is read first: nothing is lost."""
    version = await session.scalar(text("SELECT version FROM change_counter WHERE name = 'registry'"))
    if version == seen:
        return seen, []
    return int(version or 0), (await session.execute(SITES, {"seen": seen})).all()


async def judge_reconfigured(session: AsyncSession, rows: Sequence[Any]) -> None:
    """Sites whose configuration changed before looks that were judged by the former one."""
    spans = [
        DirtyRange(row.id, row.setup_at, row.seen_at) for row in rows if row.seen_at and row.seen_at >= row.setup_at
    ]
    spans += [DirtyRange(row.id, row.setup_at, utc_now()) for row in rows if row.kind == SiteKind.NODE]
    if spans:
        await follow(session, await propagation.rejudge_reconfigured(session, spans))


def plan_of(row: Any, profiles: Mapping[Technology, Profile]) -> Plan | None:
    """How a site is looked at from here; None when it is not in service, or reports itself."""
    if row.lifecycle != "active" or row.probe == ProbeKind.PUSH or row.host is None:
        return None
    profile = profiles[Technology(row.technology)]
    target = Target(
        row.id,
        0,
        ProbeKind(row.probe),
        row.host,
        row.port,
        row.url,
        timeout_s=profile.timeout_ms / 1000,
        valid_s=profile.interval_s,
    )
    return Plan(target, profile.interval_s, row.addressed_at)


def standing(row: Any) -> JudgedSite:
    return JudgedSite(row.id, State(row.state), row.since, row.seen_at, row.pending_at, row.parent_id)


async def as_in_service(session: AsyncSession, readings: Sequence[Reading]) -> list[Reading]:
    """What a device went on measuring while its site was not in service, and sent when it was again, says nothing."""
    given = {"sites": [one.key for one in readings], "slots": [one.slot for one in readings]}
    out = {(site_id, slot) for site_id, slot in await session.execute(OUT_OF_SERVICE, given)}
    return [
        replace(one, outcome=Outcome.FAULT, reason="not active") if (one.key, one.slot) in out else one
        for one in readings
    ]


async def last_beat(session: AsyncSession) -> datetime | None:
    return await session.scalar(select(WorkerBeat.beat_at).where(WorkerBeat.source == CENTRAL))


async def write_batch(
    session: AsyncSession, items: Sequence[AddressedReading], blind: Sequence[BlindRange], *, source: str = CENTRAL
) -> list[JudgedSite]:
    """What was found, what follows from it, and what follows from that: one transaction. `source`: who was blind."""
    if not items and not blind:
        return []
    taken = await ledger.ingest_readings(session, items, blind, source=source)
    await follow(session, taken.dirty_ranges)
    for one in taken.blind if source == CENTRAL else ():  # a silence has no packets that could count otherwise
        await rollup.invalidate(session, one.started_at, one.ended_at)
    return taken.judged


async def follow(session: AsyncSession, spans: Sequence[DirtyRange]) -> None:
    """What is counted, opened or closed by the ledger, where it was written anew."""
    await reconcile_incidents(session, spans, now=utc_now())  # first: people who name a cause lock in this order, too
    await invalidation.invalidate(session, spans)


async def deaf_beat(session: AsyncSession) -> WorkerBeat | None:
    """What was last proven of hearing devices: from `started_at` to `beat_at`, unless it is `blind_since`."""
    return await session.get(WorkerBeat, SILENCE)


async def write_deaf_beat(session: AsyncSession, proof: Proof, deaf_since: datetime | None) -> None:
    given = {"now": proof.last, "started_at": proof.since or proof.last, "blind_since": deaf_since, "figures": "{}"}
    await session.execute(BEAT, {"source": SILENCE, **given})


async def write_beat(
    session: AsyncSession,
    *,
    now: datetime,
    started_at: datetime,
    blind_since: datetime | None,
    figures: dict[str, Any],
) -> None:
    await session.execute(
        BEAT,
        {
            "source": CENTRAL,
            "now": now,
            "started_at": started_at,
            "blind_since": blind_since,
            "figures": orjson.dumps(figures).decode(),
        },
    )
