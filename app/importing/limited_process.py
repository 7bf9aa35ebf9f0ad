"""Run a function on an untrusted file in a process with limits on memory and time, which may die alone.

Processes are forked from a server that has no threads and has loaded the parsers already (multiprocessing's fork
server): one starts within milliseconds, and inherits none of this process's sockets and threads.
"""

import contextlib
import io
import multiprocessing
import os
import pickle
import resource
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from enum import Enum
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast

from app.core.errors import Fault, Invalid

PRELOADED = ("app.importing.sheets", "app.importing.report")
OUT_OF_MEMORY: Final = 3  # exit status
MAX_OUTCOME: Final = 64 * 2**20  # bytes that are taken back

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    memory_bytes: int
    cpu_s: int
    wall_s: int


LIMITS = Limits(memory_bytes=512 * 2**20, cpu_s=20, wall_s=60)  # a machine may be busy with other things


class ProcessFailed(Exception):
    """The function raised an error of its own: a defect, not a limit."""


def run(work: Callable[Concatenate[bytes, P], T], file: Path, /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `work` returns for the content of `file`. Blocks until then.

    Raises Invalid for a file that `work` refuses, or that takes more memory or time than a process has.
    """
    receiver, sender = _context().Pipe(duplex=False)
    process = _context().Process(target=_serve, args=(sender, LIMITS, work, file, args, kwargs), daemon=True)
    with receiver:
        process.start()
        sender.close()
        try:
            outcome = _receive(receiver, time.monotonic() + LIMITS.wall_s)
        finally:
            process.kill()
            process.join()
    if not outcome:
        raise ProcessFailed("it did not start")
    if len(outcome) == 1:
        raise _beyond_limits()
    kind, content = outcome[1]
    if kind == "failed":
        raise ProcessFailed(content)
    if kind == "invalid":
        raise Invalid(*content)
    return cast(T, content)


def _receive(receiver: Connection, deadline: float) -> list[Any]:
    """Return what the process sent before it died or took too long: first that it started, then its outcome."""
    received: list[Any] = []
    with contextlib.suppress(EOFError, OSError):  # it died, or sends more than is taken
        while len(received) < 2 and receiver.poll(max(0.0, deadline - time.monotonic())):
            received.append(_Outcome(_Frames(receiver.recv_bytes(MAX_OUTCOME))).load())
    return received


class _Frames(io.BytesIO):
    """Reads of a pickle's frames as calls of Python code, between which other threads run."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size)


class _Outcome(pickle.Unpickler):
    """Constructs values and the service's own dataclasses and enumerations, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if module.startswith("app.") or module == "datetime" else None
        is_value = is_dataclass(found) or (isinstance(found, type) and issubclass(found, Enum))
        if not is_value and module != "datetime":
            raise pickle.UnpicklingError(f"{module}.{name}")
        return found


@cache
def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _serve(sender: Connection, limits: Limits, work: Callable[..., Any], file: Path, args: Any, kwargs: Any) -> None:
    """Run in the process: set its limits, then open the file. Nothing that it prints reaches the log: a warning of
    openpyxl or a traceback may quote a cell, such as a contact's number."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    signal.alarm(limits.wall_s)  # ends it even if the process that waits for it is gone
    sender.send_bytes(pickle.dumps(None))
    try:
        sender.send_bytes(pickle.dumps(_outcome(work, file, args, kwargs)))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def _outcome(work: Callable[..., Any], file: Path, args: Any, kwargs: Any) -> tuple[str, Any]:
    try:
        return "done", work(file.read_bytes(), *args, **kwargs)
    except Invalid as error:
        return "invalid", error.faults
    except MemoryError:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return "failed", f"{type(error).__name__} in {where.filename}:{where.lineno}"  # its text may quote the file


def _beyond_limits() -> Invalid:
    return Invalid(
        Fault(
            "file",
            "too_much_inside",
            "Reading the file takes more memory or time than an import may have",
            "Copy only the table into a new workbook",
        )
    )
