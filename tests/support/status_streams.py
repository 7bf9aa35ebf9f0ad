"""A served API, and its status streams."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.postgres.engine import open_engine, open_sessions
from tests.conftest import Person, drop_database, make_database
from tests.support.served_api import Served, served
from tests.support.sse import Sse
from tests.support.status import judge


@pytest.fixture
async def live(server_url: str, migrated_template: str) -> AsyncIterator[Served]:
    url = await make_database(server_url, migrated_template)
    engine = open_engine(url, name="test")
    async with served(url, open_sessions(engine)) as found:
        yield found
    await engine.dispose()
    await drop_database(url, server_url)


async def judged(live: Served, site: dict[str, Any], state: str) -> None:
    async with live.sessions() as session:
        await judge(session, site["id"], state)


def states(data: dict[str, Any]) -> dict[str, str]:
    return {site["code"]: site["state"] for site in data.get("sites", data.get("changed", []))}


async def until_told(stream: Sse, code: str, state: str) -> dict[str, Any]:
    while True:
        event = await stream.event()
        if states(event.data).get(code) == state:
            return event.data


async def ticket(person: Person) -> str:
    answer = await person.post("/status/stream-ticket")
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    return str(answer.json()["ticket"])
