"""Structured logs on stderr: lines for people where it is a terminal, elsewhere JSON, one event per line.

Whatever is logged passes `redact`, and so do exceptions that nobody caught and warnings.
"""

import logging
import os
import sys
import threading
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import ExcInfo, Processor

from app.core.redaction import format_exception, redact


def configure(component: str) -> None:
    """Set up structlog and the standard library's logging alike. Tracebacks show no values."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering = _for_people() if sys.stderr.isatty() else _as_json()
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(component=component)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("app").setLevel(logging.INFO)
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)  # the worker logs and counts its jobs itself
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda hook: _log_uncaught(hook.exc_type, hook.exc_value, hook.exc_traceback)
    sys.unraisablehook = lambda hook: _log_uncaught(hook.exc_type, hook.exc_value, hook.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, where: TracebackType | None) -> None:
    if error is not None and not issubclass(kind, KeyboardInterrupt | SystemExit):
        structlog.get_logger().error("uncaught_exception", exc_info=(kind, error, where))


def _for_people() -> list[Processor]:
    colors = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return [redact, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_print_exception)]


def _print_exception(output: TextIO, exc_info: ExcInfo) -> None:
    output.write("\n" + format_exception(exc_info))


def _as_json() -> list[Processor]:
    return [redact, structlog.processors.ExceptionRenderer(format_exception), structlog.processors.JSONRenderer()]
