"""Diagnoses as rows: asked for, claimed by the worker, told line by line, ended; and those that nobody takes up."""

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
from app.registry.models import Lifecycle, Site
from probes.contract import CENTRAL, ProbeKind

PATIENCE_S = 60  # so long one waits for the worker
LONGEST_S = 120  # and so long a running one may take, which is twice what any needs
MOST_OPEN = 20  # in all
MOST_A_MINUTE = 6  # a caller
AWAY_S = 15  # a worker whose beat is older
KEPT_DAYS = 30

NOT_TAKEN = "the worker is away"
LEFT = "the worker ended before it was done"
OPEN = frozenset({DiagnosisStatus.WAITING, DiagnosisStatus.RUNNING})

EXPIRE = text(f"""
    UPDATE diagnosis SET status = 'failed', ended_at = now(),
        problem = CASE status WHEN 'waiting' THEN '{NOT_TAKEN}' ELSE '{LEFT}' END
    WHERE status = 'waiting' AND requested_at < now() - interval '{PATIENCE_S} seconds'
        OR status = 'running' AND started_at < now() - interval '{LONGEST_S} seconds'
""")
CLAIM = text("""
    UPDATE diagnosis d SET status = 'running', started_at = now()
    FROM site s
    WHERE s.id = d.site_id AND d.id IN (
        SELECT id FROM diagnosis WHERE status = 'waiting' ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED
    ) RETURNING d.id, d.kind, d.count, s.host, s.probe, s.url, s.technology
""")
END = text("""
    UPDATE diagnosis SET status = :status, problem = :problem, ended_at = now()
    WHERE id = :id AND status = 'running' RETURNING id
""")


@dataclass(frozen=True, slots=True)
class Shown:
    """A diagnosis as it stands by our own clock, whoever died meanwhile."""

    diagnosis: Diagnosis
    status: DiagnosisStatus
    problem: str | None
    ended_at: datetime | None
    notice: str | None = None


async def ask(session: AsyncSession, site: Site, given: DiagnosisIn, *, caller: Caller) -> Diagnosis:
    """Raises Conflict for a site that cannot be looked at from here, TooManyDiagnoses."""
    require_writer(caller, site.village_code)
    _require_looked_at(site)
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('diagnosis'))"))  # one after the other: counted
    await expire(session)
    await _require_few(session, site, caller)
    asked = Diagnosis(
        site_id=site.id,
        kind=given.kind,
        count=given.count,
        requested_by=caller.who,
        requested_at=utc_now(),
        status=DiagnosisStatus.WAITING,
    )
    session.add(asked)
    await session.flush()
    await audit.record(
        session,
        caller,
        "diagnose",
        "site",
        site.id,
        region_code=site.village_code,
        after={"diagnosis": asked.id, **given.model_dump(mode="json")},
    )
    return asked


def _require_looked_at(site: Site) -> None:
    if site.probe is ProbeKind.PUSH or site.host is None:
        raise Conflict(
            faults=[
                Fault(
                    "id",
                    "reports_itself",
                    "This site reports itself: it has no address that could be looked at from here",
                    "See what its device told last: GET /api/v1/sites/{given}/device",
                    values={"given": site.id},
                )
            ]
        )
    if site.lifecycle is Lifecycle.RETIRED:
        raise Conflict(faults=[Fault("id", "retired", "This site is retired: whoever has its address now is not it")])


async def _require_few(session: AsyncSession, site: Site, caller: Caller) -> None:
    open_ = list(await session.scalars(select(Diagnosis).where(Diagnosis.status.in_(OPEN))))
    for one in open_:
        if one.site_id == site.id:
            raise TooManyDiagnoses("Diagnosis {given} of this site is not done yet: see that one", 10, given=one.id)
    if len(open_) >= MOST_OPEN:
        raise TooManyDiagnoses("{count} diagnoses wait already: wait for {seconds} s", 10, count=len(open_))
    minute = timedelta(minutes=1)
    mine = select(func.min(Diagnosis.requested_at), func.count()).where(
        Diagnosis.requested_by == caller.who, Diagnosis.requested_at > utc_now() - minute
    )
    first, count = (await session.execute(mine)).one()
    if count >= MOST_A_MINUTE:
        wait_s = max(1, round((first + minute - utc_now()).total_seconds()) + 1)
        raise TooManyDiagnoses("You may ask for {most} a minute: wait for {seconds} s", wait_s, most=MOST_A_MINUTE)


async def list_of_site(session: AsyncSession, site_id: int, *, before: int | None, limit: int) -> list[Diagnosis]:
    """The newest first."""
    query = select(Diagnosis).where(Diagnosis.site_id == site_id).order_by(Diagnosis.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Diagnosis.id < before)
    return list(await session.scalars(query))


async def get_diagnosis(session: AsyncSession, site_id: int, diagnosis_id: int) -> Diagnosis:
    """Of a site that the caller may see. Raises NotFound."""
    query = select(Diagnosis).where(Diagnosis.id == diagnosis_id, Diagnosis.site_id == site_id)
    found = (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()
    if found is None:
        raise NotFound("There is no diagnosis {given} of this site", values={"given": diagnosis_id})
    return found


async def list_lines(session: AsyncSession, diagnosis_id: int, *, after: int = 0) -> Sequence[DiagnosisLine]:
    query = select(DiagnosisLine).where(DiagnosisLine.diagnosis_id == diagnosis_id, DiagnosisLine.number > after)
    return (await session.scalars(query.order_by(DiagnosisLine.number))).all()


async def show(session: AsyncSession, diagnosis: Diagnosis) -> Shown:
    shown = as_of(diagnosis, utc_now())
    if shown.status is not DiagnosisStatus.WAITING:
        return shown
    beat_at = await session.scalar(select(WorkerBeat.beat_at).where(WorkerBeat.source == CENTRAL))
    return Shown(diagnosis, shown.status, shown.problem, shown.ended_at, _notice(diagnosis, beat_at, utc_now()))


def as_of(diagnosis: Diagnosis, now: datetime) -> Shown:
    waited = diagnosis.requested_at + timedelta(seconds=PATIENCE_S)
    if diagnosis.status is DiagnosisStatus.WAITING and now > waited:
        return Shown(diagnosis, DiagnosisStatus.FAILED, NOT_TAKEN, waited)
    if diagnosis.status is DiagnosisStatus.RUNNING and diagnosis.started_at is not None:
        ended = diagnosis.started_at + timedelta(seconds=LONGEST_S)
        if now > ended:
            return Shown(diagnosis, DiagnosisStatus.FAILED, LEFT, ended)
    return Shown(diagnosis, diagnosis.status, diagnosis.problem, diagnosis.ended_at)


def _notice(diagnosis: Diagnosis, beat_at: datetime | None, now: datetime) -> str | None:
    if beat_at is not None and now - beat_at < timedelta(seconds=AWAY_S):
        return None
    heard = "no worker has been heard yet" if beat_at is None else f"the worker is away since {beat_at:%H:%M:%S} UTC"
    left_s = PATIENCE_S - round((now - diagnosis.requested_at).total_seconds())
    return f"{heard}: it is given up in {max(0, left_s)} s"


def present(shown: Shown) -> dict[str, Any]:
    names = ("id", "site_id", "kind", "count", "requested_by", "requested_at", "started_at")
    return {name: getattr(shown.diagnosis, name) for name in names} | {
        "status": shown.status,
        "problem": shown.problem,
        "ended_at": shown.ended_at,
        "notice": shown.notice,
    }


def present_line(line: DiagnosisLine) -> dict[str, Any]:
    return {"number": line.number, "at": line.at, "found": line.found}


async def expire(session: AsyncSession) -> None:
    await session.execute(EXPIRE)


async def claim(session: AsyncSession, *, most: int) -> Sequence[Any]:
    """Those that waited longest, now the worker's to run."""
    await expire(session)
    return (await session.execute(CLAIM, {"most": most})).all()


async def tell(session: AsyncSession, diagnosis_id: int, lines: Sequence[tuple[int, datetime, dict[str, Any]]]) -> None:
    rows = [{"diagnosis_id": diagnosis_id, "number": number, "at": at, "found": found} for number, at, found in lines]
    if rows:
        await session.execute(insert(DiagnosisLine), rows)


async def end(session: AsyncSession, diagnosis_id: int, *, problem: str | None) -> None:
    """Unless it was given up meanwhile."""
    status = DiagnosisStatus.DONE if problem is None else DiagnosisStatus.FAILED
    await session.execute(END, {"id": diagnosis_id, "status": status.value, "problem": problem})


async def fail_running(session: AsyncSession) -> None:
    """Of a worker that is no more."""
    await session.execute(
        text(f"UPDATE diagnosis SET status = 'failed', problem = '{LEFT}', ended_at = now() WHERE status = 'running'")
    )


async def forget_old(session: AsyncSession) -> None:
    await session.execute(text(f"DELETE FROM diagnosis WHERE requested_at < now() - interval '{KEPT_DAYS} days'"))
