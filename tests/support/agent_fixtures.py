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
from app.push.inbox import Row
from tests.conftest import Cast, drop_database, make_database
from tests.factories import register
from tests.push.fleet import fill
from tests.support.demo_process import wait_for
from tests.support.killing import Api

SITES = 12


@dataclass
class Agent:
    """A site's device, and its token."""

    client: httpx.AsyncClient
    site: dict[str, Any]
    token: str
    session: AsyncSession
    extra: dict[str, Any] = field(default_factory=dict)

    async def send(self, body: Any = None, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        how = {"json": body} if body is not None else {}
        return await self.client.post(f"{API}/push", headers=headers, **how, **options)

    async def push(self, body: Any = None, **options: Any) -> dict[str, Any]:
        answer = await self.send(body, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def taken(self) -> list[Row]:
        """All that waits for the worker, of this site, in the order in which it came."""
        async with self.session.begin():
            found = await inbox.take(self.session, most=1000)
        return [row for one in found if one.site_id == self.site["id"] for row in one.rows]

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
    made = await make_agent(app, cast, session)
    yield made
    await made.client.aclose()


@pytest.fixture(scope="session")
def fleet(server_url: str) -> Iterator[tuple[str, list[str]]]:
    """A database of its own, and the tokens of its sites."""
    url = asyncio.run(make_database(server_url))
    yield url, asyncio.run(fill(url, SITES))
    asyncio.run(drop_database(url, server_url))


@pytest.fixture(scope="session")
def apis(fleet: tuple[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Api]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SINYAL_PUSH__REQUESTS_PER_MIN", "0")
        found = [Api(fleet[0], tmp_path_factory.mktemp(name) / "data") for name in ("one", "other")]
    for api in found:
        api.start()
    for api in found:
        wait_for(lambda api=api: httpx.get(f"{api.url}/readyz", trust_env=False).is_success, 30)  # type: ignore[misc]
    yield found
    for api in found:
        api.close()
