"""Refuses requests whose path, query or headers are too long or not Unicode, before anything is done with them."""

import re
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import Fault, HeaderTooLarge, Invalid, Problem
from app.core.validation import MAX_GIVEN, MESSAGES
from app.web.problem_details import problem_response

UTF_8 = re.compile(rb";\s*charset=\"?utf-?8\"?(?=\s*(;|$))")
MAX_PATH, MAX_QUERY = 2_000, 8_000  # bytes
MAX_HEADER, MAX_HEADERS = 8_000, 32_000  # bytes of one, and of all with their names


class HeadLimit:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = _find_problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem_response(Request(scope), problem)(scope, receive, send)


def _find_problem(scope: Scope) -> Problem | None:
    total = 0
    for name, value in scope["headers"]:
        size = len(value)
        total += len(name) + size
        if size > MAX_HEADER or total > MAX_HEADERS:
            return HeaderTooLarge(name.decode("latin-1")[:MAX_GIVEN], MAX_HEADER)
        if name == b"content-type" and _names_a_codec(value.lower()):
            return Invalid(_not_unicode("content-type"))
    path, query = scope.get("raw_path") or scope["path"].encode(), scope["query_string"]
    if len(path) > MAX_PATH:
        return Invalid(_too_long("path", MAX_PATH))
    if len(query) > MAX_QUERY:
        longest = max(query.split(b"&"), key=len)
        return Invalid(_too_long(_parameter_name(longest), MAX_QUERY))
    if not _is_unicode(path):
        return Invalid(_not_unicode("path"))
    if not _is_unicode(query):
        wrong = next((part for part in query.split(b"&") if not _is_unicode(part)), query)
        return Invalid(_not_unicode(_parameter_name(wrong)))
    return None


def _names_a_codec(content_type: bytes) -> bool:
    """Whether a form is to be decoded as something else than UTF-8: some of Python's codecs take minutes for a MB."""
    return content_type.lstrip().startswith(b"multipart/") and b"charset" in UTF_8.sub(b"", content_type)


def _is_unicode(encoded: bytes) -> bool:
    if encoded.isascii() and b"%" not in encoded:
        return True
    try:
        unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return False
    return True


def _parameter_name(part: bytes) -> str:
    return unquote_to_bytes(part[: 3 * MAX_GIVEN].partition(b"=")[0]).decode(errors="replace")[:MAX_GIVEN]


def _too_long(field: str, limit: int) -> Fault:
    return Fault(field, "string_too_long", MESSAGES["string_too_long"], values={"max_length": limit})


def _not_unicode(field: str) -> Fault:
    return Fault(field, "string_unicode", MESSAGES["string_unicode"])
