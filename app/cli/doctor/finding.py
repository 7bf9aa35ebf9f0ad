"""What a check comes to, and how it is looked into without ever hanging."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import asyncpg

from app.postgres.embedded import EmbeddedError
from app.settings import Settings, SettingsError
from probes.resolve import Unresolvable

T = TypeVar("T")


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    what: str
    mend: str | None = None

    def __str__(self) -> str:
        return f"{self.level:<4}  {self.what}{f'. {self.mend}' if self.mend else ''}"


Check = Callable[[Settings], Finding | Awaitable[Finding]]


class Away(Exception):
    """There is no database to look into; `check_database` says why."""


def why(error: Exception) -> str:
    """Our own errors and PostgreSQL's are made for people to read; the text of others may hold anything."""
    if isinstance(error, (SettingsError, EmbeddedError, Unresolvable, asyncpg.PostgresError)):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__


async def in_thread(work: Callable[[], T]) -> T:
    """In a daemon thread: unlike to_thread's, one that hangs holds up neither the loop's end nor the process's."""
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    return await asyncio.wrap_future(outcome)


def nearest(folder: Path) -> Path:
    """The folder itself, or the first above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())
