"""Streams through a real nginx with the example configuration, without its addresses and TLS."""

import asyncio
import re
import time
from pathlib import Path

import pytest

from app.status import stream as streaming
from tests.factories import register
from tests.support.demo_process import wait_for
from tests.support.nginx import NGINX, behind_nginx, example_config
from tests.support.served_api import Served
from tests.support.status_streams import judged, ticket, until_told


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx-light")
async def test_nginx_passes_a_stream_unbuffered_and_does_not_log_its_ticket(
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


def test_connections_that_last_leave_others_their_places() -> None:
    """nginx counts a zone's connections together, whichever location they are in."""
    zones = {
        place: re.search(rf"location (?:= )?{place} {{\n(?:.*\n)*? +limit_conn (\w+)", example_config())
        for place in ("/api/v1/push", "/api/v1/stream")
    }
    found = [match[1] for match in zones.values() if match is not None]
    assert len(set(found)) == 2
