"""What logs never show: the values in exceptions' messages, and secrets that stand in a text.

The message of an exception may hold whatever a request held, so a traceback is logged without messages: where it
happened, and the kinds of exceptions. Exceptions whose messages come from the system or from our own names keep them.
"""

import re
import traceback
from collections.abc import Iterator

from structlog.typing import EventDict, ExcInfo, WrappedLogger

from app.core.pii import MASK, PERSONAL, SECRET

WITH_MESSAGE = (OSError, AttributeError, ImportError, NameError, MemoryError)
ONE_LINE = {"asyncio", "py.warnings"}  # loggers that append a representation of the values concerned
MEMBERS = "|".join(sorted({*SECRET, *PERSONAL, "sinyal_session", "authorization", "x-csrf-token", "csrf_token"}))
PATTERNS = (
    (re.compile(r"\b(sinyal_|sd-|sp-)[A-Za-z0-9_-]{16,}"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer\s+)[^\s\"',;]+"), rf"\1{MASK}"),
    (re.compile(r"(/enrol/)[^/\s\"'?]+"), rf"\1{MASK}"),
    (re.compile(r"(://[^\s:/@]*:)[^\s@/]+@"), rf"\1{MASK}@"),
    (re.compile(rf"(?i)((?:{MEMBERS})[\"']?\s*[=:]\s*)(?!bearer\b)(\"[^\"]*\"|'[^']*'|[^\s,;&]+)"), rf"\1{MASK}"),
)


def format_exception(exc_info: ExcInfo) -> str:
    """Return the traceback of an exception and of those before it, without messages."""
    return "".join(_lines(exc_info[1], set()))


def describe(error: BaseException) -> str:
    """Return the kind of an exception, with its SQLSTATE, and its message where that holds no values."""
    state = getattr(getattr(error, "orig", error), "sqlstate", None)
    kind = type(error).__qualname__ + (f" (SQLSTATE {state})" if state else "")
    return f"{kind}: {redact_text(str(error))}" if isinstance(error, WITH_MESSAGE) else kind


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Processor: hide the values of exceptions and warnings, and whatever looks like a secret, in every text."""
    error = event.get("exc_info")
    if isinstance(error, BaseException) and event.get("error") == repr(error):
        event["error"] = describe(error)
    if event.get("logger") in ONE_LINE:
        event["event"] = _first_words(event["logger"], str(event["event"]))
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = redact_text(value)
    return event


def redact_text(text: str) -> str:
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _first_words(logger: str, text: str) -> str:
    """Of a warning its place and category; of asyncio's reports what happened, not to which call or task."""
    return ":".join(text.split(":", 3)[:3]) if logger == "py.warnings" else re.split(r"[\n(<]", text)[0].strip()


def _lines(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    if error.__cause__ is not None:
        yield from _lines(error.__cause__, seen)
        yield "\nwhich caused:\n\n"
    elif error.__context__ is not None and not error.__suppress_context__:
        yield from _lines(error.__context__, seen)
        yield "\nduring whose handling occurred:\n\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield describe(error) + "\n"
    if isinstance(error, BaseExceptionGroup):
        for number, part in enumerate(error.exceptions, 1):
            yield f"\n{number} of {len(error.exceptions)} in the group:\n\n"
            yield from _lines(part, seen)
