"""Posted forms: bounded before they are parsed, and parsed beside the event loop where they are large."""

from collections.abc import AsyncIterator, Iterator, Mapping
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from app.core.errors import Fault, Invalid, TooLarge
from app.core.validation import MESSAGES

CSRF_FIELD, KEY_FIELD = "csrf_token", "idempotency_key"
MAX_FIELDS, MAX_FORM = 2_000, 400_000  # fields; bytes of a form without a file, as it is sent
PIECE = 100_000  # bytes of an uploaded file that are passed on at once
LARGE = 20_000  # bytes; beyond, parsing takes over 10 ms
URLENCODED = "application/x-www-form-urlencoded"

Fields = list[tuple[str, str | UploadFile]]


class Form(Mapping[str, str]):
    """The texts of a posted form, stripped, without the fields that every form has; the first of each name."""

    def __init__(self, data: FormData) -> None:
        self.data = data
        own = {CSRF_FIELD, KEY_FIELD}
        self._texts = {
            name: value.strip()
            for name, value in reversed(data.multi_items())
            if isinstance(value, str) and name not in own
        }

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def all(self, name: str) -> list[str]:
        return [value for value in self.data.getlist(name) if isinstance(value, str)]

    def file(self, name: str) -> UploadFile | None:
        """Return an uploaded file; None where none was chosen."""
        value = self.data.get(name)
        return value if isinstance(value, UploadFile) and value.filename else None

    def secret(self, name: str) -> str:
        """Return a password as it was typed, spaces and all; "" where there is none."""
        return next(iter(self.all(name)), "")


async def read_form(request: Request) -> Form:
    """Raises TooLarge; Invalid for what is no form."""
    if not request.headers.get("content-type", "").lower().startswith(URLENCODED):
        return Form(await request.form(max_fields=MAX_FIELDS, max_files=1))
    body = await request.body()
    if len(body) > MAX_FORM or body.count(b"&") >= MAX_FIELDS:
        raise TooLarge("At most {limit} MB per request: split it into several", values={"limit": MAX_FORM / 1e6})
    return Form(FormData(await run_in_threadpool(_parse, body) if len(body) > LARGE else _parse(body)))


async def pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(PIECE):
        yield piece


def _parse(body: bytes) -> Fields:
    try:
        return [*parse_qsl(body.decode(), keep_blank_values=True, errors="replace")]
    except UnicodeDecodeError as error:
        raise Invalid(Fault("body", "string_unicode", MESSAGES["string_unicode"])) from error
