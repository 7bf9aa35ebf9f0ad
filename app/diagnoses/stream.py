"""A diagnosis as server-sent events: its status, each line once it is there, its end.

Nothing is queued: a stream knows the number of the line that it has told and reads what came after it.
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
from app.diagnoses.store import OPEN, Shown
from app.postgres.engine import Sessions, transaction
from app.web.problem_details import UNAVAILABLE
from app.web.sse import BEAT_S, LOOK_S, StreamLimit

POLL_S = 0.5
BACK_MS = 1_000, 3_000


async def tell(
    sessions: Sessions,
    site_id: int,
    diagnosis_id: int,
    *,
    room: StreamLimit,
    told: int,
    is_allowed: Callable[[], Awaitable[bool]],
) -> AsyncIterator[bytes]:
    """`told`: the number of the last line that the reader has."""
    yield f"retry: {random.randint(*BACK_MS)}\n\n".encode()
    known: tuple[Any, ...] | None = None
    told_at = looked_at = time.monotonic()
    while True:
        shown, lines = await _news(sessions, site_id, diagnosis_id, told)
        if shown is not None and known != (known := (shown.status, shown.notice is None)) and shown.status in OPEN:
            yield _event("status", told, DiagnosisOut.model_validate(store.present(shown)))
            told_at = time.monotonic()
        for line in lines:
            told, told_at = line.number, time.monotonic()
            yield _event("line", told, LineOut.model_validate(store.present_line(line)))
        if shown is not None and shown.status not in OPEN:
            yield _event("end", told, DiagnosisOut.model_validate(store.present(shown)))
            return
        if room.ending:
            return
        if time.monotonic() - told_at >= BEAT_S:
            yield b": still here\n\n"
            told_at = time.monotonic()
        await asyncio.sleep(POLL_S)
        if time.monotonic() - looked_at >= LOOK_S:
            if not await is_allowed():
                return
            looked_at = time.monotonic()


async def _news(
    sessions: Sessions, site_id: int, diagnosis_id: int, told: int
) -> tuple[Shown | None, list[DiagnosisLine]]:
    """The lines are read last: one that is over has none after them. Nothing while the database is away."""
    try:
        async with transaction(sessions) as session:
            shown = await store.show(session, await store.get_diagnosis(session, site_id, diagnosis_id))
            return shown, list(await store.list_lines(session, diagnosis_id, after=told))
    except (*UNAVAILABLE, NotFound):
        return None, []


def _event(kind: str, number: int, data: BaseModel) -> bytes:
    return f"event: {kind}\nid: {number}\ndata: {data.model_dump_json()}\n\n".encode()
