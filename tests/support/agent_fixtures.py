import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.agents import agent_tokens
from app.api.app import API
from app.push import inbox
from probes.contract import Reading
from tests.conftest import Cast, drop_database, make_database
from tests.factories import register
from tests.push.fleet import fill
from tests.support.demo_process import wait_for
from tests.support.killing import Api

SITES = 12


@dataclass
class Agent:
    """A push site, and the token and HTTP client of its device."""

    client: httpx.AsyncClient
    site: dict[str, Any]
    token: str
    session: AsyncSession
    extra: dict[str, Any] = field(default_factory=dict)

    async def send(self, body: Any = None, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        json = {"json": body} if body is not None else {}
        return await self.client.post(f"{API}/push", headers=headers, **json, **options)

    async def push(self, body: Any = None, **options: Any) -> dict[str, Any]:
        answer = await self.send(body, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def dequeue(self) -> list[Reading]:
        """Empty the inbox; return the readings of this site in the order of receipt."""
        async with self.session.begin():
            deliveries = await inbox.dequeue(self.session, limit=1000)
        return [reading for item in deliveries if item.site_id == self.site["id"] for reading in item.readings()]

    async def row(self, table: str) -> dict[str, Any]:
        async with self.session.begin():
            query = text(f"SELECT * FROM {table} WHERE site_id = :site")
            return dict((await self.session.execute(query, {"site": self.site["id"]})).mappings().one())


async def make_agent(app: FastAPI, cast: Cast, session: AsyncSession, **changes: Any) -> Agent:
    site = await register(cast, **({"probe": "push", "host": None} | changes))
    async with session.begin():
        _, token = await agent_tokens.mint(session, site["id"], by="Sari")
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")
    return Agent(client, site, token, session)


@pytest.fixture
async def agent(app: FastAPI, cast: Cast, session: AsyncSession) -> AsyncIterator[Agent]:
    agent = await make_agent(app, cast, session)
    yield agent
    await agent.client.aclose()


@pytest.fixture(scope="session")
def fleet(server_url: str) -> Iterator[tuple[str, list[str]]]:
    """URL of a database of its own with SITES sites, and their device tokens."""
    url = asyncio.run(make_database(server_url))
    yield url, asyncio.run(fill(url, SITES))
    asyncio.run(drop_database(url, server_url))


@pytest.fixture(scope="session")
def apis(fleet: tuple[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Api]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SINYAL_PUSH__REQUESTS_PER_MIN", "0")
        processes = [Api(fleet[0], tmp_path_factory.mktemp(name) / "data") for name in ("one", "other")]
    for api in processes:
        api.start()
    for api in processes:
        wait_for(lambda api=api: httpx.get(f"{api.url}/readyz", trust_env=False).is_success, 120)  # type: ignore[misc]
    yield processes
    for api in processes:
        api.close()
