"""What every command shares: its settings, its loop, and how it speaks."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from app.settings import Settings


def fail(problem: str, code: int = 2) -> NoReturn:
    typer.echo(f"sinyal: {problem}", err=True)
    raise SystemExit(code)


def configured(component: str, *, port: int | None = None) -> "Settings":
    from app.core import logging
    from app.settings import settings

    found = settings()
    if port is not None:
        found.port = port
    logging.configure(component)
    return found


def run(work: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
