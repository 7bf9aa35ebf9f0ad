"""A push that bypasses FastAPI's router is counted and protected like any request, behind a proxy's path too."""

from typing import Any

import httpx
from fastapi import FastAPI

from tests.conftest import Cast
from tests.support.agent_fixtures import Agent
from tests.support.push_samples import BEAT


async def test_a_push_is_routed_behind_a_proxys_path_prefix(app: FastAPI, agent: Agent) -> None:
    transport = httpx.ASGITransport(app, root_path="/sinyal")
    headers = {"Authorization": f"Bearer {agent.token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        assert (await client.post("/sinyal/api/v1/push", json=BEAT)).json()["accepted"] == 1
        assert (await client.post("/sinyal/other/api/v1/push", json=BEAT)).status_code == 404


async def test_a_push_is_counted_by_its_route_and_gets_the_security_headers(agent: Agent, cast: Cast) -> None:
    answer = await agent.send(BEAT)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await agent.send(content=b"{")).status_code == 422
    metrics = (await agent.client.get("/metrics")).text
    for status in (200, 422):
        assert f'sinyal_http_requests_total{{method="POST",route="/api/v1/push",status="{status}"}} 1.0' in metrics
    assert 'sinyal_push_rows_total{verdict="accepted"} 1.0' in metrics
    assert (await agent.client.get("/api/v1/push")).status_code == 405


async def test_a_client_that_disconnects_while_sending_the_body_is_counted_as_a_bad_request(
    app: FastAPI, agent: Agent
) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    statuses: list[int | None] = []
    headers = [(b"authorization", f"Bearer {agent.token}".encode()), (b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "path": "/api/v1/push", "headers": headers, "query_string": b""}
    await app(scope, receive, send)
    assert statuses[0] == 400
    assert await agent.dequeue() == []


async def test_the_openapi_document_states_how_a_device_authenticates(app: FastAPI) -> None:
    operation = app.openapi()["paths"]["/api/v1/push"]["post"]
    assert operation["security"] == [{"DeviceToken": []}]
    assert {"200", "401", "409", "413", "422", "429", "503"} <= operation["responses"].keys()
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert examples.keys() == {"beat", "batch"}


async def test_the_examples_of_the_openapi_document_are_accepted(app: FastAPI, agent: Agent) -> None:
    operation = app.openapi()["paths"]["/api/v1/push"]["post"]
    for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
        answer = await agent.push(example["value"])
        assert all(rejected["code"] == "before_site" for rejected in answer["rejected"]), answer
