import pytest

from app.postgres.engine import Sessions
from tests.aggregates.measured_sites import Living
from tests.conftest import Cast


@pytest.fixture
async def living(sessions: Sessions, cast: Cast) -> Living:
    living = Living(sessions, cast)
    await living.begin()
    return living
