"""What the commands share: settings, event loop, output and errors."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from app.settings import Settings

T = TypeVar("T")


class OutputClosed(Exception):
    """Whoever read standard output has closed it, as `| head` does. No OSError: it says nothing about the database."""


def fail(problem: str, code: int = 2) -> NoReturn:
    typer.echo(f"sinyal: {problem}", err=True)
    raise SystemExit(code)


def configured(component: str, *, port: int | None = None) -> "Settings":
    """Load the settings and set up the log of a command. Raises SettingsError."""
    from app.core import logging
    from app.settings import settings

    loaded = settings()
    if port is not None:
        loaded.port = port
    logging.configure(component)
    return loaded


def run(work: Coroutine[object, object, T]) -> T:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def say(line: str) -> None:
    """Write a line to standard output at once. Raises OutputClosed."""
    write(line + "\n")


def announce(line: str) -> None:
    """Write a line of a service, which goes on when nobody reads its output any more."""
    try:
        say(line)
    except OutputClosed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else flushing it fails at the exit


def write(text: str) -> None:
    """Write to standard output at once. Raises OutputClosed."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise OutputClosed from None


def end_by_sigpipe() -> NoReturn:
    """End as other tools do whose reader has gone: quietly, killed by SIGPIPE (141 in a shell)."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    raise SystemExit(128 + signal.SIGPIPE)
