"""A closed month of a contract, written once a file; each test works in a savepoint."""

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.routing import BaseRoute

from app.access import api_tokens
from app.access.models import Role
from app.registry.models import Provider
from tests.conftest import Person
from tests.support.report_month import ReportMonth, shared_month
from tests.support.shared_start import SharedStart, savepoint


@pytest.fixture(scope="module")
async def made(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[tuple[SharedStart, ReportMonth]]:
    async with shared_month(engine, routes) as made:
        yield made


@pytest.fixture
async def month(made: tuple[SharedStart, ReportMonth]) -> AsyncIterator[ReportMonth]:
    async with savepoint(made[0].connection):
        yield made[1]


@pytest.fixture
async def telkom(month: ReportMonth, made: tuple[SharedStart, ReportMonth]) -> AsyncIterator[Person]:
    """A viewer of another provider."""
    async with month.session.begin():
        provider_id = await month.session.scalar(select(Provider.id).where(Provider.slug == "telkom-wms"))
        secret = await api_tokens.create_token(
            month.session, name="telkom", role=Role.PROVIDER_VIEWER, region_code="64", provider_id=provider_id
        )
    headers = {"Authorization": f"Bearer {secret}"}
    transport = httpx.ASGITransport(made[0].app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        yield Person(client)
