"""Ingest by itself: what devices send, and nothing else."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.ingest_app import create_ingest_app
from app.push import inbox
from tests.support.agent_fixtures import Agent
from tests.support.push_samples import BEAT


@pytest.fixture
async def ingest(app: FastAPI, agent: Agent) -> AsyncIterator[Agent]:
    """The agent, whose client reaches ingest in place of the api."""
    apart = create_ingest_app(app.state.settings)
    apart.state.sessions = app.state.sessions
    async with httpx.AsyncClient(transport=httpx.ASGITransport(apart), base_url="http://test") as client:
        yield Agent(client, agent.site, agent.token, agent.session)
    await apart.state.push.close()


async def test_a_push_is_answered_and_counted_as_by_the_api(ingest: Agent, agent: Agent) -> None:
    assert (await ingest.push(BEAT))["accepted"] == 1
    again = await agent.push(BEAT)
    assert (again["accepted"], again["duplicates"]) == (0, 1), "the same receipts"
    assert (await ingest.send(content=b"{")).status_code == 422
    assert (await ingest.send(content=b"x" * 1_100_000)).status_code == 413
    metrics = (await ingest.client.get("/metrics")).text
    assert 'sinyal_http_requests_total{method="POST",route="/api/v1/push",status="200"} 1.0' in metrics
    assert 'sinyal_push_rows_total{verdict="accepted"} 1.0' in metrics


async def test_ingest_serves_devices_alone(ingest: Agent) -> None:
    client = ingest.client
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/api/v1/speedtest?grant=unknown")).status_code == 404
    assert (await client.post("/api/v1/push/end", json={"token": ingest.token})).status_code == 204
    assert (await client.get("/readyz")).status_code == 200
    for path in ("/api/v1/status", "/api/v1/session", "/docs", "/openapi.json", "/"):
        assert (await client.get(path)).json()["type"].endswith("/no-such-address"), path


async def test_ingest_announces_its_start_and_the_api_does_not(
    ingest: Agent, agent: Agent, session: AsyncSession
) -> None:
    """A start excuses the pushes that were due then: whoever could end an api process would excuse them at will."""

    async def starts() -> int:
        async with session.begin():
            return sum(delivery.is_api_start for delivery in await inbox.dequeue(session, limit=10))

    await agent.push(BEAT)
    assert await starts() == 0
    await ingest.push(BEAT | {"seq": 2})
    assert await starts() == 1
