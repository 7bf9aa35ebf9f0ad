"""The job that runs requested diagnoses: a few at once, beside the probe loop, each line written as it is found."""

import asyncio
from contextlib import aclosing
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from app.core.clock import utc_now
from app.diagnoses import store
from app.diagnoses.models import DiagnosisKind
from app.postgres.engine import Sessions, transaction
from app.postgres.work_signals import Work, WorkSignals
from app.profiles import Technology, profiles
from app.worker.jobs import Job
from app.worker.rejection import is_entrys_fault
from probes import diagnose, http
from probes.contract import ProbeKind, Target
from probes.diagnose import DiagnosisProblem, Fact, Facts, Hop, PacketResult, PingSummary, ResolvedHost, RouteEnd
from probes.exchange import OpenSocket, open_socket
from probes.sweep import Prober

log = structlog.get_logger()

EVERY_S = 1
AT_ONCE = 3
TRIES, RETRY_S = 20, 1.0  # of the last write, while the database is unavailable
STOPPED = "the worker was stopped before it was done"

DIAGNOSES = {DiagnosisKind.PING: diagnose.ping, DiagnosisKind.TRACEROUTE: diagnose.traceroute}
LINE_KINDS: dict[type, str] = {
    ResolvedHost: "target",
    PacketResult: "packet",
    PingSummary: "summary",
    Hop: "hop",
    RouteEnd: "route",
}


class DiagnosisRunner:
    """`open_socket` makes the sockets; tests pass their own."""

    def __init__(
        self,
        sessions: Sessions,
        prober: Prober,
        *,
        open_socket: OpenSocket = open_socket,
        signals: WorkSignals | None = None,
    ) -> None:
        self.prober, self._signals = prober, signals or WorkSignals()
        self._sessions, self._open_socket = sessions, open_socket
        self._running: dict[int, asyncio.Task[None]] = {}
        self._is_failing = False

    def jobs(self) -> list[Job]:
        return [Job("diagnoses", EVERY_S, self.start_signalled)]

    async def start_signalled(self) -> None:
        if len(self._running) < AT_ONCE and self._signals.take(Work.DIAGNOSES):
            await self.start_waiting()

    async def start_waiting(self) -> None:
        """Claim and start those that wait, as far as there is room."""
        free = AT_ONCE - len(self._running)
        if free <= 0:
            return
        try:
            async with transaction(self._sessions) as session:
                claimed = await store.claim(session, max_count=free)
        except Exception as error:
            if not self._is_failing:
                _log_failure("diagnoses_not_claimed", error)
            self._is_failing = True
            self._signals.signal(Work.DIAGNOSES)
            return
        self._is_failing = False
        for diagnosis in claimed:
            task = self._running[diagnosis.id] = asyncio.create_task(self._run(diagnosis))
            task.add_done_callback(partial(self._on_done, diagnosis.id))

    def _on_done(self, diagnosis_id: int, task: asyncio.Task[None]) -> None:
        del self._running[diagnosis_id]
        self._signals.signal(Work.DIAGNOSES)  # there is room: another may wait
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("diagnosis_failed", diagnosis=diagnosis_id, error=repr(error), exc_info=error)

    async def stop(self) -> None:
        """End those that run, and store that they were stopped."""
        running = dict(self._running)
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)
        if not running:
            return
        try:
            async with transaction(self._sessions) as session:
                for diagnosis_id in running:
                    await store.end(session, diagnosis_id, problem=STOPPED)
        except Exception as error:  # the next worker ends them
            _log_failure("diagnoses_not_ended", error, diagnoses=list(running))

    async def _run(self, diagnosis: Any) -> None:
        lines = LineWriter(self._sessions, diagnosis.id)
        problem = None
        async with aclosing(self._facts(diagnosis)) as facts:
            async for fact in facts:
                if isinstance(fact, DiagnosisProblem):
                    problem = fact.reason
                else:
                    await lines.write(fact)
        await lines.end(problem)

    def _facts(self, diagnosis: Any) -> Facts:
        profile = profiles()[Technology(diagnosis.technology)]
        return DIAGNOSES[DiagnosisKind(diagnosis.kind)](
            self.prober,
            _host(diagnosis),
            count=diagnosis.count,
            timeout_s=profile.timeout_ms / 1000,
            open_icmp=self._open_socket,
        )


class LineWriter:
    """Writes each line of a diagnosis at once; one that cannot be written now is written with the next."""

    def __init__(self, sessions: Sessions, diagnosis_id: int) -> None:
        self._sessions, self._id = sessions, diagnosis_id
        self._number = 0
        self._unwritten: list[tuple[int, datetime, dict[str, Any]]] = []

    async def write(self, fact: Fact) -> None:
        self._number += 1
        self._unwritten.append((self._number, utc_now(), {"kind": LINE_KINDS[type(fact)], **asdict(fact)}))
        try:
            async with transaction(self._sessions) as session:
                await store.add_lines(session, self._id, self._unwritten)
        except Exception as error:
            self._handle_failure(error)
        else:
            self._unwritten.clear()

    async def end(self, problem: str | None) -> None:
        for _ in range(TRIES):
            try:
                async with transaction(self._sessions) as session:
                    await store.add_lines(session, self._id, self._unwritten)
                    await store.end(session, self._id, problem=problem)
            except Exception as error:
                self._handle_failure(error)
                await asyncio.sleep(RETRY_S)
            else:
                return

    def _handle_failure(self, error: Exception) -> None:
        """Drop lines that are at fault themselves: the rest of the diagnosis goes on without them."""
        _log_failure("diagnosis_not_written", error, diagnosis=self._id, lines=len(self._unwritten))
        if is_entrys_fault(error):
            self._unwritten.clear()


def _log_failure(event: str, error: Exception, **values: Any) -> None:
    log.warning(event, error=repr(error), exc_info=error if is_entrys_fault(error) else None, **values)


def _host(diagnosis: Any) -> str:
    """Return the host that a probe of the site's own kind is sent to."""
    host: str = diagnosis.host or ""
    if diagnosis.probe == ProbeKind.HTTP:
        return http.host_of(Target(0, 0, ProbeKind.HTTP, host, url=diagnosis.url)) or host
    return host
