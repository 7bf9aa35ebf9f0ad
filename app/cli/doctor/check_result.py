"""The result of a check, and how a check runs without ever blocking the event loop."""

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


class CheckStatus(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class CheckResult:
    status: CheckStatus
    text: str
    remedy: str | None = None

    def __str__(self) -> str:
        return f"{self.status:<4}  {self.text}{f'. {self.remedy}' if self.remedy else ''}"


Check = Callable[[Settings], CheckResult | Awaitable[CheckResult]]


class NotApplicable(Exception):
    """The check needs a running, migrated database, and there is none; `check_database` or `check_schema` says so."""


def describe_error(error: Exception) -> str:
    """Return the message of our own errors and PostgreSQL's; of others the type alone: their text may hold a secret."""
    if isinstance(error, (SettingsError, EmbeddedError, Unresolvable, asyncpg.PostgresError)):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return "timed out" if isinstance(error, TimeoutError) else type(error).__name__


async def in_thread(work: Callable[[], T]) -> T:
    """Run in a daemon thread: unlike to_thread's, one that hangs delays neither the loop's end nor the process's."""
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    return await asyncio.wrap_future(outcome)


def nearest_existing(folder: Path) -> Path:
    """Return the folder, or the first above it that exists."""
    return next(candidate for candidate in (folder, *folder.parents) if candidate.exists())
