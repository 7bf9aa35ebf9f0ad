"""The worker and a person change one incident at the same time, on a database with real commits."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.access.models import Role
from app.access.scope import Caller
from app.core.clock import floor_second, utc_now
from app.core.errors import Invalid
from app.incidents import actions
from app.incidents.models import Incident
from app.incidents.reconcile import reconcile_incidents
from app.incidents.schemas import IncidentPatch
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import Counter, Sessions, next_version, transaction
from tests.support.status import add_site

SARI = Caller(0, "sari", Role.PROVINCE_ADMIN, "64")


async def test_the_second_of_two_writers_sees_the_result_of_the_first(
    committed_database: tuple[str, AsyncEngine, Sessions],
) -> None:
    _, _, sessions = committed_database
    site, now = await add_site(sessions, "198.51.100.1"), floor_second(utc_now()) + timedelta(minutes=5)
    span = DirtyRange(site, now - timedelta(minutes=5), now)
    async with transaction(sessions) as session:
        insert = "INSERT INTO state_segment (site_id, started_at, state) VALUES (:site, :at, 'down')"
        await session.execute(text(insert), {"site": site, "at": now - timedelta(minutes=4)})
        await reconcile_incidents(session, [span], now=now)

    async def acknowledge() -> Incident:
        async with transaction(sessions) as session:
            patch = IncidentPatch.model_validate({"status": "acknowledged"})
            return await actions.patch_incident(session, 1, patch, caller=SARI, if_match=None)

    async with transaction(sessions) as session:  # the worker: its batch has a version already
        await next_version(session, Counter.STATUS)
        await session.execute(text("UPDATE state_segment SET ended_at = :at"), {"at": now - timedelta(minutes=1)})
        up = "INSERT INTO state_segment (site_id, started_at, state) VALUES (:site, :at, 'up')"
        await session.execute(text(up), {"site": site, "at": now - timedelta(minutes=1)})
        await reconcile_incidents(session, [span], now=now)
        person = asyncio.create_task(acknowledge())
        await asyncio.sleep(0.3)
        assert not person.done()
    with pytest.raises(Invalid) as refused:
        await person
    assert [fault.code for fault in refused.value.faults] == ["already_resolved"]
