"""Streams through a real nginx, with the example configuration: only its addresses and its TLS are taken out."""

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.settings import CONFIG_DIR
from app.status import stream as streaming
from tests.factories import register
from tests.status.api_process import Served
from tests.status.test_stream import judged, live, ticket, until_told
from tests.support.demo_process import free_port, wait_for

__all__ = ["live"]

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
MAIN = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    {example}
}}
"""


def adapted(example: str, *, port: int, api: int, folder: Path) -> str:
    """Over plain HTTP at that port, and without the server that only sends on to https."""
    example = re.sub(r"server \{\n    listen 80;.*?\n\}\n", "", example, flags=re.DOTALL)
    example = re.sub(r"^ *(ssl_|http2 |listen \[).*$", "", example, flags=re.MULTILINE)
    for ours, theirs in (
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{api};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port};"),
        ("/var/log/nginx/", f"{folder}/"),
    ):
        assert ours in example
        example = example.replace(ours, theirs)
    return example


@asynccontextmanager
async def behind_nginx(api: int, folder: Path) -> AsyncIterator[int]:
    """nginx's port."""
    assert NGINX is not None
    port = free_port()
    example = adapted((CONFIG_DIR / "nginx" / "sinyal.conf").read_text(), port=port, api=api, folder=folder)
    file = folder / "nginx.conf"
    file.write_text(MAIN.format(folder=folder, example=example))
    process = await asyncio.create_subprocess_exec(NGINX, "-p", str(folder), "-c", str(file))
    try:
        await asyncio.to_thread(wait_for, (folder / "nginx.pid").exists, 10, every_s=0.05)
        yield port
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx-light")
async def test_a_stream_comes_through_nginx_unbuffered_and_leaves_no_ticket_in_its_log(
    live: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "BEAT_S", 2)
    made = await register(live.cast)
    await live.settle()
    good = await ticket(live.cast.vera)
    async with behind_nginx(live.port, tmp_path) as port:
        stream = await live.stream(live.cast.stranger, f"ticket={good}", port=port)
        assert (stream.status, (await stream.event(2)).kind) == (200, "snapshot")
        started = time.monotonic()
        await judged(live, made, "down")
        await until_told(stream, made["code"], "down")
        assert time.monotonic() - started < 2
        assert (await stream.event(5)).kind == "beat"
        assert "content-encoding" not in stream.headers
        stream.close()
        await asyncio.to_thread(wait_for, lambda: live.app.state.streams.open == 0, 3, every_s=0.05)
    logged = (tmp_path / "access.log").read_text()
    assert '"GET /api/v1/status/stream" 200' in logged
    assert good not in logged
