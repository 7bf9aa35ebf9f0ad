"""Diagnoses as rows: requested, claimed by the worker, filled line by line, ended or expired."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import Caller, require_writer
from app.core.clock import utc_now
from app.core.errors import Conflict, Fault, NotFound, TooManyDiagnoses
from app.diagnoses.models import Diagnosis, DiagnosisLine, DiagnosisStatus
from app.diagnoses.schemas import DiagnosisIn
from app.judging.models import WorkerBeat
from app.postgres.work_signals import Work, announce
from app.registry.models import Lifecycle, Site
from probes.contract import CENTRAL, ProbeKind

MAX_WAIT_S = 60  # for the worker to claim one
MAX_RUN_S = 120  # twice what any needs
MAX_OPEN = 20  # in all
MAX_PER_MINUTE = 6  # per caller
WORKER_TIMEOUT_S = 15  # a worker with an older beat counts as unavailable
RETENTION_DAYS = 30

NOT_CLAIMED = "no worker claimed it in time"
ABANDONED = "the worker stopped before it was done"
OPEN = frozenset({DiagnosisStatus.WAITING, DiagnosisStatus.RUNNING})

EXPIRE = text(f"""
    UPDATE diagnosis SET status = 'failed', ended_at = now(),
        problem = CASE status WHEN 'waiting' THEN '{NOT_CLAIMED}' ELSE '{ABANDONED}' END
    WHERE status = 'waiting' AND requested_at < now() - interval '{MAX_WAIT_S} seconds'
        OR status = 'running' AND started_at < now() - interval '{MAX_RUN_S} seconds'
""")
CLAIM = text("""
    UPDATE diagnosis d SET status = 'running', started_at = now()
    FROM site s
    WHERE s.id = d.site_id AND d.id IN (
        SELECT id FROM diagnosis WHERE status = 'waiting' ORDER BY id LIMIT :max_count FOR UPDATE SKIP LOCKED
    ) RETURNING d.id, d.kind, d.count, s.host, s.probe, s.url, s.technology
""")
IS_ANY_OPEN = text("SELECT EXISTS (SELECT FROM diagnosis WHERE status IN ('waiting', 'running'))")
FAIL_RUNNING = text(f"""
    UPDATE diagnosis SET status = 'failed', problem = '{ABANDONED}', ended_at = now() WHERE status = 'running'
""")
END = text("""
    UPDATE diagnosis SET status = :status, problem = :problem, ended_at = now()
    WHERE id = :id AND status = 'running' RETURNING id
""")


@dataclass(frozen=True, slots=True)
class DiagnosisView:
    """A diagnosis with its status as of now: expired although no worker has stored that yet."""

    diagnosis: Diagnosis
    status: DiagnosisStatus
    problem: str | None
    ended_at: datetime | None
    notice: str | None = None


async def create_diagnosis(session: AsyncSession, site: Site, request: DiagnosisIn, *, caller: Caller) -> Diagnosis:
    """Raises Conflict for a site without an address to probe, TooManyDiagnoses beyond the limits."""
    require_writer(caller, site.village_code)
    _require_probed(site)
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('diagnosis'))")
    )  # serialised, so that the counts below hold
    await expire_overdue(session)
    await _require_within_limits(session, site, caller)
    diagnosis = Diagnosis(
        site_id=site.id,
        kind=request.kind,
        count=request.count,
        requested_by=caller.who,
        requested_at=utc_now(),
        status=DiagnosisStatus.WAITING,
    )
    session.add(diagnosis)
    await session.flush()
    await audit.record(
        session,
        caller,
        "diagnose",
        "site",
        site.id,
        region_code=site.village_code,
        after={"diagnosis": diagnosis.id, **request.model_dump(mode="json")},
    )
    await announce(session, Work.DIAGNOSES)
    return diagnosis


def _require_probed(site: Site) -> None:
    if site.probe is ProbeKind.PUSH or site.host is None:
        raise Conflict(
            faults=[
                Fault(
                    "id",
                    "reports_itself",
                    "This site reports itself: it has no address to probe",
                    "Read its device's last report: GET /api/v1/sites/{given}/device",
                    values={"given": site.id},
                )
            ]
        )
    if site.lifecycle is Lifecycle.RETIRED:
        raise Conflict(
            faults=[Fault("id", "retired", "This site is retired: its address may belong to another host now")]
        )


async def _require_within_limits(session: AsyncSession, site: Site, caller: Caller) -> None:
    open_ = list(await session.scalars(select(Diagnosis).where(Diagnosis.status.in_(OPEN))))
    for other in open_:
        if other.site_id == site.id:
            raise TooManyDiagnoses("Diagnosis {given} of this site is still open: read that one", 10, given=other.id)
    if len(open_) >= MAX_OPEN:
        raise TooManyDiagnoses("{count} diagnoses are open already: retry in {seconds} s", 10, count=len(open_))
    minute = timedelta(minutes=1)
    mine = select(func.min(Diagnosis.requested_at), func.count()).where(
        Diagnosis.requested_by == caller.who, Diagnosis.requested_at > utc_now() - minute
    )
    first, count = (await session.execute(mine)).one()
    if count >= MAX_PER_MINUTE:
        wait_s = max(1, round((first + minute - utc_now()).total_seconds()) + 1)
        raise TooManyDiagnoses("At most {most} diagnoses a minute: retry in {seconds} s", wait_s, most=MAX_PER_MINUTE)


async def list_diagnoses(session: AsyncSession, site_id: int, *, before: int | None, limit: int) -> list[Diagnosis]:
    """Newest first."""
    query = select(Diagnosis).where(Diagnosis.site_id == site_id).order_by(Diagnosis.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Diagnosis.id < before)
    return list(await session.scalars(query))


async def get_diagnosis(session: AsyncSession, site_id: int, diagnosis_id: int) -> Diagnosis:
    """Raises NotFound for a diagnosis of another site; the caller's right to see the site is checked before."""
    query = select(Diagnosis).where(Diagnosis.id == diagnosis_id, Diagnosis.site_id == site_id)
    diagnosis = (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()
    if diagnosis is None:
        raise NotFound("There is no diagnosis {given} of this site", values={"given": diagnosis_id})
    return diagnosis


async def list_lines(session: AsyncSession, diagnosis_id: int, *, after: int = 0) -> Sequence[DiagnosisLine]:
    query = select(DiagnosisLine).where(DiagnosisLine.diagnosis_id == diagnosis_id, DiagnosisLine.number > after)
    return (await session.scalars(query.order_by(DiagnosisLine.number))).all()


async def view(session: AsyncSession, diagnosis: Diagnosis) -> DiagnosisView:
    """Return the diagnosis as of now, with a notice if it waits and no worker is running."""
    current = as_of(diagnosis, utc_now())
    if current.status is not DiagnosisStatus.WAITING:
        return current
    beat_at = await session.scalar(select(WorkerBeat.beat_at).where(WorkerBeat.source == CENTRAL))
    return DiagnosisView(
        diagnosis, current.status, current.problem, current.ended_at, _notice(diagnosis, beat_at, utc_now())
    )


def as_of(diagnosis: Diagnosis, now: datetime) -> DiagnosisView:
    expires_at = diagnosis.requested_at + timedelta(seconds=MAX_WAIT_S)
    if diagnosis.status is DiagnosisStatus.WAITING and now > expires_at:
        return DiagnosisView(diagnosis, DiagnosisStatus.FAILED, NOT_CLAIMED, expires_at)
    if diagnosis.status is DiagnosisStatus.RUNNING and diagnosis.started_at is not None:
        expires_at = diagnosis.started_at + timedelta(seconds=MAX_RUN_S)
        if now > expires_at:
            return DiagnosisView(diagnosis, DiagnosisStatus.FAILED, ABANDONED, expires_at)
    return DiagnosisView(diagnosis, diagnosis.status, diagnosis.problem, diagnosis.ended_at)


def _notice(diagnosis: Diagnosis, beat_at: datetime | None, now: datetime) -> str | None:
    if beat_at is not None and now - beat_at < timedelta(seconds=WORKER_TIMEOUT_S):
        return None
    missing = "no worker has run yet" if beat_at is None else f"no worker has run since {beat_at:%H:%M:%S} UTC"
    left_s = MAX_WAIT_S - round((now - diagnosis.requested_at).total_seconds())
    return f"{missing}: this diagnosis expires in {max(0, left_s)} s"


def to_fields(view: DiagnosisView) -> dict[str, Any]:
    names = ("id", "site_id", "kind", "count", "requested_by", "requested_at", "started_at")
    return {name: getattr(view.diagnosis, name) for name in names} | {
        "status": view.status,
        "problem": view.problem,
        "ended_at": view.ended_at,
        "notice": view.notice,
    }


def line_fields(line: DiagnosisLine) -> dict[str, Any]:
    return {"number": line.number, "at": line.at, "found": line.found}


async def expire_overdue(session: AsyncSession) -> None:
    """Fail diagnoses that waited or ran too long."""
    await session.execute(EXPIRE)


async def claim(session: AsyncSession, *, max_count: int) -> Sequence[Any]:
    """Set the diagnoses that waited longest to running and return them with their sites' addresses."""
    if not await session.scalar(IS_ANY_OPEN):  # a sweep: mostly there is none
        return ()
    await expire_overdue(session)
    return (await session.execute(CLAIM, {"max_count": max_count})).all()


async def add_lines(
    session: AsyncSession, diagnosis_id: int, lines: Sequence[tuple[int, datetime, dict[str, Any]]]
) -> None:
    rows = [{"diagnosis_id": diagnosis_id, "number": number, "at": at, "found": found} for number, at, found in lines]
    if rows:
        await session.execute(insert(DiagnosisLine), rows)


async def end(session: AsyncSession, diagnosis_id: int, *, problem: str | None) -> None:
    """End a running diagnosis; one that expired meanwhile stays failed."""
    status = DiagnosisStatus.DONE if problem is None else DiagnosisStatus.FAILED
    await session.execute(END, {"id": diagnosis_id, "status": status.value, "problem": problem})


async def fail_running(session: AsyncSession) -> None:
    """Fail the diagnoses that a former worker left running."""
    await session.execute(FAIL_RUNNING)


async def delete_old(session: AsyncSession) -> None:
    await session.execute(text(f"DELETE FROM diagnosis WHERE requested_at < now() - interval '{RETENTION_DAYS} days'"))
