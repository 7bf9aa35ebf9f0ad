"""Diagnoses that somebody asked for: run beside the rounds, a few at once, and written down as they go."""

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
from app.profiles import Technology, profiles
from probes import diagnose, http
from probes.contract import ProbeKind, Target
from probes.diagnose import DiagnosisProblem, Fact, Facts, Hop, PacketResult, PingSummary, ResolvedHost, RouteEnd
from probes.exchange import OpenSocket, open_socket
from probes.sweep import Prober

log = structlog.get_logger()

AT_ONCE = 3
TRIES, TRY_AGAIN_S = 20, 1.0  # while the database is away at the end
STOPPED = "the worker was stopped before it was done"

LOOKS = {DiagnosisKind.PING: diagnose.ping, DiagnosisKind.TRACEROUTE: diagnose.traceroute}
WORDS: dict[type, str] = {
    ResolvedHost: "target",
    PacketResult: "packet",
    PingSummary: "summary",
    Hop: "hop",
    RouteEnd: "route",
}


class Diagnoses:
    """`opened` makes the sockets: the tests' own come from elsewhere."""

    def __init__(self, sessions: Sessions, prober: Prober, *, opened: OpenSocket = open_socket) -> None:
        self._sessions, self._prober, self._opened = sessions, prober, opened
        self._running: dict[int, asyncio.Task[None]] = {}
        self._away = False

    async def take(self) -> None:
        """Those that wait, as far as there is room; they end by themselves."""
        free = AT_ONCE - len(self._running)
        if free <= 0:
            return
        try:
            async with transaction(self._sessions) as session:
                claimed = await store.claim(session, max_count=free)
        except Exception as error:
            if not self._away:
                log.warning("diagnoses_not_taken", error=type(error).__name__)
            self._away = True
            return
        self._away = False
        for asked in claimed:
            task = self._running[asked.id] = asyncio.create_task(self._run(asked))
            task.add_done_callback(partial(self._over, asked.id))

    def _over(self, diagnosis_id: int, task: asyncio.Task[None]) -> None:
        del self._running[diagnosis_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("diagnosis_failed", diagnosis=diagnosis_id, error=repr(error))

    async def stop(self) -> None:
        """Those under way end here, and say so."""
        running = dict(self._running)
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)
        if running:
            async with transaction(self._sessions) as session:
                for number in running:
                    await store.end(session, number, problem=STOPPED)

    async def _run(self, asked: Any) -> None:
        notes = Notes(self._sessions, asked.id)
        problem = None
        async with aclosing(self._look(asked)) as facts:
            async for fact in facts:
                if isinstance(fact, DiagnosisProblem):
                    problem = fact.reason
                else:
                    await notes.write(fact)
        await notes.end(problem)

    def _look(self, asked: Any) -> Facts:
        profile = profiles()[Technology(asked.technology)]
        return LOOKS[DiagnosisKind(asked.kind)](
            self._prober, _host(asked), count=asked.count, timeout_s=profile.timeout_ms / 1000, opened=self._opened
        )


class Notes:
    """What one diagnosis found, in short transactions; what cannot be written now is written with what comes next."""

    def __init__(self, sessions: Sessions, diagnosis_id: int) -> None:
        self._sessions, self._id = sessions, diagnosis_id
        self._number = 0
        self._unwritten: list[tuple[int, datetime, dict[str, Any]]] = []

    async def write(self, fact: Fact) -> None:
        self._number += 1
        self._unwritten.append((self._number, utc_now(), {"kind": WORDS[type(fact)], **asdict(fact)}))
        try:
            async with transaction(self._sessions) as session:
                await store.add_lines(session, self._id, self._unwritten)
        except Exception as error:
            log.warning("diagnosis_not_written", diagnosis=self._id, error=type(error).__name__)
        else:
            self._unwritten.clear()

    async def end(self, problem: str | None) -> None:
        for _ in range(TRIES):
            try:
                async with transaction(self._sessions) as session:
                    await store.add_lines(session, self._id, self._unwritten)
                    await store.end(session, self._id, problem=problem)
            except Exception as error:
                log.warning("diagnosis_not_written", diagnosis=self._id, error=type(error).__name__)
                await asyncio.sleep(TRY_AGAIN_S)
            else:
                return


def _host(asked: Any) -> str:
    """What a look of the site's own kind would be sent to."""
    if asked.probe == ProbeKind.HTTP:
        return http.host_of(Target(0, 0, ProbeKind.HTTP, asked.host or "", url=asked.url)) or asked.host or ""
    return asked.host or ""
