"""Receivers of notifications on loopback: HTTP and SMTP servers that record what arrives and misbehave on request."""

import asyncio
import contextlib
import email
import json
import re
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default as email_policy
from enum import StrEnum
from http import HTTPStatus
from typing import Any
from uuid import UUID

from aiosmtpd.smtp import SMTP, Envelope, Session

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
MAX_BODY = 10_000_000


class Manner(StrEnum):
    """`whole`; `hang`: no byte until the client gives up; `trickle`: a byte each 0.2 s; `close`: no answer."""

    WHOLE = "whole"
    HANG = "hang"
    TRICKLE = "trickle"
    CLOSE = "close"


@dataclass(frozen=True)
class Reply:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"id": "receiver-1"}'
    manner: Manner = Manner.WHOLE


OK = Reply()
FAILURE = Reply(500, body=b"not today")
HANG, TRICKLE, CLOSE = Reply(manner=Manner.HANG), Reply(manner=Manner.TRICKLE), Reply(manner=Manner.CLOSE)


def busy(retry_after: float | str) -> Reply:
    return Reply(429, {"Retry-After": str(retry_after)})


def redirect(url: str) -> Reply:
    return Reply(302, {"Location": url})


@dataclass(frozen=True)
class ReceivedMessage:
    """A request, or an e-mail to one recipient, as it arrived."""

    at: datetime
    path: str  # or the e-mail's recipient
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    status: int | None  # what was answered; None: nothing

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def title(self) -> str:
        """The subject of an e-mail, or the title in a webhook's body."""
        return self.headers["subject"] if "subject" in self.headers else str(self.json()["title"])

    @property
    def key(self) -> UUID | None:
        """Of a header of its own, the Message-ID, or else the last line that has one."""
        for name in ("x-sinyal-key", "message-id"):
            if found := _UUID.search(self.headers.get(name, "")):
                return UUID(found[0])
        keys = _UUID.findall(self.text)
        return UUID(keys[-1]) if keys else None


class _Receiver:
    """What both have in common: a server of its own loop in its own thread, replies by path, and what arrived."""

    def __init__(self) -> None:
        self.port = 0
        self.received: list[ReceivedMessage] = []
        self._replies: dict[str, list[Reply]] = defaultdict(lambda: [OK])
        self._lock = threading.Lock()

    def reply(self, path: str, *replies: Reply) -> None:
        """Answer the path with these, one after the other, and with the last one from then on."""
        with self._lock:
            self._replies[path] = list(replies)

    def accepted(self, path: str | None = None) -> list[ReceivedMessage]:
        """Return what was answered with success, in the order of arrival."""
        return [one for one in list(self.received) if one.accepted and path in (None, one.path)]

    def _next_reply(self, path: str) -> Reply:
        with self._lock:
            replies = self._replies[path]
            return replies.pop(0) if len(replies) > 1 else replies[0]

    def _serve(self) -> contextlib.AbstractAsyncContextManager[asyncio.Server]:
        raise NotImplementedError

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve until left; connections that still hang are cut off."""
        loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

        async def serve() -> None:
            async with self._serve() as server:
                self.port = server.sockets[0].getsockname()[1]
                ready.set()
                await over.wait()

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(serve())

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert ready.wait(10)
        try:
            yield
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join(10)


class HttpReceiver(_Receiver):
    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def _serve(self) -> AsyncIterator[asyncio.Server]:
        server = await asyncio.start_server(self._answer_cut_off, "127.0.0.1", 0)
        try:
            yield server
        finally:
            server.close()

    async def _answer_cut_off(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client gave up, or the receiver ends
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection."""
        path, headers = _parse_head(await reader.readuntil(b"\r\n\r\n"))
        length = int(headers.get("content-length", "0"))
        assert length <= MAX_BODY
        body = await reader.readexactly(length)
        reply = self._next_reply(path)
        status = reply.status if reply.manner is Manner.WHOLE else None
        self.received.append(ReceivedMessage(datetime.now(UTC), path, headers, body, status))
        if reply.manner is Manner.CLOSE:
            return
        if reply.manner is Manner.HANG:
            await reader.read()  # until the client gives up
            return
        trickles = reply.manner is Manner.TRICKLE
        writer.write(_head(reply, length=MAX_BODY if trickles else len(reply.body)))
        while trickles:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.2)
        writer.write(reply.body)
        await writer.drain()


class SmtpReceiver(_Receiver):
    """Replies are by recipient; of a reply only status and manner count: 2xx accepts, 4xx and 5xx refuse the data.

    Lines that end without CR are refused, as Postfix does.
    """

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @asynccontextmanager
    async def _serve(self) -> AsyncIterator[asyncio.Server]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(self, hostname="receiver.example", loop=loop, enable_SMTPUTF8=True), "127.0.0.1", 0
        )
        try:
            yield server
        finally:
            server.close()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        if b"\n" in envelope.content.replace(b"\r\n", b""):
            return "550 5.5.2 bare line feed"
        status = 250
        for recipient in envelope.rcpt_tos:
            reply = self._next_reply(recipient)
            answered = reply.status if reply.manner is Manner.WHOLE else None
            self.received.append(_parse_email(recipient, envelope.content, answered))
            if reply.manner is not Manner.WHOLE:
                await asyncio.Event().wait()  # until the connection ends
            status = max(status, reply.status)
        return f"{status} receiver says {status}"


def _parse_head(head: bytes) -> tuple[str, dict[str, str]]:
    request, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return request.split(" ")[1], {name.strip().lower(): value.strip() for name, _, value in pairs}


def _head(reply: Reply, *, length: int) -> bytes:
    headers: dict[str, Any] = {**reply.headers, "Content-Length": length, "Connection": "close"}
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def _parse_email(recipient: str, content: bytes, status: int | None) -> ReceivedMessage:
    """Decode the plain text of the e-mail."""
    message = email.message_from_bytes(content, policy=email_policy)
    assert isinstance(message, EmailMessage)
    plain = message.get_body(("plain", "html"))
    text = str(plain.get_content()) if plain is not None else ""
    headers = {name.lower(): str(value) for name, value in message.items()}
    return ReceivedMessage(datetime.now(UTC), recipient, headers, text.encode(), status)


@contextmanager
def http_receiver() -> Iterator[HttpReceiver]:
    receiver = HttpReceiver()
    with receiver.running():
        yield receiver


@contextmanager
def smtp_receiver() -> Iterator[SmtpReceiver]:
    receiver = SmtpReceiver()
    with receiver.running():
        yield receiver
