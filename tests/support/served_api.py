"""The API served by a real uvicorn on 127.0.0.1, over a database with real commits."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from socket import socket

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import api_tokens
from app.access.models import Role
from app.api.app import create_app
from app.postgres.engine import Sessions, transaction
from app.registry import providers
from app.registry.models import Provider
from app.runtime.connections import connections
from app.settings import Settings
from app.status import store
from tests.conftest import Cast, Person
from tests.support.demo_process import free_port
from tests.support.sse import Sse

ROLES = {
    "sari": (Role.PROVINCE_ADMIN, "64", False),
    "ana": (Role.DISTRICT_OPERATOR, "64.02", False),
    "ben": (Role.DISTRICT_OPERATOR, "64.03", False),
    "vera": (Role.VIEWER, "64", False),
    "icon": (Role.PROVIDER_VIEWER, "64", True),
}


class Server(uvicorn.Server):
    """Leaves signals to pytest."""

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()


@asynccontextmanager
async def serving(app: FastAPI, also: Sequence[socket] = ()) -> AsyncIterator[int]:
    """Yield the port once the status is loaded. `also`: listening sockets elsewhere, as in a namespace."""
    port = free_port()
    http = connections(app.state.settings, max_files=1024)
    config = uvicorn.Config(app, http=http, port=port, log_config=None, timeout_graceful_shutdown=4)  # type: ignore[arg-type]
    server = Server(config)
    running = asyncio.create_task(server.serve([config.bind_socket(), *also] if also else None))
    async with asyncio.timeout(10):
        while not (server.started and app.state.snapshot.loaded):  # noqa: ASYNC110  # watched from outside
            await asyncio.sleep(0.02)
    try:
        yield port
    finally:
        server.should_exit = True
        await running


@dataclass
class Served:
    app: FastAPI
    port: int
    url: str  # of the database
    sessions: Sessions
    cast: Cast
    opened: list[Sse] = field(default_factory=list)

    async def settle(self) -> None:
        """Wait until everything written is in the snapshot."""
        async with transaction(self.sessions) as session:
            generation, *written = (await store.get_counters_and_beats(session)).counters
        async with asyncio.timeout(30):  # figures alone wait for their turn
            while list(self.app.state.snapshot.version[:4]) != [generation, *written]:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.02)

    async def stream(
        self, person: Person, query: str = "", *, port: int | None = None, last: str = "", **options: int
    ) -> Sse:
        """`last`: the id of the last event received."""
        headers = {"Last-Event-ID": last} if last else {}
        if "Authorization" in person.client.headers:
            headers["Authorization"] = person.client.headers["Authorization"]
        found = await Sse.open(port or self.port, f"/api/v1/status/stream?{query}", headers, **options)
        self.opened.append(found)
        return found


@asynccontextmanager
async def served(
    url: str, sessions: Sessions, *, also: Sequence[socket] = (), **changed: object
) -> AsyncIterator[Served]:
    app = create_app(Settings(database_url=url, **changed))  # type: ignore[arg-type]
    async with transaction(sessions) as session:
        secrets = await _cast(session)
    async with serving(app, also) as port, contextlib.AsyncExitStack() as clients:
        people = {}
        for name, secret in (*secrets.items(), ("stranger", None)):
            headers = {"Authorization": f"Bearer {secret}"} if secret else {}
            client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False)
            people[name] = Person(await clients.enter_async_context(client))
        found = Served(app, port, url, sessions, Cast(**people))
        yield found
        for stream in found.opened:
            stream.close()


async def _cast(session: AsyncSession) -> dict[str, str]:
    await providers.ensure_providers(session, {"telkom-wms": "Telkom WMS", "iconplus": "Icon+"})
    iconplus = await session.scalar(select(Provider.id).where(Provider.slug == "iconplus"))
    return {
        name: await api_tokens.create_token(
            session, name=name, role=role, region_code=region, provider_id=iconplus if of_provider else None
        )
        for name, (role, region, of_provider) in ROLES.items()
    }
