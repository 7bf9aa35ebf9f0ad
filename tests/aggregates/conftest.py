import pytest

from app.database import Sessions
from tests.aggregates.living import Living
from tests.conftest import Cast


@pytest.fixture
async def living(sessions: Sessions, cast: Cast) -> Living:
    living = Living(sessions, cast)
    await living.begin()
    return living
