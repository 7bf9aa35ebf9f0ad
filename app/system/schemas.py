from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.core.words import Words
from app.system.findings import FindingSeverity, Health, SystemCheck

SYSTEM: dict[str, Any] = {
    "generated_at": "2026-11-24T14:05:00+08:00",
    "version": "0.1.0",
    "health": "attention",
    "summary": {
        "id": "Pemantauan berjalan; hal yang perlu diperhatikan: 1.",
        "en": "Monitoring itself works; points that need attention: 1.",
    },
    "findings": [
        {
            "check": "canary_silent",
            "severity": "warning",
            "message": {"id": "1 dari 2 canary tidak menjawab", "en": "1 of 2 canaries do not answer"},
            "suggestion": {
                "id": "Selama yang lain menjawab, pengukuran berjalan. Ganti yang diam di SINYAL_CANARIES",
                "en": "While another one answers, measuring goes on. Replace the silent ones in SINYAL_CANARIES",
            },
        }
    ],
    "worker": {
        "beat_at": "2026-11-24T14:04:58+08:00",
        "beat_age_s": 1.8,
        "started_at": "2026-11-20T06:00:00+08:00",
        "blind_since": None,
        "deaf_since": None,
    },
    "counting": [{"stage": "hours", "upto": "2026-11-24T14:00:00+08:00", "lag_s": 0, "waiting": 12}],
    "details": {
        "probing": {
            "sites": 812,
            "sweeps": 345_600,
            "readings": 5_612_544,
            "faults": 3,
            "sweep_s": 4.12,
            "sweep_late_s": 0.08,
            "overruns": 2,
            "misfires": 1,
            "missed_slots": 0,
            "buffered": 14,
            "buffer_limit": 500_000,
            "lost": 0,
            "writes": 115_200,
            "failed_writes": 0,
        },
        "canaries": [{"canary": 1, "address": "203.0.113.1", "answers": True}],
        "inbox": {"waiting": 3, "age_s": 0.4, "refused": 0},
        "database": {
            "size_bytes": 4_812_374_016,
            "postgres": "18.1",
            "schema": "20261120_contract_days",
            "is_current": True,
            "raw_retention_days": 35,
            "tables": [{"name": "measurement", "size_bytes": 3_912_114_176}],
        },
        "api": {
            "streams": 12,
            "max_streams": 1_000,
            "connections_in_use": 1,
            "max_connections": 20,
            "rejected_sites": 0,
            "python": "3.13.5",
        },
    },
}


class CountingStage(StrEnum):
    """What is counted of the past: `hours` and `days` of latency, `availability` by day, contract `months`."""

    HOURS = "hours"
    DAYS = "days"
    AVAILABILITY = "availability"
    MONTHS = "months"


class SystemFindingOut(BaseModel):
    check: SystemCheck = Field(description="what was found")
    severity: FindingSeverity = Field(description="whether something is not measured or shown now")
    message: Words = Field(description="what is wrong")
    suggestion: Words = Field(description="what it means, and what to do about it")


class WorkerOut(BaseModel):
    beat_at: datetime | None = Field(description="when the worker last wrote; null: never")
    beat_age_s: float | None = Field(description="seconds since then")
    started_at: datetime | None = Field(description="when the worker started")
    blind_since: datetime | None = Field(description="since when no canary answers; null: they do")
    deaf_since: datetime | None = Field(
        description="since when it is not proven that reports of devices can reach us; null: it is"
    )


class StageOut(BaseModel):
    stage: CountingStage = Field(description="what is counted")
    upto: datetime | None = Field(
        description="counted up to here; of months: the first that is due and open, null where none is",
    )
    lag_s: float = Field(description="seconds behind what is over and due")
    waiting: int = Field(description="sites' hours, days or months that changed since, to be counted again")


class ProbingOut(BaseModel):
    """Counts are since the worker's start."""

    sites: int = Field(description="sites probed from here")
    sweeps: int = Field(description="sweeps started")
    readings: int = Field(description="readings taken")
    faults: int = Field(description="of them, those that failed on our side")
    sweep_s: float = Field(description="seconds that the last sweep took")
    sweep_late_s: float = Field(description="of them, those beyond what its packets and timeouts take at most")
    overruns: int = Field(description="sweeps that took longer than their packets could")
    misfires: int = Field(description="runs of a job that were skipped because they would have started too late")
    missed_slots: int = Field(description="seconds in which no probe was sent")
    buffered: int = Field(description="readings that wait for the database, or for a canary's answer")
    buffer_limit: int = Field(description="readings that the buffer holds at most")
    lost: int = Field(description="readings lost because the buffer was full, or rejected")
    writes: int = Field(description="write transactions committed")
    failed_writes: int = Field(description="write transactions that failed")


class CanaryOut(BaseModel):
    canary: int = Field(description="its number in our settings")
    address: str = Field(description="its address")
    answers: bool = Field(description="whether it answered last")


class InboxOut(BaseModel):
    waiting: int = Field(description="reports of devices that are not processed yet, counted up to 100000")
    age_s: float = Field(description="seconds that the oldest of them has waited")
    refused: int = Field(description="reports that could not be processed and are set aside")


class TableOut(BaseModel):
    name: str = Field(description="name of the table", examples=["measurement"])
    size_bytes: int = Field(description="its bytes with its indexes and partitions")


class DatabaseOut(BaseModel):
    size_bytes: int = Field(description="bytes of the whole database")
    postgres: str = Field(description="version of PostgreSQL")
    schema_version: str = Field(alias="schema", description="the newest migration that was applied")
    is_current: bool = Field(description="whether that is the one which this version of the service needs")
    raw_retention_days: int = Field(description="days for which single readings are kept")
    tables: list[TableOut] = Field(description="the largest tables")


class ApiOut(BaseModel):
    """Of the process that answers."""

    streams: int = Field(description="open streams")
    max_streams: int = Field(description="open streams at most")
    connections_in_use: int = Field(description="connections to the database that are in use")
    max_connections: int = Field(description="connections to the database at most")
    rejected_sites: int = Field(description="sites whose status cannot be shown")
    python: str = Field(description="version of Python")


class SystemDetails(BaseModel):
    probing: ProbingOut = Field(description="probing from the centre")
    canaries: list[CanaryOut] = Field(description="what shows that we can see")
    inbox: InboxOut = Field(description="reports of devices on their way")
    database: DatabaseOut = Field(description="PostgreSQL")
    api: ApiOut = Field(description="the API")


class SystemOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [SYSTEM]})

    generated_at: datetime
    version: str = Field(description="version of the service")
    health: Health = Field(description="whether monitoring itself works")
    summary: Words = Field(description="the same in a sentence")
    findings: list[SystemFindingOut] = Field(description="what is wrong with the service, critical first")
    worker: WorkerOut = Field(description="what measures")
    counting: list[StageOut] = Field(description="how far the past is counted")
    details: SystemDetails | None = Field(description="for admins and operators of the province; null for others")
