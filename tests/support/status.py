"""Sites, states and worker heartbeats as the status sees them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.access.models import Role
from app.access.scope import Caller
from app.core.clock import utc_now
from app.postgres.engine import Counter, Sessions, next_version, open_engine, open_sessions, transaction
from app.registry import providers
from app.registry import store as registry
from app.registry.schemas import SiteIn
from app.worker import writer as worker
from probes.policy import AddressPolicy
from tests.conftest import Person, drop_database, make_database
from tests.factories import site


async def judge(
    session: AsyncSession,
    site_id: int,
    state: str,
    *,
    age_s: int = 0,
    rtt_us: int | None = 20_000,
    loss_pct: float = 0,
) -> None:
    """As if the worker had judged the site, that long ago."""
    async with session.begin():
        await session.execute(
            text(
                "UPDATE site_status SET state = :state, unknown_reason = NULL, since = :at, evidence_at = :at, "
                "valid_s = 60, last_ok_at = :at, rtt_us = :rtt, loss_pct = :loss_pct, version = :version "
                "WHERE site_id = :id"
            ),
            {
                "id": site_id,
                "state": state,
                "at": utc_now() - timedelta(seconds=age_s),
                "rtt": rtt_us,
                "loss_pct": loss_pct,
                "version": await next_version(session, Counter.STATUS),
            },
        )


async def beat(session: AsyncSession, *, age_s: int = 0, blind: bool = False) -> None:
    async with session.begin():
        at = utc_now() - timedelta(seconds=age_s)
        await worker.write_beat(session, now=at, started_at=at, blind_since=at if blind else None, figures={})


async def status(app: FastAPI, person: Person, **params: str) -> dict[str, Any]:
    """By code, read anew from the database."""
    await app.state.snapshot.refresh(app.state.sessions)
    app.state.snapshot.tick(utc_now())
    answer = await person.get("/status", params=params)
    assert answer.status_code == 200, answer.text
    return {item["code"]: item for item in answer.json()["sites"]}


@asynccontextmanager
async def open_committed(server_url: str, template: str) -> AsyncIterator[tuple[str, AsyncEngine, Sessions]]:
    url = await make_database(server_url, template)
    engine = open_engine(url, name="test")
    yield url, engine, open_sessions(engine)
    await engine.dispose()
    await drop_database(url, server_url)


@pytest.fixture
async def committed_database(
    server_url: str, migrated_template: str
) -> AsyncIterator[tuple[str, AsyncEngine, Sessions]]:
    """A database of the test's own, in which commits are commits and notices travel."""
    async with open_committed(server_url, migrated_template) as database:
        yield database


async def add_site(sessions: Sessions, host: str) -> int:
    async with transaction(sessions) as session:
        await providers.ensure_providers(session, {"telkom-wms": "Telkom WMS"})
        caller = Caller(0, "test", Role.PROVINCE_ADMIN, "64")
        made, _ = await registry.create_site(session, SiteIn(**site(host=host)), caller=caller, policy=AddressPolicy())
        return made.id


async def publish(app: FastAPI, *, later_s: int = 0) -> None:
    await app.state.snapshot.refresh(app.state.sessions)
    app.state.snapshot.tick(utc_now() + timedelta(seconds=later_s))
