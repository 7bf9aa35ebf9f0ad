"""Structured logs on stderr: lines for people where it is a terminal, elsewhere JSON, one event per line."""

import logging
import os
import sys

import structlog
from structlog.typing import Processor


def configure(component: str) -> None:
    """Set up structlog and the standard library's logging alike. Tracebacks never show the values of locals."""
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


def _for_people() -> list[Processor]:
    colors = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]


def _as_json() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
