"""Stream a diagnosis as server-sent events: its status, each new line, its end.

Nothing is queued: a stream keeps the number of the last line that it sent and polls for later ones.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from pydantic import BaseModel

from app.core.errors import NotFound
from app.diagnoses import store
from app.diagnoses.models import DiagnosisLine
from app.diagnoses.schemas import DiagnosisOut, LineOut
from app.diagnoses.store import OPEN, DiagnosisView
from app.postgres.engine import Sessions, transaction
from app.web.problem_details import UNAVAILABLE
from app.web.sse import BEAT_S, RECHECK_S, StreamLimit

POLL_S = 0.5
RETRY_MS = 1_000, 3_000  # random, so that clients do not all reconnect at once


async def stream_events(
    sessions: Sessions,
    site_id: int,
    diagnosis_id: int,
    *,
    limit: StreamLimit,
    last_line: int,
    is_allowed: Callable[[], Awaitable[bool]],
) -> AsyncIterator[bytes]:
    """Yield events until the diagnosis or the service ends or the caller loses access.

    `last_line`: the number of the last line that the client has; 0 for none.
    """
    yield f"retry: {random.randint(*RETRY_MS)}\n\n".encode()
    sent_status: tuple[Any, ...] | None = None
    sent_at = checked_at = time.monotonic()
    while True:
        view, lines = await _read(sessions, site_id, diagnosis_id, last_line)
        if view is not None and view.status in OPEN and sent_status != (view.status, view.notice is None):
            sent_status = view.status, view.notice is None
            yield _event("status", last_line, DiagnosisOut.model_validate(store.to_fields(view)))
            sent_at = time.monotonic()
        for line in lines:
            last_line, sent_at = line.number, time.monotonic()
            yield _event("line", last_line, LineOut.model_validate(store.line_fields(line)))
        if view is not None and view.status not in OPEN:
            yield _event("end", last_line, DiagnosisOut.model_validate(store.to_fields(view)))
            return
        if limit.ending:
            return
        if time.monotonic() - sent_at >= BEAT_S:
            yield b": still here\n\n"
            sent_at = time.monotonic()
        await asyncio.sleep(POLL_S)
        if time.monotonic() - checked_at >= RECHECK_S:
            if not await is_allowed():
                return
            checked_at = time.monotonic()


async def _read(
    sessions: Sessions, site_id: int, diagnosis_id: int, last_line: int
) -> tuple[DiagnosisView | None, list[DiagnosisLine]]:
    """Return the view and new lines, or (None, []) while the database is unavailable.

    Lines are read after the status, so a diagnosis that has ended has none that were missed.
    """
    try:
        async with transaction(sessions) as session:
            view = await store.view(session, await store.get_diagnosis(session, site_id, diagnosis_id))
            return view, list(await store.list_lines(session, diagnosis_id, after=last_line))
    except (*UNAVAILABLE, NotFound):
        return None, []


def _event(kind: str, number: int, data: BaseModel) -> bytes:
    return f"event: {kind}\nid: {number}\ndata: {data.model_dump_json()}\n\n".encode()
