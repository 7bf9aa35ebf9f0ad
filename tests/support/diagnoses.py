"""Diagnoses as the worker stores them, without a network."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.diagnoses import store
from app.diagnoses.models import Diagnosis, DiagnosisKind, DiagnosisStatus

RESULTS: list[dict[str, Any]] = [
    {"kind": "target", "host": "desa.example.id", "address": "198.51.100.20"},
    {"kind": "packet", "number": 1, "rtt_ms": 21.5, "source": None, "problem": None},
    {"kind": "packet", "number": 2, "rtt_ms": None, "source": "203.0.113.1", "problem": "Packet filtered"},
    {
        "kind": "summary",
        "sent": 2,
        "received": 1,
        "loss_pct": 50.0,
        "rtt_min_ms": 21.5,
        "rtt_avg_ms": 21.5,
        "rtt_max_ms": 21.5,
    },
]


async def make_diagnosis(session: AsyncSession, site_id: int) -> int:
    """Insert a diagnosis that is done; return its id."""
    async with session.begin():
        diagnosis = Diagnosis(
            site_id=site_id,
            kind=DiagnosisKind.PING,
            count=2,
            requested_by="ana",
            requested_at=utc_now(),
            status=DiagnosisStatus.RUNNING,
            started_at=utc_now(),
        )
        session.add(diagnosis)
        await session.flush()
        await store.add_lines(session, diagnosis.id, [(n, utc_now(), result) for n, result in enumerate(RESULTS, 1)])
        await store.end(session, diagnosis.id, problem=None)
        return diagnosis.id


async def age(session: AsyncSession, diagnosis_id: int, seconds: float) -> None:
    async with session.begin():
        await session.execute(
            text(
                "UPDATE diagnosis SET requested_at = requested_at - cast(:by AS interval), "
                "started_at = started_at - cast(:by AS interval) WHERE id = :id"
            ),
            {"id": diagnosis_id, "by": timedelta(seconds=seconds)},
        )
