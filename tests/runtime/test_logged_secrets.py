"""A real `sinyal api` process is sent secrets through every way to fail; its output holds none of them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.access import api_tokens
from app.access.models import Role
from app.api.app import API
from app.core.redaction import describe, format_exception, redact
from app.postgres.engine import open_engine, open_sessions, transaction
from app.settings import ROOT
from tests.access.browser import account
from tests.conftest import drop_database, make_database
from tests.support.demo_process import free_port

pytestmark = pytest.mark.real_time

PASSWORD, PHONE, CODE = "rahasia kata sandi 7713", "0812-5550-7713", "K7QX2MRD"
DEVICE, TOKEN, COOKIE, PROBER = "sd-" + "d" * 43, "sinyal_" + "t" * 43, "c" * 43, "sp-" + "p" * 43
SECRETS = {"password": PASSWORD, "phone": PHONE, "code": CODE, "device": DEVICE, "token": TOKEN, "cookie": COOKIE}
SECRETS["prober"] = PROBER

# The API with routes that fail as bugs of ours would, each with what it was sent in the exception's message.
BUGGY = """
import asyncio, functools, threading, warnings
from fastapi import APIRouter, Request
from sqlalchemy import text
from app.console.page import ConsoleRoute
from app.runtime import server
from app.settings import settings
from app.web.deps import Session

make_app = server.make_app

def make_buggy_app():
    app = make_app()

    @app.post("/bug/{kind}")
    async def bug(kind: str, request: Request, session: Session) -> dict[str, int]:
        sent = (await request.body()).decode() + str(dict(request.headers)) + str(request.url)
        if kind == "value":
            raise ValueError(sent)
        if kind == "cause":
            try:
                {}[sent]
            except KeyError as error:
                raise RuntimeError(sent) from error
        if kind == "group":
            raise ExceptionGroup(sent, [ValueError(sent), KeyError(sent)])
        if kind == "thread":
            thread = threading.Thread(target=lambda: int(sent))
            thread.start()
            thread.join()
        if kind == "task":
            async def fail():
                raise ValueError(sent)
            asyncio.get_running_loop().create_task(fail(), name=sent)
            await asyncio.sleep(0)
        if kind == "callback":
            asyncio.get_running_loop().call_soon(functools.partial(int, sent))
        if kind == "unraisable":
            class Broken:
                def __del__(self):
                    raise ValueError(sent)
            Broken()
        if kind == "warning":
            warnings.warn(sent)
        if kind == "data":
            await session.execute(text("SELECT CAST(CAST(:sent AS text) AS integer)"), {"sent": sent})
        if kind == "constraint":
            await session.execute(
                text("INSERT INTO sign_in_failure (subject, failures, last_at) VALUES (:sent, NULL, now())"),
                {"sent": sent[:2000]},
            )
        if kind == "timeout":
            await session.execute(text("SELECT pg_sleep(5), CAST(:sent AS text)"), {"sent": sent})
        return {"answer": sent} if kind == "response" else {}

    pages = APIRouter(route_class=ConsoleRoute)

    @pages.post("/console/bug")
    async def bug_of_a_page(request: Request):
        raise LookupError(str(await request.form()) + str(dict(request.headers)) + str(request.url))

    app.include_router(pages)
    app.router.routes.insert(0, app.router.routes.pop())  # before the page for unknown addresses
    return app

server.make_app = make_buggy_app
server.run_api(settings(), workers=1)
"""
KINDS = [
    "value",
    "cause",
    "group",
    "thread",
    "task",
    "callback",
    "unraisable",
    "warning",
    "data",
    "constraint",
    "timeout",
    "response",
]


@dataclass
class Process:
    url: str
    port: int
    log: Path
    process: subprocess.Popen[bytes]

    async def end(self) -> str:
        """Stop it; return all that it has written."""
        self.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self.process.wait, 20)
        return self.log.read_text()


@pytest.fixture
async def buggy(server_url: str, migrated_template: str, tmp_path: Path) -> AsyncIterator[Process]:
    url = await make_database(server_url, migrated_template)
    engine = open_engine(url, name="test")
    sessions = open_sessions(engine)
    async with transaction(sessions) as session:
        await api_tokens.create_token(session, name="sari", role=Role.PROVINCE_ADMIN)
    async with sessions() as session:
        await account(session, "dewi")
    await engine.dispose()
    log, port = tmp_path / "api.log", free_port()
    environment = os.environ | {
        "SINYAL_DATABASE_URL": url,
        "SINYAL_DATA_DIR": str(tmp_path),
        "SINYAL_PORT": str(port),
        "SINYAL_LIMITS__QUERY_S": "1",
    }
    with log.open("wb") as output:
        command = [sys.executable, "-c", BUGGY]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)  # noqa: ASYNC220
    found = Process(f"http://127.0.0.1:{port}", port, log, process)
    try:
        async with httpx.AsyncClient(base_url=found.url, trust_env=False) as client, asyncio.timeout(60):
            while not await _answers(client):  # noqa: ASYNC110  # watched from outside
                await asyncio.sleep(0.1)
        yield found
    finally:
        process.kill()
        process.wait()
    await drop_database(url, server_url)


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/healthz")).is_success
    except httpx.HTTPError:
        return False


def failing_requests() -> Iterator[dict[str, Any]]:
    """Keywords of httpx."""
    body = {"password": PASSWORD, "contact_phone": PHONE, "token": DEVICE, "code": CODE}
    headers = {"Authorization": f"Bearer {TOKEN}", "Cookie": f"sinyal_session={COOKIE}", "X-CSRF-Token": COOKIE}
    for kind in KINDS:
        yield {"method": "POST", "url": f"/bug/{kind}?code={CODE}", "json": body, "headers": headers}
    for content in (
        json.dumps({"username": "dewi", "password": PASSWORD}),
        json.dumps({"username": PASSWORD, "password": PASSWORD}),
        json.dumps({"username": 7, "password": [PASSWORD]}),
        json.dumps({"username": "dewi", "password": PASSWORD + "\ud800"}),
        json.dumps({"username": "dewi\0", "password": PASSWORD}),
        json.dumps({"username": "dewi", "password": PASSWORD})[:-3],
        json.dumps({"username": "dewi", "password": PASSWORD * 1000}),
    ):
        json_type = {"Content-Type": "application/json"}
        yield {"method": "POST", "url": f"{API}/session", "content": content.encode(), "headers": json_type}
        yield {"method": "POST", "url": f"{API}/session", "content": content.encode()}
        yield {"method": "POST", "url": f"{API}/sites", "content": content.encode(), "headers": headers | json_type}
    site = {"village_code": "64.02.05.2003", "contact_phone": PHONE, "latitude": PHONE}
    yield {"method": "POST", "url": f"{API}/sites", "json": site, "headers": headers}
    yield {"method": "GET", "url": f"{API}/sites", "params": {"q": PHONE, "region": CODE, "cursor": DEVICE}}
    form = {"username": "dewi", "password": PASSWORD, "contact_phone": PHONE, "token": TOKEN, "csrf_token": COOKIE}
    form |= {"kept": json.dumps({"path": "/console/sites/new", "fields": [["contact_phone", PHONE]]})}
    for path in ("bug", "sign-in", "sites/new", "sites/new/check", "me/password", "accounts/new", "nowhere"):
        for sent in ({"data": form}, {"data": form, "files": {"file": (PHONE, PHONE)}}):
            yield {"method": "POST", "url": f"/console/{path}", "params": {"q": PHONE}, "headers": headers, **sent}
            yield {"method": "POST", "url": f"/console/{path}", "params": {"q": PHONE}, **sent}
    yield {"method": "POST", "url": "/console/sign-in", "data": form | {"username": "dewi", "next": f"/{CODE}"}}
    yield {"method": "POST", "url": "/layar", "data": form}
    yield {"method": "GET", "url": f"/console/sites/{CODE}", "params": {"q": PHONE}, "headers": headers}
    for token in (DEVICE, DEVICE + "x" * 200, DEVICE + "\udfff"):
        raw = json.dumps({"token": token, "batch": [{"boot": PHONE}]}).encode()
        yield {"method": "POST", "url": f"{API}/push", "content": raw}
        yield {"method": "POST", "url": f"{API}/push/end", "content": raw}
    yield {
        "method": "POST",
        "url": f"{API}/push",
        "json": {"boot": PHONE},
        "headers": {"Authorization": f"Bearer {DEVICE}"},
    }
    for path in ("", "/status", "/script", "/nowhere"):
        yield {"method": "GET", "url": f"/enrol/{CODE}{path}", "params": {"kind": CODE}}
    yield {"method": "GET", "url": f"/{DEVICE}/{TOKEN}", "headers": headers}


def malformed() -> list[bytes]:
    """What is no HTTP, or breaks off."""
    secrets = " ".join(SECRETS.values()).encode()
    return [
        secrets + b"\r\n\r\n",
        b"GET /" + DEVICE.encode() + b" HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nAuthorization: Bearer " + TOKEN.encode() + b"\0\r\n\r\n",
        b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n" + secrets,
        b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz" + secrets + b"\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\nCookie: sinyal_session=" + COOKIE.encode(),
    ]


async def test_no_secret_is_ever_logged(buggy: Process) -> None:
    statuses = []
    for request in failing_requests():  # each over its own connection: after a 500 the server closes it
        async with httpx.AsyncClient(base_url=buggy.url, trust_env=False, timeout=30) as client:
            statuses.append((await client.request(**request)).status_code)
    for content in malformed():
        with socket.create_connection(("127.0.0.1", buggy.port)) as connection:
            connection.sendall(content)
    output = await buggy.end()
    shown = {name for name, secret in SECRETS.items() if secret in output}
    assert not shown, "\n".join(line[:300] for line in output.splitlines() if any(s in line for s in SECRETS.values()))
    assert statuses.count(500) >= 6
    for kind in (
        "ValueError",
        "KeyError",
        "RuntimeError",
        "ExceptionGroup",
        "LookupError",
        "ResponseValidationError",
        "UserWarning",
    ):
        assert kind in output, kind
    assert output.count("uncaught_exception") >= 2
    assert "query_timed_out" in output or "database_unavailable" in output
    assert "raise ValueError(sent)" in output or "in bug" in output, "where it happened"


def test_an_exception_is_shown_by_its_kind_and_place_and_the_systems_own_with_their_message() -> None:
    try:
        try:
            int(PASSWORD)
        except ValueError:
            open("/nowhere/at/all")  # noqa: SIM115  # to fail
    except OSError as error:
        shown = format_exception((type(error), error, error.__traceback__))
    assert PASSWORD not in shown
    assert "int(PASSWORD)" in shown
    assert "ValueError\n" in shown
    assert "during whose handling occurred" in shown
    assert "No such file or directory" in shown
    assert describe(KeyError(PHONE)) == "KeyError"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {TOKEN}",
        f"token {DEVICE} was refused",
        f"token {PROBER} was refused",
        f"Cookie: theme=dark; sinyal_session={COOKIE}; x=y",
        f'{{"username": "ana", "password": "{PASSWORD}"}}',
        f"{{'contact_phone': '{PHONE}'}}",
        f"GET /enrol/{CODE}/status",
        f"postgresql://sinyal:{CODE}@db:5432/sinyal",
        f"password={CODE}&x=1",
    ],
)
def test_what_looks_like_a_secret_is_hidden_in_any_text(text: str) -> None:
    shown = str(redact(None, "error", {"event": text})["event"])
    assert not [secret for secret in SECRETS.values() if secret in shown], shown
    assert "***" in shown
