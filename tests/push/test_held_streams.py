"""`/stream`: what a device holds open, and how it ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.api.app import API
from app.core.stream_cost import CONNECTION_BYTES, DEVICE_LINE_BYTES
from app.push.device_streams import DeviceStreams
from app.push.timestamps import STREAM
from app.streams.held import LATE_S
from tests.support.agent_fixtures import Agent
from tests.support.held_requests import held, refused
from tests.support.push_samples import BEAT


@pytest.fixture
async def streams(app: FastAPI) -> AsyncIterator[DeviceStreams]:
    opened: DeviceStreams = app.state.device_streams
    yield opened
    await opened.close_all()


async def heard(streams: DeviceStreams, agent: Agent, lines: int) -> None:
    """Wait until so many lines of the site have been read since the last writing, or since its connection."""
    async with asyncio.timeout(10):
        while streams.recorder._bytes[agent.site["id"]] % CONNECTION_BYTES < lines * DEVICE_LINE_BYTES:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def rows(agent: Agent, query: str) -> list[Any]:
    async with agent.session.begin():
        return list(await agent.session.execute(text(query), {"site": agent.site["id"]}))


async def test_a_held_stream_tells_its_beat_and_leaves_a_span_and_its_bytes(
    app: FastAPI, agent: Agent, streams: DeviceStreams
) -> None:
    async with held(app, agent.token) as (ours, theirs):
        assert (ours.status, ours.text) == (200, "beat 30\n")
        theirs.write("1000.5\n")
        theirs.write("1000.9\n")
        await heard(streams, agent, 2)
        assert len(streams) == 1
    await streams.recorder.write()
    assert len(streams) == 0
    ((beat_s, seconds),) = await rows(
        agent, "SELECT beat_s, ended_at - started_at FROM stream_span WHERE site_id = :site"
    )
    assert (beat_s, seconds > timedelta()) == (30, True)
    ((size, requests),) = await rows(agent, "SELECT bytes, requests FROM push_traffic WHERE site_id = :site")
    assert (size, requests) == (CONNECTION_BYTES + 2 * DEVICE_LINE_BYTES, 0)


async def test_the_connection_opened_last_holds_the_stream(app: FastAPI, agent: Agent, streams: DeviceStreams) -> None:
    async with held(app, agent.token) as (ours, theirs), held(app, agent.token, number=2):
        await ours.over()
        await theirs.over()
        assert (ours.text, ours.is_over, theirs.text) == ("beat 30\n", True, "end\n")
        assert len(streams) == 1


async def test_two_devices_with_one_token_are_told(app: FastAPI, agent: Agent, streams: DeviceStreams) -> None:
    await agent.push(BEAT)
    async with held(app, agent.token, boot="a"), held(app, agent.token, boot="b"), held(app, agent.token, boot="a"):
        await streams.recorder.write()
    assert (await agent.row("device"))["two_agents_at"] is not None


async def test_a_revoked_token_ends_the_stream_with_its_next_line(
    app: FastAPI, agent: Agent, streams: DeviceStreams
) -> None:
    async with held(app, agent.token) as (ours, theirs):
        await agent.client.post(f"{API}/push/end", headers={"Authorization": f"Bearer {agent.token}"})
        theirs.write("1000.5\n")
        await theirs.over()
        await ours.over()
    assert (await refused(app, "GET", agent.token, number=2)).status == 401


@pytest.mark.parametrize("lines", ["1.5\n" * 13, "x" * 40, "-1\n", "nan\n", "1 2\n"])
async def test_what_no_agent_writes_ends_the_stream(
    app: FastAPI, agent: Agent, streams: DeviceStreams, lines: str
) -> None:
    async with held(app, agent.token) as (ours, theirs):
        theirs.write(lines)
        await theirs.over()
        await ours.over()
    assert streams.held.breaks == []


async def test_a_stop_of_ours_tells_each_device_when_to_come_back(
    app: FastAPI, agent: Agent, streams: DeviceStreams
) -> None:
    async with held(app, agent.token) as (ours, theirs):
        theirs.write("1000.5\n")
        await heard(streams, agent, 1)
        streams.end()
        await ours.over()
        await theirs.over()
        assert ours.text in ("beat 30\nwait 1\n", "beat 30\nwait 2\n")
        assert (await refused(app, "GET", agent.token, number=2)).status == 503
    assert streams.held.breaks == [], "our own stop is nobody's break"


async def test_a_site_whose_profile_has_no_stream_is_told_so(
    app: FastAPI, agent: Agent, streams: DeviceStreams
) -> None:
    async with agent.session.begin():
        await agent.session.execute(text("UPDATE site SET technology = 'geo'"))
    answer = await refused(app, "POST", agent.token)
    assert (answer.status, "not-streamed" in answer.text) == (409, True)


async def test_more_streams_than_the_process_may_hold_are_refused(
    app: FastAPI, agent: Agent, streams: DeviceStreams
) -> None:
    streams._max = 0
    answer = await refused(app, "GET", agent.token)
    assert (answer.status, "too-many-streams" in answer.text) == (503, True)


async def test_a_line_that_is_missed_and_comes_late_is_a_break_to_be_read(
    app: FastAPI, agent: Agent, streams: DeviceStreams
) -> None:
    async with held(app, agent.token) as (_, theirs):
        theirs.write("1000\n")
        await heard(streams, agent, 1)
        stream = streams.held.streams[agent.site["id"]]
        stream.heard_at -= 60  # a round passes
        stream.due_at = time.time() - LATE_S
        theirs.write("1000.01\n")
        await heard(streams, agent, 2)
        assert streams.held.breaks == [], "written late, not held up"
        stream.heard_at -= 60
        streams.held.read_line(stream, 990, time.time())
    await streams.recorder.write()
    ((by, excuse),) = await rows(agent, "SELECT seen_by, excuse FROM stream_break WHERE site_id = :site")
    assert (by, excuse) == ("server", None)


async def overdue(agent: Agent, streams: DeviceStreams) -> None:
    await agent.push(BEAT)
    await agent.dequeue()
    async with agent.session.begin():
        await agent.session.execute(text("UPDATE device SET heard_at = now() - interval '80 seconds'"))
    await streams.recorder.write()


async def test_a_held_stream_proves_the_link_while_the_push_is_overdue(
    app: FastAPI, agent: Agent, streams: DeviceStreams
) -> None:
    async with held(app, agent.token) as (_, theirs):
        theirs.write("1000\n")
        await heard(streams, agent, 1)
        await overdue(agent, streams)
        (reading,) = await agent.dequeue()
        assert (reading.outcome, reading.sent, reading.reason) == ("ok", 0, STREAM)
        theirs.write("1000.1\n")
        await heard(streams, agent, 1)
        await streams.recorder.write()
        assert await agent.dequeue() == [], "once an interval"


async def test_a_push_that_came_needs_no_other_proof(app: FastAPI, agent: Agent, streams: DeviceStreams) -> None:
    await agent.push(BEAT)
    await agent.dequeue()
    async with held(app, agent.token) as (_, theirs):
        theirs.write("1000\n")
        await heard(streams, agent, 1)
        await streams.recorder.write()
        assert await agent.dequeue() == []


async def test_a_stream_held_from_another_network_is_told_as_a_push_from_there(
    app: FastAPI, agent: Agent, streams: DeviceStreams
) -> None:
    async with held(app, agent.token) as (_, theirs):
        theirs.write("1000\n")
        await heard(streams, agent, 1)
        await agent.push(BEAT)
        async with agent.session.begin():
            await agent.session.execute(
                text("""
                    WITH known AS (
                        INSERT INTO push_source (site_id, address, first_at, last_at)
                        SELECT site_id, '36.70.1.9', now() - interval '1 day', now() FROM device
                    )
                    UPDATE device
                    SET heard_at = now() - interval '80 seconds', address = '36.70.1.9', address_at = now()
                """)
            )
        await streams.recorder.write()
    device = await agent.row("device")
    assert (device["address"], device["network_changed_at"] is not None) == ("198.51.100.7", True)
